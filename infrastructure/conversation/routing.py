"""Which way a turn goes: pure functions of its state, named as questions. They return names of nodes.

They are async in name only: LangGraph runs a plain function in another thread, which costs more than it decides.
"""

from __future__ import annotations

from langgraph.graph import END

from infrastructure.conversation.state import ConversationState

USE_TOOLS = "use_tools"
SUMMARISE = "summarise"


async def who_speaks(state: ConversationState) -> str:
    """At the beginning, and after a summary: the agent whose turn it is."""
    return state["agent"]


async def after_agent(state: ConversationState) -> str:
    """Make room, do what it asked for, or end."""
    if state.get("over"):
        return END
    if state.get("crowded"):
        return SUMMARISE
    return USE_TOOLS if state.get("open") else END


async def after_use_tools(state: ConversationState) -> str:
    """Look again where somebody was waited for; else the agent that has the turn answers."""
    return USE_TOOLS if state.get("waits") else state["agent"]
