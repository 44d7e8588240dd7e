"""What an agent yields while it answers: one kind of value for every door."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from agents.model import JsonObject

ChunkKind: TypeAlias = Literal[
    "text", "thinking", "restarted", "tool_call", "tool_result", "approval", "client_call", "switch", "done", "failed"
]


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamChunk:
    """A piece of an answer.

    Attributes:
        kind: `text` and `thinking` are pieces to append; `restarted` takes back those since the last message;
            `tool_call` says that one is wanted, `tool_result` what came of it; `approval` waits for a person,
            `client_call` for the client that runs this tool; `switch` names another agent; `done` and `failed` end a
            turn.
        agent: Who speaks.
        text: The piece, the result, the reason of a switch or failure.
        call: Id of the tool call it belongs to, unique in its session; empty where it belongs to none.
        tool: Name of that tool.
        arguments: Of a `tool_call`, `approval` or `client_call`.
        approval: Id of the approval that is waited for.
        message: Number of the message in the session that this chunk completes; 0 for a piece of one.
        ok: Whether a tool did what it was asked for.
    """

    kind: ChunkKind
    agent: str = ""
    text: str = ""
    call: str = ""
    tool: str = ""
    arguments: JsonObject | None = None
    approval: str = ""
    message: int = 0
    ok: bool = True
