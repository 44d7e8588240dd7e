"""docs/chat-model.md: its example runs, and its fields are the model's."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from infrastructure.chat_model import ChatOllamaPool
from infrastructure.chat_model.arguments import gathered
from infrastructure.connection_pool import configure_ollama_pool
from tests.chat_model.clerk import CLERK, clerk


@pytest.fixture
def page(repository_root: Path) -> str:
    return (repository_root / "docs" / "chat-model.md").read_text()


def test_the_example_runs_and_says_what_the_tool_found(
    page: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    example = re.search(r"```python\n(.*?)```", page, re.DOTALL)
    assert example is not None
    model = re.search(r'model="(.+?)"', example[1])
    assert model is not None
    configure_ollama_pool(None)
    with clerk([CLERK.model_copy(update={"name": model[1]})]) as server:
        monkeypatch.setenv("OLLAMA_HOST", server.url)
        exec(compile(example[1], "docs/chat-model.md", "exec"), {"__name__": "example"})

    said = re.sub(r"\s+", " ", capsys.readouterr().out)
    assert "sunny in San Francisco, CA" in said
    assert "The tool says" in said


def test_every_field_is_told(page: str):
    rows = re.search(r"## Fields\n(.*?)\n\n[A-Z]", page, re.DOTALL)
    assert rows is not None
    told = {name for row in re.findall(r"^\| (.+?) \|", rows[1], re.MULTILINE) for name in re.findall(r"`(\w+)`", row)}

    own = ChatOllamaPool.model_fields.keys() - ChatOllamaPool.__base__.model_fields.keys()
    assert told == own | {"max_tokens", "timeout"}
    assert gathered({"max_tokens": 3, "timeout": 1}, own).keys() == {"options", "call"}
