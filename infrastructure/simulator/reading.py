"""Owns reading a request's JSON: fields with the types and the error texts of the real server."""

import base64
import binascii
import json
from dataclasses import dataclass
from typing import cast

import orjson

from infrastructure.simulator.golang import FOREVER, Json, JsonObject, dump, parse_duration
from infrastructure.simulator.templates import Conversation, Message, ToolUse

_THINK_LEVELS = ("high", "medium", "low", "max")


class WireError(Exception):
    """A request that is answered with a status and `{"error": text}`."""

    def __init__(self, status: int, text: str, *, late: bool = False) -> None:
        super().__init__(text)
        self.status = status
        self.text = text
        self.late = late
        """Found once the model was loaded: a streamed request gets it in a streamed answer's framing."""


@dataclass(frozen=True, slots=True)
class Fields:
    """A JSON object read as the Go struct `struct`."""

    struct: str
    values: JsonObject

    def raw(self, name: str) -> Json:
        """The value as it is; None where it is absent or null."""
        return self.values.get(name)

    def text(self, name: str) -> str:
        """A string, empty where absent."""
        value = self.raw(name)
        if value is None:
            return ""
        if not isinstance(value, str):
            raise self._mistyped(name, value, "string")
        return value

    def flag(self, name: str) -> bool | None:
        """A boolean, None where absent."""
        value = self.raw(name)
        if value is None or isinstance(value, bool):
            return value
        raise self._mistyped(name, value, "bool")

    def whole(self, name: str) -> int:
        """An integer, 0 where absent."""
        value = self.raw(name)
        if value is None:
            return 0
        if isinstance(value, bool) or not isinstance(value, int):
            raise self._mistyped(name, value, "int", shown=f" {value}" if isinstance(value, float) else "")
        return value

    def mapping(self, name: str) -> JsonObject:
        """An object, empty where absent."""
        value = self.raw(name)
        if value is None:
            return {}
        if not isinstance(value, dict):
            raise self._mistyped(name, value, "map[string]interface {}")
        return value

    def items(self, name: str, of: str) -> list[Json]:
        """An array, empty where absent."""
        value = self.raw(name)
        if value is None:
            return []
        if not isinstance(value, list):
            raise self._mistyped(name, value, "api.Tools" if of == "api.Tool" else f"[]{of}")
        return value

    def part(self, name: str) -> "Fields":
        """An object of a struct of its own, empty where absent."""
        value = self.raw(name)
        if not isinstance(value, dict | None):
            raise self._mistyped(name, value, "api.ToolCallFunction")
        return Fields(f"{self.struct}.{name}", value or {})

    def wrong_item(self, name: str, value: Json, wanted: str) -> WireError:
        """The error for an array's item that has another type than `wanted`."""
        return self._mistyped(name, value, wanted)

    def _mistyped(self, name: str, value: Json, wanted: str, shown: str = "") -> WireError:
        return WireError(
            400,
            f"json: cannot unmarshal {_kind(value)}{shown} into Go struct field {self.struct}.{name} of type {wanted}",
        )


def read_fields(body: bytes, struct: str) -> Fields:
    """The fields of a request's body; names in any case, only the first JSON value is read.

    Raises:
        WireError: there is no body, or it is no JSON object.
    """
    if not body.strip():
        raise WireError(400, "missing request body")
    try:
        value = cast("Json", orjson.loads(body))
    except orjson.JSONDecodeError:
        value = _first_value(body.decode("utf-8", "replace"))
    if value is None:
        value = {}
    if not isinstance(value, dict):
        raise WireError(400, f"json: cannot unmarshal {_kind(value)} into Go value of type api.{struct}")
    return Fields(struct, {name.lower() if name.isascii() else name: item for name, item in value.items()})


def read_keep_alive(value: Json) -> float | None:
    """Seconds a model stays after its last request: None as before, `FOREVER` where negative."""
    if value is None:
        return None
    if isinstance(value, str):
        try:
            seconds = parse_duration(value)
        except ValueError as error:
            raise WireError(400, str(error)) from error
    elif isinstance(value, int | float) and not isinstance(value, bool):
        seconds = float(value)
    else:
        raise WireError(400, f"Unsupported type: '{_go_type(value)}'")
    return FOREVER if seconds < 0 else seconds


def read_think(value: Json) -> bool | None:
    """Whether thinking is asked for; None where the request does not say.

    Raises:
        WireError: neither a boolean nor a known level.
    """
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str) and value in _THINK_LEVELS:
        return True
    if isinstance(value, str):
        raise WireError(
            400,
            f'invalid think value: "{value}" (must be "high", "medium", "low", "max", true, or false)',
        )
    raise WireError(400, 'think must be a boolean or string ("high", "medium", "low", "max", true, or false)')


