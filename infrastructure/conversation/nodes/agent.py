"""An agent's node: it answers what the session ends with, once; or makes out that it cannot.

Owns the step's context: what of the turn's limits the agent is told, and which tools are left to it.
"""

from __future__ import annotations

from dataclasses import dataclass

from agents.conversation.circles import OVER, TOLD, circle
from agents.conversation.history import answers_in, awaits_answer, done_in, expired_in, open_calls
from agents.conversation.ports import TurnContext
from agents.conversation.roster import MOST_TOOLS, AgentProfile
from infrastructure.conversation.errors import HistoryTooLong
from infrastructure.conversation.ports import SessionFacts
from infrastructure.conversation.scope import TurnScope
from infrastructure.conversation.state import AgentWrites, TurnReads
from infrastructure.events.catalogue import AgentCompleted, AgentFailed, AgentStarted

MOST_CROWDED = 3
"""So often in a row room is made; then the turn ends."""
_RESULT_KEEPS = (0, 2_000, 500, 200)
"""Characters of either end of a result that are shown, by how often room was made."""
_LAST = (
    "This is your last answer in this turn, and no tool can be called any more. Say in words what you found or did,"
    " and what is left."
)
_TOO_LATE = "was not done, since nobody answered in time; say something to go on, and it can be asked again"
_SPENT = "the turn has used all its answers"


@dataclass(frozen=True, slots=True)
class AgentNode:
    """The node function of one agent."""

    name: str

    async def __call__(self, state: TurnReads, scope: TurnScope) -> AgentWrites:
        """Answer, unless that was done before a crash."""
        messages = scope.messages()
        asked = max(state.get("calls", 0), answers_in(messages))
        if not awaits_answer(messages):
            return {"crowded": 0, "calls": asked, "open": len(open_calls(messages))}
        if expired := expired_in(messages):
            return {"over": f"{', '.join(expired)} {_TOO_LATE}", "open": 0}
        if circle(done_in(messages)) == "over" or asked >= scope.limits.calls:
            return {"over": OVER if asked < scope.limits.calls else _SPENT, "open": 0}
        facts = await scope.sessions.facts(scope.session)
        context = await context_of(scope, self.name, state, facts, asked)
        scope.announce(AgentStarted(agent=self.name, turn=scope.turn, node=self.name))
        try:
            agent = scope.router.agent(self.name, scope.service)
            async for chunk in agent.process(scope.session, "", context, scope.sessions):
                scope.tell(chunk)
        except HistoryTooLong as error:
            return {"crowded": crowded(state, error), "open": 0}
        except Exception as error:
            scope.announce(_failed(self.name, scope.turn, error))
            raise
        scope.announce(AgentCompleted(agent=self.name, turn=scope.turn, messages=1, node=self.name))
        return {"crowded": 0, "calls": asked + 1, "open": len(open_calls(scope.messages()))}


async def context_of(scope: TurnScope, name: str, state: TurnReads, facts: SessionFacts, asked: int) -> TurnContext:
    """What the agent is told in this step besides the history."""
    profile = scope.router.profile(name)
    notes = (TOLD,) if circle(done_in(scope.messages())) == "told" else ()
    tools, left_out = await tools_for(scope, profile, facts.workspace)
    if asked >= scope.limits.calls - 1:
        tools, notes = (), (*notes, _LAST)
    closing = ""
    if left_out:
        closing = f"(Nobody is there to be asked, so these tools were left out: {', '.join(left_out)}.)"
    return TurnContext(
        turn=scope.turn,
        step=asked + 1,
        workspace=facts.workspace,
        todos=facts.todos,
        handed_over=state.get("handed_over", ""),
        notes=notes,
        closing=closing,
        tools=tools,
        result_keep=_RESULT_KEEPS[min(state.get("crowded", 0), MOST_CROWDED)],
    )


async def tools_for(
    scope: TurnScope, profile: AgentProfile, workspace: str
) -> tuple[tuple[str, ...] | None, tuple[str, ...]]:
    """The tools of an agent where nobody can be asked, and those left out; None for all where somebody can.

    Left out is what would ask and what neither a rule nor the sandbox can allow.
    """
    if not scope.unattended:
        return None, ()
    usual = scope.tools.offered(scope.session, profile.tools, MOST_TOOLS)
    every = scope.tools.offered(scope.session, profile.tools, len(usual) + 1_000)
    asking = frozenset(sheet.tool.name for sheet in every if sheet.asks)
    none = asking - await scope.approvals.useful(scope.session, workspace, asking)
    left_out = tuple(sheet.tool.name for sheet in usual if sheet.tool.name in none)
    return tuple(sheet.tool.name for sheet in every if sheet.tool.name not in none), left_out


def crowded(state: TurnReads, error: HistoryTooLong) -> int:
    """How often in a row it did not fit; raises the error where that is enough."""
    times = state.get("crowded", 0) + 1
    if times > MOST_CROWDED:
        raise error
    return times


def _failed(agent: str, turn: str, error: Exception) -> AgentFailed:
    return AgentFailed(agent=agent, turn=turn, error_class=type(error).__name__, error_message=str(error), node=agent)
