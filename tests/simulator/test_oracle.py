"""The oracle: what it answers each role, and how it is wrong when it is told to be."""

import ast
import json
from collections.abc import Iterable
from pathlib import Path

import pytest

from agents.answers.files import read_files
from agents.codegen import CODER, EDIT_TRIALS, CoderQuestion, EditTrial, judge_trial
from agents.codegen.debugger import Diagnosis
from agents.codegen.intent import Intent
from agents.codegen.planner import Plan
from agents.codegen.reflector import Reflection
from agents.codegen.researcher import Research
from agents.codegen.reviewer import Review
from agents.model import Completion
from infrastructure.simulator import Task, default_models, is_right_first_time, read_tasks
from infrastructure.simulator.brains.oracle import broken, fenced
from infrastructure.simulator.brains.tasks import Break, find_task
from tests.simulator.talk import Sim, ask, begin, settings

ORACLE = default_models()
RIGHT = "def add(a, b):\n    return (a + b)\n"
ADD = {
    "id": "add",
    "prompt": "Write add(a, b) in calc.py.",
    "files": {"calc.py": RIGHT, "docs/calc.md": "# add\n\n```\nadd(1, 2)\n```\n"},
    "tests": {"tests/test_calc.py": "from calc import add\n\ndef test_add():\n    assert add(1, 2) == 3\n"},
    "plan": ["Write the function.", "Write the page."],
}
WHY = {"id": "why", "match": ["why", "sky blue"], "kind": "question", "answer": "Because of scattering."}


def task_file(folder: Path, *tasks: dict) -> Path:
    path = folder / "tasks.jsonl"
    path.write_text("\n".join(json.dumps(task) for task in tasks) + "\n", encoding="utf-8")
    return path


async def answers(
    folder: Path, role: str, user: str, *, tasks: Iterable[dict] = (ADD, WHY), share: float = 1.0, **more: object
) -> str:
    path = task_file(folder, *tasks)
    async with Sim(settings(*ORACLE, tasks=path, first_time_right=share)) as sim:
        messages = [
            {"role": "system", "content": f"You are Corral's {role}.\nMore."},
            {"role": "user", "content": user},
        ]
        _, answer = await ask(sim, "/api/chat", model="oracle", messages=messages, stream=False, **more)
        return answer["message"]["content"]


async def test_the_coder_answers_with_the_files_as_our_reader_reads_them(tmp_path: Path):
    text = await answers(tmp_path, "coder", f"## Task\n{ADD['prompt']}\n")

    assert {answer.path: answer.content for answer in read_files(text)} == ADD["files"]


async def test_the_coder_is_wrong_at_first_and_right_once_it_sees_failing_tests(tmp_path: Path):
    first = await answers(tmp_path, "coder", ADD["prompt"], share=0.0)
    repaired = await answers(tmp_path, "coder", f"{ADD['prompt']}\n\n## Failing tests\n\n1 failed", share=0.0)

    assert "return None" in first
    assert {answer.path: answer.content for answer in read_files(repaired)} == ADD["files"]


async def test_a_heading_within_a_line_is_no_failing_test(tmp_path: Path):
    text = await answers(tmp_path, "coder", f"{ADD['prompt']} see ## Failing tests", share=0.0)

    assert "return None" in text


async def test_a_task_that_is_always_broken_stays_so(tmp_path: Path):
    stubborn = {**ADD, "always_broken": True}
    text = await answers(tmp_path, "coder", f"{ADD['prompt']}\n## Failing tests", tasks=[stubborn])

    assert "return None" in text


async def test_the_tester_answers_with_the_tests(tmp_path: Path):
    text = await answers(tmp_path, "tester", ADD["prompt"])

    assert {answer.path: answer.content for answer in read_files(text)} == ADD["tests"]


async def test_the_responder_answers_the_question(tmp_path: Path):
    assert await answers(tmp_path, "responder", "Is the sky blue?") != WHY["answer"]
    assert await answers(tmp_path, "responder", "Tell me why is the sky blue?") == WHY["answer"]


async def test_an_unknown_task_is_answered_politely(tmp_path: Path):
    assert "simulated" in await answers(tmp_path, "coder", "Something else.")


async def test_typed_answers_are_valid_and_say_what_the_oracle_knows(tmp_path: Path):
    async def typed(answer: type, user: str = f"calc.py 10 bytes\n\n{ADD['prompt']}"):
        text = await answers(tmp_path, "any", user, format=answer.model_json_schema())
        return answer.model_validate_json(text)

    assert (await typed(Intent)).kind == "code"
    assert (await typed(Intent, "why is the sky blue")).kind == "question"
    assert list((await typed(Plan)).files) == list(ADD["files"])
    assert list((await typed(Plan)).steps) == ADD["plan"]
    assert list((await typed(Research)).files) == ["calc.py"]
    assert (await typed(Review)).verdict == "approve"
    assert (await typed(Diagnosis)).cause
    assert (await typed(Reflection)).approach


async def test_fields_that_the_schema_does_not_have_are_left_out(tmp_path: Path):
    schema = {"title": "Plan", "type": "object", "properties": {"files": {"type": "array"}}, "required": ["files"]}
    text = await answers(tmp_path, "planner", ADD["prompt"], format=schema)

    assert json.loads(text) == {"files": list(ADD["files"])}


# --------------------------------------------------------------------------------- ways of being wrong


def wrong(way: Break, **more: object) -> str:
    return broken(Task.model_validate({**ADD, "break": way, **more}))


