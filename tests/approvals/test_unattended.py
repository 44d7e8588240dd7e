"""Where nobody is there to be asked: which tools are of no use."""

from __future__ import annotations

import pytest

from infrastructure.danger.judging import always_asks
from infrastructure.danger.levels import Danger


@pytest.mark.parametrize(
    ("tool", "declared", "asks"),
    [
        ("read_file", Danger.ASKS, False),
        ("run_tests", Danger.ASKS, False),
        ("calculator", Danger.ASKS, False),
        ("write_file", Danger.SAFE, True),
        ("run_command", Danger.SAFE, True),
        ("docs.search", Danger.SAFE, False),
        ("docs.search", Danger.ASKS, True),
        ("tracker.add", Danger.DANGEROUS, True),
    ],
)
def test_tool_whose_every_call_would_ask_is_of_no_use(tool: str, declared: Danger, asks: bool):
    assert always_asks(tool, declared) is asks
