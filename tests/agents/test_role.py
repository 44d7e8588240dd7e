"""A role asks, reads, and asks once more."""

from dataclasses import dataclass

import pytest

from agents.codegen import CODER, PLANNER, CoderQuestion, Plan, PlannerQuestion, SourceFile
from agents.errors import AgentError, PromptError, UnusableAnswer
from agents.model import Completion, Question
from agents.role import REASK_KEEP, Role
from agents.scripted import ScriptedModel

QUESTION = PlannerQuestion(task="Add a flag", summary="A flag is wanted")
GOOD = Plan.example().model_dump_json()
CODE = CoderQuestion(task="t", plan=Plan.example(), files=(SourceFile("app/report.py", "x = 1\n"),))
FILE = "File: `app/report.py`\n```python\nx = 2\n```\n"


async def test_a_right_answer_is_read_after_one_question():
    model = ScriptedModel([GOOD])
    assert await PLANNER.ask(model, QUESTION) == Plan.example()
    assert len(model.asked) == 1


async def test_a_bad_answer_is_asked_for_once_more_with_what_is_wrong():
    model = ScriptedModel(['{"summary": "s", "files": [], "steps": 3}', GOOD])
    assert await PLANNER.ask(model, QUESTION) == Plan.example()
    first, second = model.asked
    assert second.messages[:2] == first.messages
    assert second.messages[2].role == "assistant"
    assert second.messages[2].content.startswith('{"summary"')
    assert second.messages[3].role == "user"
    assert "'steps'" in second.messages[3].content
    assert second.format == first.format
    assert second.options == first.options


async def test_two_bad_answers_are_the_end():
    model = ScriptedModel(["no", "no again", GOOD])
    with pytest.raises(UnusableAnswer) as caught:
        await PLANNER.ask(model, QUESTION)
    assert len(model.asked) == 2
    assert "no JSON object" in caught.value.reason


async def test_the_bad_answer_is_shown_again_by_its_ends_only():
    runaway = "a" * 5_000 + "middle" + "z" * 5_000
    model = ScriptedModel([runaway, GOOD])
    await PLANNER.ask(model, QUESTION)
    shown = model.asked[1].messages[2].content
    assert shown.startswith("a" * REASK_KEEP)
    assert shown.endswith("z" * REASK_KEEP)
    assert "6006 characters left out" in shown
    assert len(shown) < 2 * REASK_KEEP + 100


async def test_an_empty_answer_has_a_turn_of_its_own_too():
    model = ScriptedModel(["", GOOD])
    await PLANNER.ask(model, QUESTION)
    assert [message.role for message in model.asked[1].messages] == ["system", "user", "assistant", "user"]
    assert model.asked[1].messages[2].content == "(empty)"


async def test_a_cut_text_answer_is_unusable_even_if_it_reads_well():
    model = ScriptedModel([Completion(text=FILE, finish="length"), FILE])
    answer = await CODER.ask(model, CODE)
    assert [change.path for change in answer] == ["app/report.py"]
    assert "cut off" in model.asked[1].messages[3].content


async def test_a_text_answer_cut_twice_says_so():
    model = ScriptedModel(lambda _: Completion(text=FILE, finish="length"))
    with pytest.raises(UnusableAnswer, match="cut off"):
        await CODER.ask(model, CODE)


async def test_a_cut_json_answer_counts_if_the_object_is_whole():
    model = ScriptedModel([Completion(text=GOOD + "\n" * 50, finish="length")])
    assert await PLANNER.ask(model, QUESTION) == Plan.example()


async def test_a_cut_json_answer_is_asked_for_again_if_the_object_is_not_whole():
    model = ScriptedModel([Completion(text=GOOD[:40], finish="length"), GOOD])
    assert await PLANNER.ask(model, QUESTION) == Plan.example()


async def test_thinking_is_off_when_asked_again():
    thinker = Role(name="planner", prompt="planner/plan", read=PLANNER.read, schema=Plan, think="high")
    model = ScriptedModel(["<think>for ever", GOOD])
    await thinker.ask(model, QUESTION)
    assert [question.think for question in model.asked] == ["high", False]


async def test_an_error_of_the_model_passes_through_unchanged():
    def fail(question: Question) -> str:
        raise ConnectionError("gone")

    with pytest.raises(ConnectionError, match="gone"):
        await PLANNER.ask(ScriptedModel(fail), QUESTION)


def test_a_question_is_a_value():
    assert PLANNER.question(QUESTION) == PLANNER.question(QUESTION)


def test_a_prompt_that_wants_more_than_the_question_has_is_an_error():
    @dataclass(frozen=True)
    class Poor:
        task: str

    role = Role(name="planner", prompt="planner/plan", read=lambda text, question: text)
    with pytest.raises(PromptError, match="undefined"):
        role.question(Poor("t"))


@pytest.mark.parametrize(("name", "prompt"), [("planner", "coder/write"), ("shared", "shared/again"), ("x", "x/y")])
def test_a_role_needs_a_whole_prompt_of_its_own(name: str, prompt: str):
    with pytest.raises(PromptError):
        Role(name=name, prompt=prompt, read=lambda text, question: text)


def test_the_role_hash_covers_its_schema():
    other = Role(name="planner", prompt="planner/plan", read=PLANNER.read)
    assert other.sha != PLANNER.sha
    assert len(PLANNER.sha) == 64


def test_errors_speak_with_their_docstring_and_keep_fields():
    error = UnusableAnswer("it is empty", "Answer.")
    assert isinstance(error, AgentError)
    assert str(error) == "The model's answer cannot be used: it is empty: Answer."
    assert (error.reason, error.hint) == ("it is empty", "Answer.")
    assert str(AgentError()) == "An agent could not do its work"


@pytest.mark.parametrize(("finish", "word"), [("repeated", "repeated itself"), ("thinking", "nothing but thinking")])
async def test_an_answer_that_was_given_up_is_asked_for_again_without_thinking_and_told_why(finish, word):
    model = ScriptedModel([Completion(text="", finish=finish), FILE])
    assert await CODER.ask(model, CODE)
    again = model.asked[1]
    assert word in again.messages[-1].content
    assert again.think is False


async def test_a_json_answer_that_ran_away_behind_a_whole_object_counts():
    model = ScriptedModel([Completion(text=GOOD + "\n" * 50, finish="repeated")])
    assert await PLANNER.ask(model, QUESTION) == Plan.example()
