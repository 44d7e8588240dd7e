"""`summarise`: the older part of a session becomes one message, so that what follows fits the window."""

from __future__ import annotations

import time
from collections.abc import Sequence

from agents.conversation.compacting import Compaction, compaction, summary_text, told_by_code, transcript
from agents.conversation.summariser import SUMMARISER, SUMMARY_KEEP, SummaryQuestion
from agents.errors import AgentError
from agents.model import Message, Question
from agents.prompting import excerpt
from infrastructure.conversation.routing import SUMMARISE
from infrastructure.conversation.scope import TurnScope
from infrastructure.conversation.state import SummaryWrites, TurnReads
from infrastructure.conversation.streaming import CLIENT, ONE_ANSWER
from infrastructure.events.catalogue import AnyEvent, Event, TextStreamed
from infrastructure.pool.calls import Call
from infrastructure.transport.errors import OllamaError
from infrastructure.workflow.asking import StepModel
from infrastructure.workflow.budget import Budget
from infrastructure.workflow.ports import ForgetfulRecorder

_ANSWER = 4_096


async def summarise_node(state: TurnReads, scope: TurnScope) -> SummaryWrites:
    """Summarise, keeping the less word for word the more often it did not do."""
    room = await scope.source.room(state["agent"])

    def count(messages: Sequence[Message]) -> int:
        return room.tokens(Question(messages=tuple(messages)))

    keep = max(0, room.prompt_limit(_ANSWER)) // 2 ** state.get("crowded", 1)
    what = compaction(scope.sessions.get_history(scope.session), count, keep)
    if what is not None:
        prose = excerpt(await summary_of(scope, what), SUMMARY_KEEP)
        facts = await scope.sessions.facts(scope.session)
        text, key = summary_text(what, prose, facts.todos), f"{scope.turn}/summary/{what.upto}"
        await scope.sessions.append_summary(scope.session, text, what.upto, key, agent=SUMMARISE)
    return {}


async def summary_of(scope: TurnScope, what: Compaction) -> str:
    """What a model says of the older part; what code can tell of it, where none answers."""
    question = SummaryQuestion(
        older=transcript(what.older), before=what.before.content if what.before is not None else ""
    )

    def emit(event: Event) -> None:
        if not isinstance(event, TextStreamed):
            scope.announce(_as_any(event.model_copy(update={"node": SUMMARISE})))

    model = StepModel(
        role=SUMMARISER.name,
        step=f"{scope.turn}/summary/{what.upto}",
        call=Call(client=CLIENT, prefix=f"{scope.session}/{SUMMARISE}"),
        source=scope.source,
        recorder=ForgetfulRecorder(),
        budget=Budget(limits=ONE_ANSWER, now=time.monotonic, started=time.monotonic()),
        emit=emit,
    )
    try:
        return await SUMMARISER.ask(model, question)
    except (OllamaError, AgentError):
        return told_by_code(what)


def _as_any(event: Event) -> AnyEvent:
    return event  # pyright: ignore[reportReturnType] - every event of a call is in the catalogue
