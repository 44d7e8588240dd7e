"""What a person at a gate types, and how it is understood."""

from __future__ import annotations

import io

import pytest

from backend.cli.asking import ask_approval, read_answer, read_choice
from backend.cli.console import open_terminal
from backend.cli.progress import Quiet
from infrastructure.events.catalogue import ApprovalAsked


@pytest.mark.parametrize(
    ("typed", "answer"),
    [
        ("y", (True, "")),
        (" YES ", (True, "")),
        ("yes, fine", (True, "")),
        ("n", (False, "")),
        ("no", (False, "")),
        ("n too clever", (False, "too clever")),
        ("No, it is too clever", (False, "it is too clever")),
        ("no change to the tests, please", (False, "change to the tests, please")),
        ("no change", (True, "")),
        ("No changes.", (True, "")),
        ("no  changes needed", (True, "")),
        ("nothing to change", (True, "")),
        ("", None),
        ("maybe", None),
        ("nope", None),
    ],
)
def test_line_is_a_yes_a_no_with_its_reason_or_neither(typed: str, answer: tuple[bool, str] | None) -> None:
    assert read_answer(typed) == answer


async def test_who_wants_no_change_is_told_that_it_goes_on_and_is_not_asked_again() -> None:
    lines, err = iter(["maybe", "no change"]), io.StringIO()

    async def read_line() -> str:
        return next(lines)

    asked = ApprovalAsked(approval="plan:1", gate="plan", question="Do it.")
    assert await ask_approval(asked, open_terminal(io.StringIO(), err), Quiet(), read_line) == (True, "")
    assert err.getvalue().count("Go on with this plan?") == 2
    assert "Type y or n" in err.getvalue()
    assert "you change nothing: going on with the plan as it is" in err.getvalue()


ANSWERS = ("0", "None", "raises ValueError")


@pytest.mark.parametrize(
    ("typed", "answer"),
    [
        ("a", (True, "0")),
        (" B) ", (True, "None")),
        ("c", (True, "raises ValueError")),
        ("None", (True, "None")),
        ("raises ValueError", (True, "raises ValueError")),
        ("n", (False, "")),
        ("none", (False, "")),
        ("[1,2]", (False, "[1, 2]")),
        ("raises KeyError", (False, "raises KeyError")),
        ("d", None),
        ("", None),
        ("raises Trouble", None),
        ("whatever you like", None),
    ],
)
def test_line_picks_an_answer_none_of_them_or_says_another(typed: str, answer: tuple[bool, str] | None) -> None:
    assert read_choice(typed, ANSWERS) == answer


async def test_question_about_split_candidates_lists_its_answers_and_asks_until_it_is_understood() -> None:
    lines, err = iter(["z", "b"]), io.StringIO()

    async def read_line() -> str:
        return next(lines)

    asked = ApprovalAsked(approval="behaviour:1", gate="behaviour", question="What should f([]) give?", answers=ANSWERS)
    assert await ask_approval(asked, open_terminal(io.StringIO(), err), Quiet(), read_line) == (True, "None")
    assert "  c) raises ValueError" in err.getvalue()
    assert err.getvalue().count("Which?") == 2
