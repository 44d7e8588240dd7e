"""What a server says, read into our values.

Owns the shapes of every answer. Tolerant on purpose: of all fields only `done` and `error` are certain, numbers may be
left out instead of 0, lists may be null, and words we do not know pass through. A number below 0 counts as left out;
one that no server can mean is refused, so that no sum of them outgrows the 64 bits of the store.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, TypeAlias, cast

import orjson

from agents.model import JsonObject, JsonValue, ToolCall
from infrastructure.transport.messages import (
    Chunk,
    Embeddings,
    Final,
    LoadedModel,
    LocalModel,
    Metrics,
    ModelInfo,
    PullProgress,
)
from infrastructure.transport.parameters import parse_parameters

if TYPE_CHECKING:
    from agents.model import Options

Line: TypeAlias = "dict[str, JsonValue]"

MOST_TOKENS = (1 << 31) - 1
"""The largest count of tokens: a thousand times the largest window there is."""
LARGEST = (1 << 53) - 1
"""Any other number: 104 days in nanoseconds, 9 petabytes; what JSON readers hold exactly."""
_NUMBER_BYTES = 2
_NUMBERS = frozenset((float, int))  # a truth value is neither, nor is a word that spells a number
_MOST_PARTS = 1 << 20


class BadShape(ValueError):
    """An answer is no JSON, or not of the shape that this endpoint has."""


def parse_object(data: bytes) -> Line:
    """One JSON object.

    Raises:
        BadShape: it is something else.
    """
    try:
        value: object = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise BadShape(f"not JSON ({error}): {_shown(data)}") from None
    if not isinstance(value, dict):
        raise BadShape(f"not a JSON object: {_shown(data)}")
    return cast("Line", value)


def chat_chunk(line: Line) -> Chunk:
    """A line of `/api/chat`."""
    message = _object(line, "message")
    calls = message.get("tool_calls")
    return Chunk(
        _text(message, "content"),
        _text(message, "thinking"),
        tuple(_tool_call(call) for call in _list(calls, "tool_calls")) if calls else (),
        _final(line) if line.get("done") else None,
    )


def generate_chunk(line: Line) -> Chunk:
    """A line of `/api/generate`."""
    return Chunk(
        _text(line, "response"),
        _text(line, "thinking"),
        (),
        _final(line) if line.get("done") else None,
    )


def embeddings(answer: Line, texts: int) -> Embeddings:
    """The answer of `/api/embed` to so many texts: a vector for each, or nobody knows which one is whose."""
    vectors = _list(answer.get("embeddings"), "embeddings")
    if len(vectors) != texts:
        raise BadShape(f"{len(vectors)} vectors for {texts} texts")
    return Embeddings(tuple(map(_vector, vectors)), _metrics(answer))


def _vector(value: JsonValue) -> tuple[float, ...]:
    if not isinstance(value, list) or not value or not _NUMBERS.issuperset(map(type, value)):
        raise BadShape("a vector is not a list of numbers")
    return tuple(map(float, cast("list[float]", value)))


def local_models(answer: Line) -> tuple[LocalModel, ...]:
    """The answer of `/api/tags`."""
    return tuple(_local_model(_as_object(model)) for model in _list(answer.get("models"), "models"))


def loaded_models(answer: Line) -> tuple[LoadedModel, ...]:
    """The answer of `/api/ps`."""
    return tuple(_loaded_model(_as_object(model)) for model in _list(answer.get("models"), "models"))


def model_info(answer: Line) -> ModelInfo:
    """The answer of `/api/show`."""
    details = _object(answer, "details")
    about = _object(answer, "model_info")
    architecture = about.get("general.architecture")
    return ModelInfo(
        capabilities=_words(answer.get("capabilities")) or (),
        context_length=_optional_int(about, f"{architecture}.context_length", MOST_TOKENS),
        parameters=_parameters(answer),
        family=_text(details, "family"),
        parameter_size=_text(details, "parameter_size"),
        quantization=_text(details, "quantization_level"),
        template=_text(answer, "template"),
        system=_text(answer, "system"),
        remote_host=_text(answer, "remote_host") or None,
        cache_token_bytes=_cache_token_bytes(about, f"{architecture}."),
    )


def version(answer: Line) -> str:
    """The answer of `/api/version`; a build without one says 0.0.0."""
    found = answer.get("version")
    if not isinstance(found, str):
        raise BadShape("no version in the answer")
    return found


def pull_progress(line: Line) -> PullProgress:
    """A line of `/api/pull`."""
    return PullProgress(
        status=_text(line, "status"),
        digest=_text(line, "digest") or None,
        total=_optional_int(line, "total"),
        completed=_int(line, "completed"),
    )


# ---------------------------------------------------------------------------------------------- pieces
def _final(line: Line) -> Final:
    # Servers older than 0.1.35 give no reason; they ended because the model did.
    return Final(_text(line, "done_reason") or "stop", _metrics(line))


def _metrics(line: Line) -> Metrics:
    return Metrics(
        _int(line, "total_duration"),
        _int(line, "load_duration"),
        _int(line, "prompt_eval_count", MOST_TOKENS),
        _int(line, "prompt_eval_duration"),
        _int(line, "eval_count", MOST_TOKENS),
        _int(line, "eval_duration"),
    )


def _tool_call(value: JsonValue) -> ToolCall:
    call = _as_object(value)
    function = _object(call, "function")
    name = _text(function, "name")
    if not name:
        raise BadShape("a tool call without a name")
    arguments = function.get("arguments")
    if isinstance(arguments, str):  # Ollama gives an object; gateways in front of it have been seen to give text.
        arguments = parse_object(arguments.encode() or b"{}")
    return ToolCall(name, {} if arguments is None else _as_object(arguments), _text(call, "id") or None)


def _local_model(model: JsonObject) -> LocalModel:
    details = _object(model, "details")
    return LocalModel(
        name=_text(model, "name") or _text(model, "model"),
        digest=_text(model, "digest"),
        size=_int(model, "size"),
        modified_at=_time(model, "modified_at"),
        family=_text(details, "family"),
        parameter_size=_text(details, "parameter_size"),
        quantization=_text(details, "quantization_level"),
        capabilities=_words(model.get("capabilities")),
        remote_host=_text(model, "remote_host") or None,
    )


def _loaded_model(model: JsonObject) -> LoadedModel:
    return LoadedModel(
        name=_text(model, "name") or _text(model, "model"),
        digest=_text(model, "digest"),
        size=_int(model, "size"),
        size_vram=_int(model, "size_vram"),
        context_length=_optional_int(model, "context_length", MOST_TOKENS),
        expires_at=_time(model, "expires_at"),
    )


def _cache_token_bytes(about: JsonObject, family: str) -> int | None:
    """2 bytes x layers x key-value heads x (length of a key + length of a value): measured so, to the byte, on 0.24.

    None where a layer has a state instead of a cache, or a compressed one, or heads of its own number (a list).
    """
    if any(name.startswith(f"{family}ssm.") for name in about) or f"{family}attention.kv_lora_rank" in about:
        return None
    layers, heads, kv_heads = (
        _count(about, f"{family}{name}") for name in ("block_count", "attention.head_count", "attention.head_count_kv")
    )
    width = _count(about, f"{family}embedding_length")
    own = width // heads if width and heads else None
    key = _count(about, f"{family}attention.key_length") or own
    value = _count(about, f"{family}attention.value_length") or own
    if not layers or not kv_heads or not key or not value:
        return None
    return _NUMBER_BYTES * layers * kv_heads * (key + value)


def _count(holder: JsonObject, name: str) -> int | None:
    """A number of parts of a model, where it is one."""
    value = holder.get(name)
    return value if type(value) is int and 0 < value <= _MOST_PARTS else None


def _parameters(answer: Line) -> Options:
    return parse_parameters(_text(answer, "parameters"))


# ---------------------------------------------------------------------------------------------- fields
def _as_object(value: JsonValue) -> JsonObject:
    # As nearly always it is a dict; to ask an abstract class costs several times as much.
    if type(value) is not dict and not isinstance(value, Mapping):
        raise BadShape(f"{value!r:.80} where an object belongs")
    return cast("JsonObject", value)


def _object(holder: JsonObject, name: str) -> JsonObject:
    value = holder.get(name)
    return {} if value is None else _as_object(value)


def _list(value: JsonValue, name: str) -> Sequence[JsonValue]:
    if value is None:
        return ()
    if not isinstance(value, list):
        raise BadShape(f"{name} is not a list")
    return value


def _text(holder: JsonObject, name: str) -> str:
    value = holder.get(name)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise BadShape(f"{name} is not text")
    return value


def _words(value: JsonValue) -> tuple[str, ...] | None:
    if value is None:
        return None
    return tuple(word for word in _list(value, "capabilities") if isinstance(word, str))


def _int(holder: JsonObject, name: str, most: int = LARGEST) -> int:
    value = holder.get(name)
    if type(value) is int and 0 <= value <= most:  # as nearly always
        return value
    return _optional_int(holder, name, most) or 0


def _optional_int(holder: JsonObject, name: str, most: int = LARGEST) -> int | None:
    value = holder.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise BadShape(f"{name} is not a number")
    if value > most:
        raise BadShape(f"{name} is larger than {most}")
    return int(value) if value >= 0 else None


def _time(holder: JsonObject, name: str) -> datetime | None:
    text = _text(holder, name)
    try:
        found = datetime.fromisoformat(text) if text else None
    except ValueError:  # a time we cannot read is no reason to lose the model it stands beside
        return None
    return found if found is not None and found.tzinfo is not None else None


def _shown(data: bytes) -> str:
    return repr(data[:80].decode(errors="replace"))
