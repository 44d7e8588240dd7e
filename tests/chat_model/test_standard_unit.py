"""LangChain's own suite of unit tests."""

from __future__ import annotations

from langchain_tests.unit_tests import ChatModelUnitTests

from infrastructure.chat_model import ChatOllamaPool


class TestUnit(ChatModelUnitTests):
    chat_model_class = property(lambda self: ChatOllamaPool)
    chat_model_params = property(lambda self: {"model": "clerk", "call": {"client": "suite", "band": "batch"}})
    supports_json_mode = property(lambda self: True)
    supports_image_inputs = property(lambda self: True)
