"""Where nobody is there to be asked."""

from __future__ import annotations

from datetime import UTC, datetime

from infrastructure.sessions.danger import classify
from infrastructure.sessions.levels import Danger
from infrastructure.sessions.rules import Rule
from infrastructure.sessions.unattended import policy

TOOLS = ("read_file", "write_file", "run_command", "run_tests", "docs.search", "tracker.add")
RULE = Rule(id="r", scope="always", owner="", tool="run_command", pattern="make", made=datetime(2026, 7, 1, tzinfo=UTC))


def test_tools_that_would_ask_are_taken_away_and_told():
    found = policy(TOOLS, unattended=True, declared={"docs.search": Danger.SAFE, "tracker.add": Danger.DANGEROUS})
    assert found.tools == ("read_file", "run_tests", "docs.search")
    assert [each.tool for each in found.removed] == ["write_file", "run_command", "tracker.add"]
    for each in found.removed:
        assert each.tool in found.told
        assert each.why in found.told


def test_nothing_is_taken_away_where_somebody_is_there():
    found = policy(TOOLS, unattended=False)
    assert (found.tools, found.removed, found.told) == (TOOLS, (), "")
    assert found.refusal(classify("run_command", {"command": "make"}, "/nowhere")) == ""


def test_tool_with_a_rule_stays_and_its_other_calls_are_refused():
    found = policy(TOOLS, unattended=True, rules=[RULE])
    assert "run_command" in found.tools
    assert "nobody is there" in found.refusal(classify("run_command", {"command": "npm test"}, "/nowhere"))
    assert found.refusal(classify("run_command", {"command": "pwd"}, "/nowhere")) == ""