def read_images(fields: Fields) -> int:
    """How many images there are.

    Raises:
        WireError: one is not base64.
    """
    values = fields.items("images", "api.ImageData")
    for value in values:
        if not isinstance(value, str):
            raise fields.wrong_item("images", value, "api.ImageData")
        try:
            base64.b64decode(value, validate=True)
        except binascii.Error as error:
            raise WireError(400, f"illegal base64 data at input byte {_bad_byte(value)}") from error
    return len(values)


def read_context(fields: Fields) -> tuple[int, ...]:
    """The token ids of an earlier answer.

    Raises:
        WireError: one is no integer.
    """
    numbers: list[int] = []
    for value in fields.items("context", "int"):
        if isinstance(value, bool) or not isinstance(value, int):
            raise fields.wrong_item("context", value, "int")
        numbers.append(value)
    return tuple(numbers)


def read_conversation(fields: Fields) -> Conversation:
    """The messages and tools of a chat request."""
    messages = tuple(_message(fields, item) for item in fields.items("messages", "api.Message"))
    tools = tuple(_tool(fields, item) for item in fields.items("tools", "api.Tool"))
    return Conversation(messages, tools)


def read_format(value: Json) -> JsonObject | str | None:
    """The schema asked for, `"json"`, or None.

    Raises:
        WireError: anything else, which the server finds out late.
    """
    if value is None or value == "":
        return None
    if isinstance(value, dict):
        return value
    if value == "json":
        return "json"
    shown = dump(dump(value).decode()).decode()
    raise WireError(500, f'invalid format: {shown}; expected "json" or a valid JSON Schema object', late=True)


def _message(fields: Fields, item: Json) -> Message:
    if not isinstance(item, dict):
        raise fields.wrong_item("messages", item, "api.Alias")
    inner = Fields("ChatRequest.messages", item)
    return Message(
        role=inner.text("role").lower(),
        content=inner.text("content"),
        thinking=inner.text("thinking"),
        tool_uses=tuple(_tool_use(use) for use in inner.items("tool_calls", "api.ToolCall")),
        tool_name=inner.text("tool_name"),
        images=read_images(inner),
    )


def _tool(fields: Fields, item: Json) -> JsonObject:
    if not isinstance(item, dict):
        raise fields.wrong_item("tools", item, "api.Tool")
    return item


def _tool_use(item: Json) -> ToolUse:
    use = Fields("ChatRequest.messages.tool_calls", item if isinstance(item, dict) else {})
    function = use.part("function")
    arguments = function.raw("arguments")
    if not isinstance(arguments, dict | None):
        raise WireError(400, "Value looks like object, but can't find closing '}' symbol")
    return ToolUse(function.text("name"), arguments or {})


def _first_value(text: str) -> Json:
    try:
        return cast("Json", json.JSONDecoder().raw_decode(text.lstrip())[0])
    except json.JSONDecodeError as error:
        stripped = text.lstrip()
        _check_literal(stripped[error.pos :])
        if error.pos >= len(stripped.rstrip()) or "Unterminated string" in error.msg:
            raise WireError(400, "unexpected EOF") from error
        shown = stripped[error.pos]
        if "property name" in error.msg:
            place = "looking for beginning of object key string"
        elif "control character" in error.msg:
            shown, place = shown.encode("unicode_escape").decode(), "in string literal"
        else:
            place = "looking for beginning of value"
        raise WireError(400, f"invalid character '{shown}' {place}") from error
    except RecursionError:
        raise WireError(400, "exceeded max depth") from None


def _check_literal(text: str) -> None:
    """Complain of a misspelt `true`, `false` or `null` as Go does."""
    literal = next((word for word in ("true", "false", "null") if word[0] == text[:1]), "")
    for place, wanted in enumerate(literal):
        if place == len(text):
            raise WireError(400, "unexpected EOF")
        if text[place] != wanted:
            shown = f"invalid character '{text[place]}' in literal {literal} (expecting '{wanted}')"
            raise WireError(400, shown)


def _kind(value: Json) -> str:
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, int | float):
        return "number"
    if isinstance(value, str):
        return "string"
    if isinstance(value, list):
        return "array"
    return "null" if value is None else "object"


def _go_type(value: Json) -> str:
    if isinstance(value, bool):
        return "bool"
    return "[]interface {}" if isinstance(value, list) else "map[string]interface {}"


def _bad_byte(text: str) -> int:
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/="
    return next((index for index, letter in enumerate(text) if letter not in alphabet), len(text))
