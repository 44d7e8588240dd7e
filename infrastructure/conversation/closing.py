"""Closing what is open when a turn ends: each call gets a result, which says what is known of it.

Owns those words. A call that nobody began was not done. Of one that was under way it is told what it has left, or that
nobody knows: a model that is told "not done" does it again.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, cast

from agents.conversation.history import open_calls
from infrastructure.conversation.calls import CallRecord, CallState
from infrastructure.conversation.ports import Toolbox, ToolOutcome
from infrastructure.conversation.results import ended_event, keep_result, result_chunk
from infrastructure.ids import RunId

if TYPE_CHECKING:
    from infrastructure.conversation.driving import ConversationParts, LiveTurn
    from infrastructure.events.catalogue import AnyEvent

_logger = logging.getLogger(__name__)
_BEGUN = (CallState.STARTED, CallState.WAITING, CallState.ENDED)
"""Ended without a result, which a crash took."""


async def close_calls(parts: ConversationParts, live: LiveTurn, agent: str, reason: str) -> None:
    """Give every open call of a turn a result, and take back what was asked about them."""
    session = live.record.session
    left = open_calls(parts.sessions.get_history(session).messages)
    if left:  # only they can have been asked about
        await parts.approvals.withdraw(session)
    for call in left:
        record, _ = await parts.calls.request(session, live.record.turn, call, "local")
        outcome = await _became(parts.tools, record, reason.rstrip("."))
        number = await keep_result(parts.sessions, parts.calls, record, outcome)
        parts.log.post(RunId(session), 0, cast("AnyEvent", ended_event(record, outcome, number)))
        live.feed.tell(result_chunk(agent, record, outcome, number))


async def _became(tools: Toolbox, record: CallRecord, reason: str) -> ToolOutcome:
    sheet = tools.sheet(record.session, record.tool)
    client = record.where == "client"
    if record.state in _BEGUN and (client or sheet is None or sheet.effects):
        who = "The client was to do this call" if client else "This call was under way"
        said = f"{who} when the turn ended ({reason}), so it is not known whether it took effect. Look before you"
        return ToolOutcome(f"{said} repeat it.", ok=False, error_class="Interrupted")
    try:
        found = None if client else await tools.left(record.session, record.call)
    except Exception:  # a file that cannot be looked at now must not leave this call, and those behind it, open
        _logger.warning("call %s: what it has left cannot be seen", record.call, exc_info=True)
        said = (
            f"This call was under way when the turn ended ({reason}), and what it left cannot be seen. Look before you"
        )
        return ToolOutcome(f"{said} repeat it.", ok=False, error_class="Interrupted")
    return found or ToolOutcome(f"Not done: {reason}.", ok=False, error_class="TurnEnded")
