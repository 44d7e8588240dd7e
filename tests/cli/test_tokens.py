"""What is read of the command line before it is parsed."""

from __future__ import annotations

import pytest

from backend.cli.tokens import normal, output_of, verb_of


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        (["run", "-"], ["run", "--file=-"]),
        (["run", "--file", "-"], ["run", "--file=-"]),
        (["run", "do it", "--patch", "-"], ["run", "do it", "--patch=-"]),
        (["run", "--", "-"], ["run", "--", "-"]),
        (["show", "-"], ["show", "-"]),
        (["run", "-", "--apply"], ["run", "--file=-", "--apply"]),
    ],
)
def test_lone_dash_means_a_stream(typed: list[str], meant: list[str]) -> None:
    assert normal(typed) == meant


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        (["top", "--json"], ["top", "--output=json"]),
        (["run", "--", "--json"], ["run", "--", "--json"]),
    ],
)
def test_json_is_short_for_the_output_form(typed: list[str], meant: list[str]) -> None:
    assert normal(typed) == meant


@pytest.mark.parametrize(
    ("typed", "output"),
    [
        (["run", "x"], "text"),
        (["run", "--output", "json"], "json"),
        (["run", "--output=ndjson", "--nonsense"], "ndjson"),
        (["run", "--output"], "text"),
        (["run", "--output", "xml"], "text"),
        (["run", "--", "--output=json"], "text"),
    ],
)
def test_output_form_is_known_without_parsing(typed: list[str], output: str) -> None:
    assert output_of(typed) == output


def test_verb_is_the_first_word_that_is_no_option() -> None:
    assert verb_of(["run", "x"]) == "run"
    assert verb_of(["--help"]) == ""
    assert verb_of([]) == ""
