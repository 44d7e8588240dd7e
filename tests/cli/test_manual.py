"""Exit codes as they are documented: the same on the help page of each command and in the documentation."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from backend.cli.app import VERBS, run_command
from backend.cli.errors import RULES
from backend.cli.manual import EVERY, EXITS, exits_of
from infrastructure.tasks import EXIT_CODES

ROW = re.compile(r"^\| (?:`(\w+)`|every one) \| (\d+) \| (.+) \|$", re.MULTILINE)
NAMES = [verb for verb, _, _ in VERBS]


def test_every_command_says_what_its_exit_codes_mean() -> None:
    assert sorted(EXITS) == sorted(NAMES)
    assert all(exits_of(verb)[0][0] == 0 for verb in NAMES)


def test_documentation_has_the_same_table(repository_root: Path) -> None:
    told = [
        (verb, int(code), meaning) for verb, code, meaning in ROW.findall((repository_root / "docs/cli.md").read_text())
    ]
    ours = [("", code, meaning) for code, meaning in EVERY]
    ours += [(verb, code, meaning) for verb in NAMES for code, meaning in EXITS[verb]]
    assert told == ours


@pytest.mark.parametrize("verb", NAMES)
def test_help_page_ends_with_the_exit_codes(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command([verb, "--help"]) == 0
    page = capsys.readouterr().out.rpartition("Exit codes:")[2]
    assert [int(code) for code in re.findall(r"^ • (\d+):", page, re.MULTILINE)] == [code for code, _ in exits_of(verb)]


def test_every_status_of_a_run_and_every_error_has_its_code_there() -> None:
    codes = {code for code, _ in exits_of("run")}
    assert set(EXIT_CODES.values()) | {rule.exit_code for rule in RULES.values()} <= codes


@pytest.mark.parametrize(
    ("verb", "said"),
    [
        ("run", ["[choices: plan, patch; both with a comma]", "[choices: auto, bubblewrap, landlock, none]"]),
        ("resume", ["[choices: auto, bubblewrap, landlock, none]", "[choices: text, json, ndjson]"]),
        ("batch", ["[choices: auto, bubblewrap, landlock, none]", "of which only passed ones count"]),
    ],
)
def test_choices_and_definitions_are_listed(verb: str, said: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    run_command([verb, "--help"])
    page = " ".join(capsys.readouterr().out.replace("│", " ").split())
    for each in said:
        assert each in page
