"""What one model is like on one server: asked once, measured once.

Owns the question, and what its answer and the server's lists mean.
"""

from __future__ import annotations

import time
from contextlib import aclosing
from dataclasses import dataclass

from backend.cli.findings import Finding
from infrastructure.config.settings import LaneSettings, ServerSettings, Settings
from infrastructure.connection_pool import OllamaConnectionPool, Reply
from infrastructure.pool.lanes import canonical, lane_of
from infrastructure.transport.client import OllamaClient
from infrastructure.transport.errors import ModelNotFound, OllamaError
from infrastructure.transport.messages import LoadedModel, ModelInfo
from infrastructure.workflow.lanes import SIMULATED_FAMILY

_WORDS = "a model reads this many words so that its speed with prompts can be told from what it took "
_REPEATED = 24
_ANSWER_TOKENS = 96
_SHOW_SECONDS = 15.0
SLOW_TOKENS_PER_SECOND = 5.0
"""Below that a patch takes many minutes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """A model on a server."""

    server: str
    model: str
    lane: LaneSettings
    info: ModelInfo | None = None
    loaded: LoadedModel | None = None
    """As it is in memory after it was asked."""
    reply: Reply | None = None
    """None of a model that only embeds."""
    fault: OllamaError | None = None

    @property
    def has_it(self) -> bool:
        """Whether the server has the model at all."""
        return not isinstance(self.fault, ModelNotFound)

    @property
    def embeds(self) -> bool:
        """Whether it can only embed."""
        return self.info is not None and "embedding" in self.info.capabilities and self.reply is None

    @property
    def prompt_speed(self) -> float:
        """Tokens a second; 0 where it was not measured."""
        return 0.0 if self.reply is None else _rate(self.reply.metrics.prompt_tokens, self.reply.prompt_seconds)

    @property
    def decode_speed(self) -> float:
        """Tokens a second; 0 where it was not measured."""
        return 0.0 if self.reply is None else _rate(self.reply.metrics.completion_tokens, self.reply.decode_seconds)


async def check_model(settings: Settings, server: ServerSettings, name: str) -> Checked:
    """Ask a model on a server one short thing. What goes wrong is in the result.

    Args:
        settings: Lanes and limits.
        server: The server.
        name: A lane or a model.
    """
    lane = settings.lane_of(name)
    seen = Checked(server=server.label, model=lane.model, lane=lane)
    async with (
        OllamaConnectionPool((server,), lanes=settings.lanes, settings=settings.pool) as pool,
        aclosing(OllamaClient(server, allow_cloud=settings.pool.allow_cloud)) as client,
    ):
        try:
            info = await client.show(lane.model, seconds=_SHOW_SECONDS)
            reply = await _ask(pool, name, info)
            loaded = await client.ps()
        except OllamaError as error:
            return Checked(server=seen.server, model=seen.model, lane=lane, fault=error)
    here = next((each for each in loaded if canonical(each.name) == canonical(lane.model)), None)
    return Checked(server=seen.server, model=seen.model, lane=lane, info=info, loaded=here, reply=reply)


async def _ask(pool: OllamaConnectionPool, name: str, info: ModelInfo) -> Reply | None:
    if "embedding" in info.capabilities and "completion" not in info.capabilities:
        await pool.embed(model=name, input="one")
        return None
    text = f"{time.time_ns()} {_WORDS * _REPEATED}\nCount from one to fifty in words."  # no cache has this beginning
    return await pool.chat(
        model=name,
        messages=[{"role": "user", "content": text}],
        options={"num_predict": _ANSWER_TOKENS, "temperature": 0},
    )


def findings_of(checked: Checked) -> tuple[Finding, ...]:
    """What is to be said of it."""
    name = f"{checked.model} on {checked.server}"
    if checked.fault is not None:
        hint = checked.fault.hint
        fix = f"Type: corral models pull {checked.model}" if not checked.has_it else hint
        said = (
            "the server does not have it"
            if not checked.has_it
            else str(checked.fault).removeprefix(f"{checked.server}: ")
        )
        return (Finding(name, "bad", said, fix),)
    found = [_answers(name, checked), _window(checked), _memory(checked), _abilities(checked)]
    return tuple(finding for finding in found if finding is not None)


def _answers(name: str, checked: Checked) -> Finding:
    reply = checked.reply
    if reply is None:
        return Finding(name, "good", "makes vectors")
    load = f", after a load of {reply.load_seconds:.1f} s" if reply.load_seconds >= 0.1 else ""
    said = (
        f"answers{load}: first token {reply.first_byte_seconds:.2f} s, prompt {checked.prompt_speed:,.0f} tokens/s, "
        f"answer {checked.decode_speed:,.1f} tokens/s"
    )
    if not reply.text and not reply.thinking and not reply.tool_calls:
        return Finding(name, "warning", "answers nothing", "Look at its template: ollama show --template MODEL")
    if 0 < checked.decode_speed < SLOW_TOKENS_PER_SECOND:
        return Finding(name, "warning", said, "Use a smaller model, or one that fits on the GPU.")
    return Finding(name, "good", said)


def _window(checked: Checked) -> Finding | None:
    info, loaded = checked.info, checked.loaded
    effective = None if loaded is None else loaded.context_length
    if checked.embeds or effective is None:
        return None
    asked = checked.lane.num_ctx
    trained = None if info is None else info.context_length
    said = f"{effective:,} tokens"
    if asked is not None and effective < asked:
        fix = "Lower the lane's num_ctx to it; the model was trained for no more." if trained == effective else (
            "Unload it (`ollama stop`), so that it is loaded with the lane's; or free memory on the server."
        )  # fmt: skip
        return Finding("context", "warning", f"{said}, fewer than the {asked:,} that the lane asks for", fix)
    origin = "as the lane asks" if asked is not None else "the server's choice, since no lane asks for a number"
    room = f"; it was trained for {trained:,}" if trained else ""
    return Finding("context", "good", f"{said}, {origin}{room}")


def _memory(checked: Checked) -> Finding | None:
    loaded = checked.loaded
    if loaded is None:
        return None
    said = f"{loaded.size / 1e9:.1f} GB in memory"
    if checked.info is not None and checked.info.family == SIMULATED_FAMILY:
        return Finding("memory", "good", f"{said}, all of it simulated")
    if loaded.size_vram >= loaded.size:
        return Finding("memory", "good", f"{said}, all of it on the GPU")
    if not loaded.size_vram:
        return Finding(
            "memory",
            "warning",
            f"{said}, none of it on a GPU, so it is slow",
            "Use a server with a GPU, or a smaller model.",
        )
    share = 100 * loaded.size_vram // max(1, loaded.size)
    fix = "Use a smaller model, a smaller window, or fewer models at once: `corral models fit`."
    return Finding("memory", "warning", f"{said}, only {share} % of it on the GPU, so it is slow", fix)


def _abilities(checked: Checked) -> Finding | None:
    if checked.info is None:
        return None
    able = checked.info.capabilities
    lacks = [each for each in ("tools", "thinking") if each not in able]
    without = f"; not: {', '.join(lacks)}" if lacks and not checked.embeds else ""
    said = f"{', '.join(able) or 'none named'}{without}; {checked.info.quantization or 'unknown'} quantization"
    if not checked.info.template and not checked.embeds:
        return Finding("abilities", "good", f"{said}; no template of its own: the one in its file is used")
    return Finding("abilities", "good", said)


def document_of(checked: Checked) -> dict[str, object]:
    """The same for programs."""
    loaded, info, reply = checked.loaded, checked.info, checked.reply
    return {
        "server": checked.server,
        "model": checked.model,
        "answers": checked.fault is None,
        "context_asked": checked.lane.num_ctx,
        "context_effective": None if loaded is None else loaded.context_length,
        "context_trained": None if info is None else info.context_length,
        "size": None if loaded is None else loaded.size,
        "size_vram": None if loaded is None else loaded.size_vram,
        "capabilities": None if info is None else info.capabilities,
        "lane_options": lane_of(checked.lane, {}).options,
        "load_seconds": None if reply is None else reply.load_seconds,
        "first_token_seconds": None if reply is None else reply.first_byte_seconds,
        "prompt_tokens_per_second": checked.prompt_speed or None,
        "decode_tokens_per_second": checked.decode_speed or None,
        "error": None if checked.fault is None else str(checked.fault),
    }


def _rate(tokens: int, seconds: float) -> float:
    return tokens / seconds if seconds > 0 else 0.0
