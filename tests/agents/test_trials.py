"""The small edits by which a model is tried: each can be made in each form, and an answer is judged as a run would."""

from __future__ import annotations

import pytest

from agents.answers import EditAnswer, FileAnswer, FunctionAnswer, render_changes
from agents.codegen import CODER, EDIT_TRIALS, EditTrial, judge_trial
from agents.model import Completion

STACK = next(trial for trial in EDIT_TRIALS if trial.name == "method")


def answer(trial: EditTrial, form: str) -> str:
    """The right answer in a form."""
    change = {
        "whole": FileAnswer(trial.path, trial.after),
        "search_replace": EditAnswer(trial.path, trial.before, trial.after),
        "function": FunctionAnswer(trial.path, trial.after),
    }[form]
    return render_changes([change])


@pytest.mark.parametrize("form", ["whole", "search_replace", "function"])
@pytest.mark.parametrize("trial", EDIT_TRIALS, ids=lambda trial: trial.name)
def test_the_right_answer_is_right_in_every_form(trial: EditTrial, form: str):
    assert trial.before != trial.after
    verdict = judge_trial(trial, form, Completion(text=answer(trial, form)))
    assert (verdict.readable, verdict.applied, verdict.right, verdict.why) == (True, True, True, "")


@pytest.mark.parametrize("trial", EDIT_TRIALS, ids=lambda trial: trial.name)
def test_every_trial_asks_in_the_words_of_the_coder(trial: EditTrial):
    shown = CODER.question(trial.question("search_replace")).messages[-1].content
    assert trial.asked in shown
    assert trial.before in shown


@pytest.mark.parametrize(
    ("text", "form", "reached", "why"),
    [
        ("I would rather not.", "whole", (False, False, False), "no fenced block"),
        (render_changes([EditAnswer("stack.py", "no such line\n", "x\n")]), "search_replace", (True, False, False), ""),
        (render_changes([FileAnswer("stack.py", STACK.before)]), "whole", (True, True, False), "asked for"),
        (render_changes([FileAnswer("stack.py", "class Stack(\n")]), "whole", (True, True, False), "asked for"),
        (render_changes([FileAnswer("other.py", STACK.after)]), "whole", (True, True, False), "other files"),
    ],
)
def test_an_answer_gets_as_far_as_it_is_good(text: str, form: str, reached: tuple[bool, ...], why: str):
    verdict = judge_trial(STACK, form, Completion(text=text))
    assert (verdict.readable, verdict.applied, verdict.right) == reached
    assert why in verdict.why
    assert verdict.why


def test_what_comments_and_blanks_do_does_not_matter():
    text = STACK.after.replace("return sum(1 ", "return sum(  1 ") + "\n\n# done\n"
    assert judge_trial(STACK, "whole", Completion(text=render_changes([FileAnswer("stack.py", text)]))).right


def test_an_answer_cut_at_the_length_limit_is_not_readable():
    completion = Completion(text=answer(STACK, "whole"), finish="length")
    assert not judge_trial(STACK, "whole", completion).readable
