"""Owns the prompt of a request: rendered, and dropped from, cut or refused where it is too long."""

from bisect import bisect_left
from dataclasses import dataclass, replace

from infrastructure.simulator import templates
from infrastructure.simulator.asks import Ask
from infrastructure.simulator.golang import dump
from infrastructure.simulator.models import Model
from infrastructure.simulator.options import Options
from infrastructure.simulator.reading import WireError
from infrastructure.simulator.templates import Conversation, Message
from infrastructure.simulator.version import Version

_NO_SHIFT = (
    "the prompt is longer than the context length currently available to the model; shorten the prompt,"
    " adjust the context length in settings, or use a model with a longer context length"
)


@dataclass(frozen=True, slots=True)
class Prompt:
    """What the model reads."""

    text: str
    tokens: int
    whole: str
    """Before anything was cut from its middle."""


def rendered(ask: Ask, model: Model, options: Options, version: Version) -> str:
    """The prompt of a request; of a chat too long for the window the oldest messages are left out.

    Raises:
        WireError: the template cannot be rendered.
    """
    if ask.chat:
        conversation = _with_system(ask.conversation, model.spec.system)
        if ask.truncate:
            conversation = _newest(conversation, model, options.load.num_ctx, version)
        return model.render(conversation, version)
    return _generate_prompt(ask, model, version)


def fitted(text: str, ask: Ask, model: Model, options: Options, version: Version) -> Prompt:
    """The prompt cut to the window.

    Raises:
        WireError: it is too long and may not be cut.
    """
    tokens, num_ctx = model.tokenizer.count(text), options.load.num_ctx
    if tokens < num_ctx or (tokens == num_ctx and not version.child_server):
        return Prompt(text, tokens, text)
    if not ask.truncate or (model.native and version.child_server):
        window = version.window(num_ctx)
        if tokens < window:
            return Prompt(text, tokens, text)
        raise WireError(400, _too_long(tokens, window, version), late=True)
    if version.child_server and not options.load.shift:
        raise WireError(400, _NO_SHIFT, late=True)
    head = max(0, min(options.num_keep, num_ctx - 1))
    keep = version.truncated(num_ctx, head)
    ids = model.tokenizer.encode(text)
    return Prompt(model.tokenizer.decode(ids[:head] + ids[-(keep - head) :]), keep, text)


def _with_system(conversation: Conversation, system: str | None) -> Conversation:
    messages = conversation.messages
    if system and (not messages or messages[0].role != "system"):
        return replace(conversation, messages=(Message("system", system), *messages))
    return conversation


def _newest(conversation: Conversation, model: Model, num_ctx: int, version: Version) -> Conversation:
    """Without as many of the oldest messages as must go; system messages and the last one stay."""
    messages = conversation.messages

    def without(count: int) -> Conversation:
        kept = [message for message in messages[:count] if message.role == "system"]
        return replace(conversation, messages=(*kept, *messages[count:]))

    def fits(count: int) -> bool:
        return model.tokenizer.count(model.render(without(count), version)) <= num_ctx

    last = max(0, len(messages) - 1)
    return without(bisect_left(range(last), True, key=fits))


def _generate_prompt(ask: Ask, model: Model, version: Version) -> str:
    images = "".join(f"[img-{number}]" for number in range(ask.images))
    prompt = images + ask.prompt
    if ask.raw:
        return prompt
    system = ask.system or model.spec.system or ""
    before = model.tokenizer.decode(ask.context)
    if ask.template:
        try:
            return before + templates.render_custom(ask.template, system=system, prompt=prompt)
        except templates.TemplateError as error:
            raise WireError(500, str(error)) from error
    messages = (Message("system", system),) if system else ()
    return before + model.render(Conversation((*messages, Message("user", prompt))), version)


def _too_long(tokens: int, num_ctx: int, version: Version) -> str:
    if not version.child_server:
        return "the input length exceeds the context length"
    text = f"request ({tokens} tokens) exceeds the available context size ({num_ctx} tokens), try increasing it"
    return dump(
        {
            "error": {
                "code": 400,
                "message": text,
                "type": "exceed_context_size_error",
                "n_prompt_tokens": tokens,
                "n_ctx": num_ctx,
            }
        }
    ).decode()
