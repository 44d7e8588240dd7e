"""The result of a call: kept, and then told.

Owns the order in which a call ends. Its row says so only when the result is on disk, in every mode: a row that has
ended stands for a result that is there.
"""

from __future__ import annotations

from agents.conversation.chunks import StreamChunk
from infrastructure.conversation.calls import CallRecord, CallStore
from infrastructure.conversation.ports import Sessions, ToolOutcome
from infrastructure.events.catalogue import ToolCompleted, ToolFailed

_TOLD = 500
"""Characters of a failure in its event; the message has all of it."""


async def keep_result(sessions: Sessions, calls: CallStore, record: CallRecord, outcome: ToolOutcome) -> int:
    """Write a call's result, which ends it; the number of its message. Both are on disk."""
    number = await sessions.append_tool_result(record.session, record.tool_call, outcome.text, ok=outcome.ok)
    await sessions.flush(record.session)
    await calls.end(record.session, record.call)
    return number


def ended_event(
    record: CallRecord, outcome: ToolOutcome, number: int, seconds: float = 0.0
) -> ToolCompleted | ToolFailed:
    """What the log is told of a call that is done."""
    if outcome.ok:
        return ToolCompleted(
            call=record.call, tool=record.tool, number=number, seconds=seconds, sandbox=outcome.sandbox
        )
    return ToolFailed(
        call=record.call,
        tool=record.tool,
        number=number,
        error_class=outcome.error_class or "Failed",
        error_message=outcome.text[:_TOLD],
        sandbox=outcome.sandbox,
    )


def result_chunk(agent: str, record: CallRecord, outcome: ToolOutcome, number: int) -> StreamChunk:
    """What watchers are told of a call that is done."""
    return StreamChunk(
        kind="tool_result",
        agent=agent,
        text=outcome.text,
        call=record.call,
        tool=record.tool,
        message=number,
        ok=outcome.ok,
    )
