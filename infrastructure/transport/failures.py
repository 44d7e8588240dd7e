"""Which error a failed HTTP answer is.

Owns the reading of error bodies (a JSON object, JSON within its text, the shapes of OpenAI and Anthropic, plain text,
HTML of a proxy, or nothing) and the table from status and wording to the error tree. Wording is matched loosely: it
differs between versions.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, cast

import orjson

from infrastructure.transport.decoding import MOST_TOKENS
from infrastructure.transport.errors import (
    ContextExceeded,
    ModelNotFound,
    NotAuthorized,
    OllamaError,
    RequestRefused,
    ServerBusy,
    ServerFailed,
)

if TYPE_CHECKING:
    from agents.model import JsonObject, JsonValue

LONGEST_MESSAGE = 2000
_DEPTH = 4
_NAMES = ("error", "message", "detail", "status")
_TITLE = re.compile(r"<(title|h1)[^>]{0,200}>([^<]{1,300})<", re.IGNORECASE)
_COUNTS = re.compile(r"\((\d{1,12}) tokens\)[^(]{0,200}\((\d{1,12}) tokens\)")
_TOO_LONG = (
    "exceed_context_size",
    "exceeds the available context",
    "input length exceeds",
    "prompt is longer than the context",
    "exceeds maximum context",
)
# Said with 503 by HAProxy, Envoy and Traefik; Ollama's own 503 is a full queue.
_NOBODY_BEHIND = (b"no server is available", b"no healthy upstream", b"no available server")
# Said with 500, but about the request: no other server would take it either.
_OUR_FAULT = ("must be of type", "invalid format", "invalid options")
_HOST_HINT = (
    "the server refuses the Host of this address: use its IP or localhost, or let the proxy in front rewrite Host to"
    " localhost:11434"
)
_PATH_HINT = "nothing of Ollama's is at this path: check the address and its path prefix"
_REDIRECT_HINT = "the server points elsewhere, which is not followed: give that address"


def failure(status: int, body: bytes, *, model: str = "", server: str = "", location: str = "") -> OllamaError:
    """The error that an answer with a status other than 200 stands for."""
    message, details = _read(body)
    if any(phrase in message for phrase in _TOO_LONG) or details.get("type") == "exceed_context_size_error":
        return _context_exceeded(message, details, server)
    if status in (401, 403):
        return _not_authorized(status, message, details, body, server)
    if status in (429, 503) and not (status == 503 and _nobody_behind(body)):
        return ServerBusy(server=server)
    if status == 404 and model and "not found" in message and "page not found" not in message:
        return ModelNotFound(model, server=server)
    if status == 404:
        return RequestRefused(status, message, server=server, hint=_PATH_HINT)
    if status >= 500 and not any(phrase in message for phrase in _OUR_FAULT):
        return ServerFailed(status, message, server=server)
    if 300 <= status < 400:
        return RequestRefused(status, location or message, server=server, hint=_REDIRECT_HINT)
    return RequestRefused(status, message, server=server)


def error_text(value: JsonValue) -> str:
    """The words of an `error` field, whatever they are wrapped in."""
    return _unwrap(value)[0]


def _nobody_behind(body: bytes) -> bool:
    """Whether a proxy says that it has no server to ask."""
    return any(phrase in body.lower() for phrase in _NOBODY_BEHIND)


def _context_exceeded(message: str, details: JsonObject, server: str) -> ContextExceeded:
    prompt, window = _tokens(details.get("n_prompt_tokens")), _tokens(details.get("n_ctx"))
    counts = _COUNTS.search(message)
    if counts and not (prompt and window):
        prompt, window = _tokens(int(counts[1])), _tokens(int(counts[2]))
    return ContextExceeded(prompt, window, server=server) if prompt and window else ContextExceeded(server=server)


def _tokens(value: JsonValue) -> int | None:
    return value if isinstance(value, int) and 0 < value <= MOST_TOKENS else None


def _not_authorized(status: int, message: str, details: JsonObject, body: bytes, server: str) -> NotAuthorized:
    hint = None
    signin = details.get("signin_url")
    if isinstance(signin, str):
        hint = f"sign in to ollama.com for this cloud model: {signin}"
    elif status == 403 and not body.strip():
        hint = _HOST_HINT
    return NotAuthorized(status, message, server=server, hint=hint)


def _read(body: bytes) -> tuple[str, JsonObject]:
    text = body.decode(errors="replace").strip()
    message, details = _unwrap(text)
    if message.startswith("<"):
        title = _TITLE.search(message)
        message = title[2].strip() if title else "an HTML page"
    return message[:LONGEST_MESSAGE], details


def _unwrap(value: JsonValue, depth: int = 0) -> tuple[str, JsonObject]:
    """The innermost message, and the object that held it."""
    if isinstance(value, str):
        inner = _parsed(value) if depth < _DEPTH else None
        return (value, {}) if inner is None else _unwrap(inner, depth + 1)
    if isinstance(value, Mapping):
        for name in _NAMES:
            found = value.get(name)
            if isinstance(found, str | Mapping) and found:
                message, details = _unwrap(found, depth + 1)
                return message, details or value
        return "", value
    return ("" if value is None else str(value)), {}


def _parsed(text: str) -> JsonObject | None:
    if not text.lstrip().startswith("{"):
        return None
    try:
        value: object = orjson.loads(text)
    except orjson.JSONDecodeError:
        return None
    return cast("JsonObject", value) if isinstance(value, dict) else None
