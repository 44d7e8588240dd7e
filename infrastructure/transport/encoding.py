"""Requests in the server's own form.

Owns the JSON bodies of every call, and the names that must not leave the machine. Only what is set is sent;
`truncate` is always false, so that the server refuses a prompt that is too long instead of cutting it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, cast

import orjson

from infrastructure.transport.errors import NotJson

if TYPE_CHECKING:
    from agents.model import JsonObject, JsonValue, Message, Options, Tool
    from infrastructure.transport.messages import ChatRequest, EmbedRequest, GenerateRequest, KeepAlive

JsonBody = dict[str, "JsonValue"]


@lru_cache(1024)
def is_cloud(model: str) -> bool:
    """Whether Ollama itself would send this model's calls to ollama.com: the tag ends with `cloud`.

    The rule of the server's `internal/modelref`: `x:cloud` and `x:8b-cloud`, also `x-cloud` without a tag;
    never `x:local`.
    """
    name, _, tag = model.strip().lower().rpartition("/")[2].partition(":")
    return tag == "cloud" or tag.endswith("-cloud") or (not tag and name.endswith("-cloud"))


def chat_body(request: ChatRequest) -> JsonBody:
    """The body of `POST /api/chat`."""
    body: JsonBody = {"model": request.model, "messages": [message_json(message) for message in request.messages]}
    if request.tools:
        body["tools"] = [tool_json(tool) for tool in request.tools]
    return _common(body, request)


def generate_body(request: GenerateRequest) -> JsonBody:
    """The body of `POST /api/generate`."""
    body: JsonBody = {"model": request.model, "prompt": request.prompt}
    if request.system is not None:
        body["system"] = request.system
    if request.suffix is not None:
        body["suffix"] = request.suffix
    if request.raw:
        body["raw"] = True
    return _common(body, request)


def embed_body(request: EmbedRequest) -> JsonBody:
    """The body of `POST /api/embed`."""
    body: JsonBody = {"model": request.model, "input": request.input, "truncate": request.truncate}
    if request.dimensions is not None:
        body["dimensions"] = request.dimensions
    return _lasting(body, request.options, request.keep_alive)


def load_body(model: str, options: Options, keep_alive: KeepAlive | None, shift: bool | None) -> JsonBody:
    """The body of a `POST /api/generate` that only loads the model (or, with `keep_alive` 0, unloads it)."""
    body: JsonBody = {"model": model, "stream": False}
    if shift is not None:
        body["shift"] = shift
    return _lasting(body, options, keep_alive)


def dump(body: JsonObject) -> bytes:
    """The bytes to send. A lone surrogate, which a file name may hold, becomes `?`: UTF-8 cannot say it.

    Raises:
        NotJson: something in it cannot be said in JSON.
    """
    try:
        # Copied, since orjson leaves 4 KB behind a short result, and a request may be kept as long as its answer comes.
        return bytes(memoryview(orjson.dumps(body, default=_plain)))
    except TypeError:
        return _dump_slowly(body)


def message_json(message: Message) -> JsonBody:
    """One turn; tool calls carry an object as arguments, as the server demands."""
    body: JsonBody = {"role": message.role, "content": message.content}
    if message.thinking:
        body["thinking"] = message.thinking
    if message.tool_calls:
        body["tool_calls"] = [
            ({"id": call.id} if call.id else {})
            | {"function": {"index": index, "name": call.name, "arguments": call.arguments}}
            for index, call in enumerate(message.tool_calls)
        ]
    if message.tool_name is not None:
        body["tool_name"] = message.tool_name
    if message.tool_call_id is not None:
        body["tool_call_id"] = message.tool_call_id
    if message.images:
        body["images"] = message.images
    return body


def tool_json(tool: Tool) -> JsonObject:
    """A tool as the server is offered it."""
    return {
        "type": "function",
        "function": {"name": tool.name, "description": tool.description, "parameters": tool.parameters},
    }


def _dump_slowly(body: JsonObject) -> bytes:
    """What orjson does not take: surrogates, and numbers beyond 64 bits."""
    try:
        return json.dumps(body, default=_plain, ensure_ascii=False).encode("utf-8", "replace")
    except (TypeError, ValueError, RecursionError) as error:
        raise NotJson(str(error)) from error


def _common(body: JsonBody, request: ChatRequest | GenerateRequest) -> JsonBody:
    """The body, with what both kinds of question have in it."""
    body["stream"], body["truncate"] = True, False
    if request.format is not None:
        body["format"] = request.format
    if request.think is not None:
        body["think"] = request.think
    if request.shift is not None:
        body["shift"] = request.shift
    return _lasting(body, request.options, request.keep_alive)


def _lasting(body: JsonBody, options: Options, keep_alive: KeepAlive | None) -> JsonBody:
    if options:
        body["options"] = dict(options)
    if keep_alive is not None:
        body["keep_alive"] = keep_alive
    return body


def _plain(value: object) -> object:
    if isinstance(value, Mapping):
        return dict(cast("Mapping[str, object]", value))
    if isinstance(value, Sequence):
        return list(cast("Sequence[object]", value))
    raise TypeError(f"{type(value).__name__} is not JSON")
