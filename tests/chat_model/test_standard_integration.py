"""LangChain's own suite of integration tests, against the simulator with a model that knows its questions."""

from __future__ import annotations

import base64

import pytest
import respx
from langchain_tests.integration_tests import ChatModelIntegrationTests

from infrastructure.chat_model import ChatOllamaPool
from infrastructure.simulator import Simulator
from tests.chat_model.clerk import clerk

_PIXEL = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)


@pytest.mark.usefixtures("process")
class TestIntegration(ChatModelIntegrationTests):
    chat_model_class = property(lambda self: ChatOllamaPool)
    chat_model_params = property(lambda self: {"model": "clerk", "temperature": 0})
    model_override_value = property(lambda self: "other")
    supports_json_mode = property(lambda self: True)
    supports_anthropic_inputs = property(lambda self: True)


@pytest.mark.usefixtures("process")
class TestIntegrationOldServer(ChatModelIntegrationTests):
    """On an old server, which takes images, and with structured output by calls.

    The suite fetches a picture, so it is handed one.
    """

    chat_model_class = property(lambda self: ChatOllamaPool)
    chat_model_params = property(lambda self: {"model": "clerk"})
    structured_output_kwargs = property(lambda self: {"method": "function_calling"})
    model_override_value = property(lambda self: "other")
    supports_json_mode = property(lambda self: True)
    supports_image_inputs = property(lambda self: True)
    supports_image_tool_message = property(lambda self: True)
    supports_anthropic_inputs = property(lambda self: True)

    @pytest.fixture
    def server(self):
        with clerk(version="0.24.0") as started:
            yield started

    @pytest.fixture(autouse=True)
    def _picture(self, server: Simulator):
        with respx.mock(assert_all_called=False) as fetched:
            fetched.get(host="raw.githubusercontent.com").respond(content=_PIXEL)
            yield
