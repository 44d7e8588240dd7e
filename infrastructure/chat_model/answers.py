"""Our answers as LangChain's.

Owns which field of a reply stands where in a message, whole or in pieces.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, cast
from uuid import uuid4

from langchain_core.messages import AIMessage, AIMessageChunk, InputTokenDetails, UsageMetadata
from langchain_core.messages.tool import ToolCallChunk, tool_call, tool_call_chunk
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult

from infrastructure.transport.messages import Chunk

if TYPE_CHECKING:
    from agents.model import JsonValue, ToolCall
    from infrastructure.connection_pool import Reply


def result_of(reply: Reply) -> ChatResult:
    """A whole answer."""
    message = AIMessage(
        content=reply.text,
        additional_kwargs=_reasoning(reply.thinking),
        tool_calls=[
            tool_call(name=call.name, args=_plain_object(call.arguments), id=_id(call)) for call in reply.tool_calls
        ],
        usage_metadata=usage_of(reply),
        response_metadata=about(reply),
    )
    return ChatResult(generations=[ChatGeneration(message=message, generation_info={"done_reason": reply.finish})])


class Streamed:
    """The pieces of one answer as LangChain's: the last has figures, and the calls that no piece had."""

    def __init__(self) -> None:
        self._calls = 0

    def chunk(self, piece: Chunk | Reply) -> ChatGenerationChunk:
        """The next one."""
        if isinstance(piece, Chunk):
            return _generation(
                AIMessageChunk(
                    content=piece.text,
                    additional_kwargs=_reasoning(piece.thinking),
                    tool_call_chunks=self._call_chunks(piece.tool_calls),
                )
            )
        return _generation(
            AIMessageChunk(
                content="",
                tool_call_chunks=self._call_chunks(piece.tool_calls[self._calls :]),
                usage_metadata=usage_of(piece),
                response_metadata=about(piece),
                chunk_position="last",
            )
        )

    def _call_chunks(self, calls: Sequence[ToolCall]) -> list[ToolCallChunk]:
        first, self._calls = self._calls, self._calls + len(calls)
        return [
            tool_call_chunk(
                name=call.name,
                args=json.dumps(_plain_object(call.arguments), ensure_ascii=False),
                id=_id(call),
                index=first + number,
            )
            for number, call in enumerate(calls)
        ]


def usage_of(reply: Reply) -> UsageMetadata:
    """Tokens by the server's count; a cached part of the prompt is within the input, and told where it is known."""
    asked, answered = reply.metrics.prompt_tokens, reply.metrics.completion_tokens
    usage = UsageMetadata(input_tokens=asked, output_tokens=answered, total_tokens=asked + answered)
    if reply.cached_tokens:
        usage["input_token_details"] = InputTokenDetails(cache_read=min(asked, reply.cached_tokens))
    return usage


def about(reply: Reply) -> dict[str, object]:
    """What is known of an answer, by Ollama's names (durations in nanoseconds), and what the pool saw (in seconds)."""
    metrics = reply.metrics
    return {
        "model": reply.model,
        "model_name": reply.model,
        "model_provider": "ollama",
        "server": reply.server,
        "done_reason": reply.finish,
        "total_duration": metrics.total_ns,
        "load_duration": metrics.load_ns,
        "prompt_eval_duration": metrics.prompt_ns,
        "eval_duration": metrics.decode_ns,
        "queued_seconds": reply.queued_seconds,
        "first_byte_seconds": reply.first_byte_seconds,
        "seconds": reply.seconds,
        "attempts": reply.attempts,
    }


def _generation(message: AIMessageChunk) -> ChatGenerationChunk:
    return ChatGenerationChunk(message=message)


def _reasoning(thinking: str) -> dict[str, object]:
    return {"reasoning_content": thinking} if thinking else {}


def _id(call: ToolCall) -> str:
    return call.id or f"call_{uuid4().hex}"


def _plain_object(value: Mapping[str, JsonValue]) -> dict[str, object]:
    return {name: _plain(item) for name, item in value.items()}


def _plain(value: JsonValue) -> object:
    if isinstance(value, Mapping):
        return _plain_object(value)
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_plain(item) for item in cast("Sequence[JsonValue]", value)]
    return value
