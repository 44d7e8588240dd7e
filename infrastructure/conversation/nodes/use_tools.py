"""`use_tools`: what the last answer asked for is done, and where somebody is to say or do something, waited for."""

from __future__ import annotations

from langgraph.types import interrupt

from infrastructure.conversation.handing import handovers_in
from infrastructure.conversation.scope import TurnScope
from infrastructure.conversation.state import ToolWrites, TurnReads
from infrastructure.conversation.using import Using, interrupt_value


async def use_tools_node(state: TurnReads, scope: TurnScope) -> ToolWrites:
    """Do the open calls. Runs again from its first line when somebody has said something.

    What they said stands in the tables, so the interrupt's own value only means: look again. That is done in a step of
    its own, since within this one a second interrupt would be given the first one's answer.
    """
    agent, handovers = state["agent"], state.get("handovers", 0)
    using = Using(scope, scope.router.profile(agent), await scope.place(agent), handovers)
    waiting = await using.work()
    if waiting:
        interrupt(interrupt_value(waiting))
        return {"waits": True}
    done = handovers_in(scope.messages())
    if not done:
        return {"waits": False}
    if done[-1].agent != agent:
        await scope.passed(done[-1].agent)
    return {
        "waits": False,
        "agent": done[-1].agent,
        "handovers": max(handovers, len(done)),
        "handed_over": done[-1].reason,
    }
