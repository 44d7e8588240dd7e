"""Calls that a model printed as text, as the stream service wants them read."""

from __future__ import annotations

from collections.abc import Sequence

from agents.answers.tool_calls import read_tool_calls
from agents.model import Tool
from infrastructure.conversation.ports import Recovered


def read_leaked_calls(text: str, tools: Sequence[Tool], heard: Sequence[str]) -> Recovered:
    """What an answer holds besides text; a call that cannot be taken for the model's own is a problem to tell it of."""
    leaked = read_tool_calls(text, tools, heard=heard)
    return Recovered(
        text=leaked.text,
        calls=tuple(each.call for each in leaked.calls),
        problems=tuple(each.told for each in leaked.refused),
    )
