"""The chat model under other people's graphs."""

from __future__ import annotations

import pytest
from langchain_core.messages import AIMessageChunk, HumanMessage, ToolMessage
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode, create_react_agent, tools_condition
from langgraph.warnings import LangGraphDeprecatedSinceV10

from infrastructure.chat_model import ChatOllamaPool
from infrastructure.connection_pool import Call, OllamaConnectionPool
from tests.chat_model.clerk import CLERK, Clerk
from tests.pool.servers import simulator

ASKED = {"messages": [HumanMessage("What is the weather in San Francisco, CA?")]}


@tool
def get_weather(location: str) -> str:
    """Get the weather at a location."""
    return f"sunny in {location}"


class Watched(OllamaConnectionPool):
    """Keeps for whom calls were."""

    def __init__(self, *servers: str) -> None:
        super().__init__(servers)
        self.calls: list[Call] = []

    def stream_chat(self, **asked):
        self.calls.append(asked["call"])
        return super().stream_chat(**asked)


def own_graph(model: ChatOllamaPool):
    """A loop of a model and its tools, made by hand."""
    bound = model.bind_tools([get_weather])

    async def agent(state: MessagesState):
        return {"messages": [await bound.ainvoke(state["messages"])]}

    graph = StateGraph(MessagesState)
    graph.add_node("agent", agent)
    graph.add_node("tools", ToolNode([get_weather]))
    graph.add_edge(START, "agent")
    graph.add_conditional_edges("agent", tools_condition)
    graph.add_edge("tools", "agent")
    return graph.compile(checkpointer=InMemorySaver())


def prebuilt(model: ChatOllamaPool):
    """LangGraph's own agent."""
    with pytest.warns(LangGraphDeprecatedSinceV10):
        return create_react_agent(model, [get_weather], checkpointer=InMemorySaver())


@pytest.mark.parametrize("graph", [own_graph, prebuilt])
async def test_an_agent_calls_its_tool_and_its_answer_comes_token_by_token(graph):
    async with simulator([CLERK]) as server, Watched(server.url) as pool:
        server.world.brains = Clerk(server)
        agent = graph(ChatOllamaPool(model="clerk", pool=pool, call=Call(client="mine")))
        config = {"configurable": {"thread_id": "t1"}}

        said: list[str] = []
        called: list[str | None] = []
        results: list[str] = []
        async for message, _ in agent.astream(ASKED, config, stream_mode="messages"):
            if isinstance(message, AIMessageChunk):
                said.append(message.text)
                called += [piece["name"] for piece in message.tool_call_chunks]
            elif isinstance(message, ToolMessage):
                results.append(message.text)

        assert called == ["get_weather"]
        assert results == ["sunny in San Francisco, CA"]
        assert "".join(said) == "The tool says: sunny in San Francisco, CA"
        assert sum(map(bool, said)) > 3
        kept = (await agent.aget_state(config)).values["messages"]
        assert [message.type for message in kept] == ["human", "ai", "tool", "ai"]
        assert kept[-1].usage_metadata["output_tokens"] > 3
        assert [(call.client, call.prefix) for call in pool.calls] == [("mine", "t1")] * 2