def test_syntax_loses_a_bracket():
    content = {answer.path: answer.content for answer in read_files(wrong(Break.SYNTAX))}["calc.py"]

    with pytest.raises(SyntaxError):
        ast.parse(content)


def test_wrong_is_valid_code_that_does_something_else():
    content = {answer.path: answer.content for answer in read_files(wrong(Break.WRONG))}["calc.py"]
    names: dict = {}
    exec(compile(content, "calc.py", "exec"), names)

    assert names["add"](1, 2) is None


def test_wrong_takes_the_broken_files_where_the_task_has_them():
    text = wrong(Break.WRONG, broken={"calc.py": "def add(a, b):\n    return a - b\n"})
    files = {answer.path: answer.content for answer in read_files(text)}

    assert files["calc.py"] == "def add(a, b):\n    return a - b\n"
    assert files["docs/calc.md"] == ADD["files"]["docs/calc.md"]


def test_missing_leaves_the_last_file_out():
    assert [answer.path for answer in read_files(wrong(Break.MISSING))] == ["calc.py"]


def test_the_other_ways_are_what_their_names_say():
    assert wrong(Break.NOTHING) == ""
    assert "```" not in wrong(Break.GARBAGE)
    assert wrong(Break.HALF_FENCE, files={"calc.py": RIGHT}).count("```") == 1
    assert "../../etc/passwd" in wrong(Break.PATH_ESCAPE)


async def test_endless_line_goes_on_until_the_limit(tmp_path: Path):
    path = task_file(tmp_path, {**ADD, "break": "endless-line"})
    async with Sim(settings(*ORACLE, tasks=path, first_time_right=0.0)) as sim:
        body = {"model": "oracle", "messages": [{"role": "user", "content": ADD["prompt"]}]}
        lines = await (await begin(sim, "/api/chat", {**body, "options": {"num_predict": 5000}})).lines()

        assert lines[-1]["done_reason"] == "length"
        assert "\n" not in "".join(line["message"]["content"] for line in lines)


# ------------------------------------------------------------------------------------ tasks and shares


def test_the_longest_match_wins():
    short, long = Task(id="short", prompt="Write add"), Task(id="long", prompt="Write add and subtract")

    assert find_task([short, long], "Write add and subtract, please") is long
    assert find_task([short, long], "Write add") is short
    assert find_task([short, long], "Write") is None


def test_the_share_decides_how_many_tasks_are_right_at_once():
    ids = [f"task-{number}" for number in range(400)]

    def right(share: float, seed: int = 0) -> set[str]:
        return {task for task in ids if is_right_first_time(task, seed, share)}

    assert right(0.0) == set()
    assert right(1.0) == set(ids)
    assert 160 < len(right(0.5)) < 240
    assert right(0.3) < right(0.6)
    assert right(0.5) != right(0.5, seed=1)


def test_a_fence_is_longer_than_those_in_the_file():
    text = fenced({"a.md": "````\ncode\n````\n"}, "markdown")

    assert text.startswith("````` markdown a.md".replace(" ", "", 1))
    assert [answer.content for answer in read_files(text)] == ["````\ncode\n````\n"]


def test_tasks_are_read_from_lines(tmp_path: Path):
    tasks = read_tasks(task_file(tmp_path, ADD, {**WHY, "break": "nothing", "unknown": 1}))

    assert [task.id for task in tasks] == ["add", "why"]
    assert tasks[1].break_ is Break.NOTHING


# ------------------------------------------------------------------------------- the form of its edits

FORMS = ("whole", "search_replace", "function")


async def edited(folder: Path, trial: EditTrial, form: str, **more: object) -> tuple[CoderQuestion, Completion]:
    """What is asked in a form, and what the oracle answers."""
    question = trial.question(form)
    path = task_file(folder, ADD)
    async with Sim(settings(*ORACLE, tasks=path, **more)) as sim:
        messages = [{"role": each.role, "content": each.content} for each in CODER.question(question).messages]
        _, answer = await ask(sim, "/api/chat", model="oracle", messages=messages, stream=False)
        return question, Completion(text=answer["message"]["content"])


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("trial", EDIT_TRIALS, ids=lambda trial: trial.name)
async def test_edits_are_written_in_the_form_that_is_asked_for(tmp_path: Path, trial: EditTrial, form: str):
    question, completion = await edited(tmp_path, trial, form)
    kinds = {type(change).__name__ for change in CODER.answer(completion, question)}
    expected = {"whole": "FileAnswer", "search_replace": "EditAnswer", "function": "FunctionAnswer"}[form]
    assert kinds == {expected}
    assert judge_trial(trial, form, completion).right


@pytest.mark.parametrize("form", FORMS)
async def test_a_share_of_the_answers_in_a_form_cannot_be_used(tmp_path: Path, form: str):
    for asked in FORMS:
        _, completion = await edited(tmp_path, EDIT_TRIALS[0], asked, malformed={form: 1.0})
        assert judge_trial(EDIT_TRIALS[0], asked, completion).applied is (asked != form)


async def test_a_share_between_spoils_some_answers_and_the_same_ones_each_time(tmp_path: Path):
    async def spoilt() -> list[bool]:
        asked = [await edited(tmp_path, trial, "whole", malformed={"whole": 0.5}) for trial in EDIT_TRIALS]
        return [
            judge_trial(trial, "whole", completion).applied
            for trial, (_, completion) in zip(EDIT_TRIALS, asked, strict=True)
        ]

    first = await spoilt()
    assert set(first) == {True, False}
    assert await spoilt() == first
