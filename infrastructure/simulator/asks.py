"""Owns what a chat or generate request asks for, read once from its JSON."""

from dataclasses import dataclass

from infrastructure.simulator.golang import Json, JsonObject
from infrastructure.simulator.reading import (
    Fields,
    WireError,
    read_context,
    read_conversation,
    read_fields,
    read_images,
    read_keep_alive,
    read_think,
)
from infrastructure.simulator.templates import Conversation, Message

_MOST_LOGPROBS = 20


@dataclass(frozen=True, slots=True)
class Ask:
    """One request to a model, the chat and the generate kind alike."""

    chat: bool
    model: str
    stream: bool
    format: Json
    keep_alive: float | None
    think: bool | None
    options: JsonObject
    truncate: bool
    shift: bool | None
    logprobs: bool
    top_logprobs: int
    render_only: bool
    conversation: Conversation
    prompt: str = ""
    system: str = ""
    template: str = ""
    suffix: str = ""
    context: tuple[int, ...] = ()
    raw: bool = False
    images: int = 0

    @property
    def empty(self) -> bool:
        """Whether there is nothing to answer: such a request only loads or unloads the model."""
        return not (self.conversation.messages if self.chat else self.prompt)


def read_chat(body: bytes) -> Ask:
    """Read `POST /api/chat`.

    Raises:
        WireError: the body does not fit.
    """
    fields = read_fields(body, "ChatRequest")
    return _read(fields, chat=True, conversation=read_conversation(fields))


def read_generate(body: bytes) -> Ask:
    """Read `POST /api/generate`.

    Raises:
        WireError: the body does not fit, or asks for things that exclude each other.
    """
    fields = read_fields(body, "GenerateRequest")
    prompt, system = fields.text("prompt"), fields.text("system")
    images = read_images(fields)
    return _read(
        fields, chat=False, conversation=Conversation((Message("user", prompt),)), images=images, system=system
    )


def _read(fields: Fields, *, chat: bool, conversation: Conversation, images: int = 0, system: str = "") -> Ask:
    ask = Ask(
        chat=chat,
        model=fields.text("model"),
        stream=fields.flag("stream") is not False,
        format=fields.raw("format"),
        keep_alive=read_keep_alive(fields.raw("keep_alive")),
        think=read_think(fields.raw("think")),
        options=fields.mapping("options"),
        truncate=fields.flag("truncate") is not False,
        shift=fields.flag("shift"),
        logprobs=bool(fields.flag("logprobs")),
        top_logprobs=fields.whole("top_logprobs"),
        render_only=bool(fields.flag("_debug_render_only")),
        conversation=conversation,
        prompt="" if chat else fields.text("prompt"),
        system=system,
        template="" if chat else fields.text("template"),
        suffix="" if chat else fields.text("suffix"),
        context=() if chat else read_context(fields),
        raw=not chat and bool(fields.flag("raw")),
        images=images + sum(message.images for message in conversation.messages),
    )
    if not 0 <= ask.top_logprobs <= _MOST_LOGPROBS:
        raise WireError(400, "top_logprobs must be between 0 and 20")
    return ask


def check_raw(ask: Ask) -> None:
    """Refuse a raw prompt with parts that only a template can place.

    Raises:
        WireError: it has them.
    """
    if ask.raw and (ask.system or ask.template or ask.context):
        raise WireError(400, "raw mode does not support template, system, or context")
