"""A LangChain chat model over the pool: `ChatOllamaPool`, for whoever has a LangGraph graph of their own."""

from infrastructure.chat_model.model import ChatOllamaPool
from infrastructure.chat_model.thread import close_chat_pool

__all__ = ["ChatOllamaPool", "close_chat_pool"]
