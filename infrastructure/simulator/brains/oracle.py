"""Owns the oracle: a model that knows the answers to given tasks, for demos and tests of whole workflows.

It answers each of Corral's roles in that role's form, and wrongly where the odds say so: at first, in a repair, in some
of the tests that it writes.
"""

import random
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import orjson

from infrastructure.simulator.brains.draws import drawn
from infrastructure.simulator.brains.falsehoods import falsified
from infrastructure.simulator.brains.forms import fenced, form_asked, malformed, written
from infrastructure.simulator.brains.mutants import mutant, respelled
from infrastructure.simulator.brains.question import Question
from infrastructure.simulator.brains.schema import instance
from infrastructure.simulator.brains.tasks import Break, Task, find_task, is_right_first_time
from infrastructure.simulator.golang import Json, JsonObject
from infrastructure.simulator.settings import Form

_ROLE = re.compile(r"You are Corral's (\w+)\.")
_FAILING = re.compile(r"^## Failing tests", re.MULTILINE)
_FUNCTION = re.compile(r"^([ \t]*)(?:async )?def .*?:[ \t]*(?:#.*)?$", re.MULTILINE)
_UNKNOWN = "This is a simulated model. It knows no task like this one."
_ENDLESS_WORD = "and so on "


@dataclass(frozen=True, slots=True, kw_only=True)
class Odds:
    """How often the oracle is right.

    Attributes:
        seed: The server's.
        first_time_right: Share of the tasks, or where `independent` of the answers, that are right without a repair.
        independent: Whether every other question is a draw of its own, so that candidates of one task differ.
        repair_right: Share of the repairs that are right.
        wrong_tests: Share of the written test functions that expect something false.
        malformed: Share of the coder's answers that cannot be used, by the form that is asked for.
    """

    seed: int = 0
    first_time_right: float = 1.0
    independent: bool = False
    repair_right: float = 1.0
    wrong_tests: float = 0.0
    malformed: Mapping[Form, float] = field(default_factory=dict[Form, float])


class OracleBrain:
    """Answers what it knows."""

    def __init__(self, tasks: Sequence[Task], odds: Odds) -> None:
        self._tasks = tuple(tasks)
        self._odds = odds

    def answer(self, question: Question) -> Iterator[str]:
        """See `Brain`."""
        task = find_task(self._tasks, question.text)
        if question.format is not None:
            text = orjson.dumps(self._filled(question, task)).decode()
            return iter(question.model.tokenizer.pieces(text))
        if task is None:
            return iter(question.model.tokenizer.pieces(_UNKNOWN))
        return self._spoken(question, task)

    # --------------------------------------------------------------------- structured answers

    def _filled(self, question: Question, task: Task | None) -> Json:
        schema = question.format if isinstance(question.format, dict) else None
        if schema is None:
            return {"answer": _UNKNOWN if task is None else task.answer}
        value = instance(schema, random.Random(f"{question.seed}/{question.prompt}"))
        if not isinstance(value, dict):
            return value
        known = _known(str(schema.get("title", "")), task, question.text)
        properties = schema.get("properties")
        fitting = known.keys() & (properties.keys() if isinstance(properties, dict) else ())
        return value | {name: known[name] for name in fitting}

    # --------------------------------------------------------------------------- free answers

    def _spoken(self, question: Question, task: Task) -> Iterator[str]:
        first = question.messages[0].content if question.messages else question.prompt
        role = _ROLE.search(first)
        pieces = question.model.tokenizer.pieces
        if role and role[1] == "tester":
            return iter(pieces(self._tests(question, task)))
        if (role and role[1] not in ("coder", "debugger")) or (not role and task.kind == "question"):
            return iter(pieces(_responder(task)))
        form = form_asked(first) if role and role[1] == "coder" else "whole"
        if role and self._is_malformed(form, question, task):
            return iter(pieces(malformed(form, task.files)))
        if self._is_right(question, task):
            return iter(pieces(written(form, self._spelled(task), task.language, question.text)))
        if task.break_ is Break.ENDLESS_LINE:
            return _for_ever(pieces(_ENDLESS_WORD))
        mutated = self._mutated(question, task)
        return iter(pieces(fenced({**task.files, **mutated}, task.language) if mutated else broken(task)))

    def _is_right(self, question: Question, task: Task) -> bool:
        odds = self._odds
        if task.always_broken:
            return False
        if not odds.independent and is_right_first_time(task.id, odds.seed, odds.first_time_right):
            return True
        if any(_FAILING.search(message.content) for message in question.messages if message.role == "user"):
            return drawn("repair", *self._asked(question, task)) < odds.repair_right
        return odds.independent and drawn("answer", *self._asked(question, task)) < odds.first_time_right

    def _is_malformed(self, form: Form, question: Question, task: Task) -> bool:
        share = self._odds.malformed.get(form, 0.0)
        return share > 0 and drawn("malformed", form, *self._asked(question, task)) < share

    def _spelled(self, task: Task) -> Mapping[str, str]:
        """Right files, spelled as mutants are where there may be any: who chooses must not tell them by their look."""
        if not self._may_mutate(task):
            return task.files
        return {path: respelled(content) if path.endswith(".py") else content for path, content in task.files.items()}

    def _may_mutate(self, task: Task) -> bool:
        says_how = task.break_ is not Break.WRONG or task.broken
        return self._odds.independent and not says_how and task.language == "python"

    def _mutated(self, question: Question, task: Task) -> Mapping[str, str]:
        """Wrong files that other questions get otherwise; none where the task says itself how it is wrong."""
        if not self._may_mutate(task):
            return {}
        asked = self._asked(question, task)
        found = {path: mutant(content, *asked) for path, content in task.files.items() if path.endswith(".py")}
        return {path: content for path, content in found.items() if content is not None}

    def _tests(self, question: Question, task: Task) -> str:
        if not task.tests:
            return _UNKNOWN
        asked = self._asked(question, task)

        def told(path: str, content: str) -> str:
            if not self._odds.wrong_tests or not path.endswith(".py"):
                return content
            return falsified(content, lambda name: drawn("test", path, name, *asked) < self._odds.wrong_tests)

        return fenced({path: told(path, content) for path, content in task.tests.items()}, task.language)

    def _asked(self, question: Question, task: Task) -> tuple[object, ...]:
        """All that makes a question another one: its words, the approach hint among them, its seed, its temperature."""
        return self._odds.seed, task.id, question.seed, question.temperature, question.prompt


def broken(task: Task) -> str:
    """A wrong answer to a task, in the task's own way of being wrong."""
    return _WAYS[task.break_](task)


def _responder(task: Task) -> str:
    return task.answer or "This is a simulated answer. The task is about code: ask for it with `corral run`."


def _known(title: str, task: Task | None, conversation: str) -> JsonObject:
    """What the oracle knows for each field, by the title of the answer's type."""
    paths: list[Json] = list(task.files) if task else []
    said: list[Json] = [path for path in paths if isinstance(path, str) and path in conversation]
    steps: list[Json] = list(task.plan) if task else []
    kind = task.kind if task else "question"
    by_title: dict[str, JsonObject] = {
        "Intent": {
            "summary": "Do what the task says.",
            "kind": kind,
            "language": task.language if task else "python",
            "acceptance": ["What the task describes holds."],
        },
        "Research": {"files": said, "notes": "The files that the task names."},
        "Plan": {
            "files": paths,
            "steps": steps or ["Write the code that the task asks for."],
            "summary": "Do what the task asks for, and no more.",
            "risks": [],
        },
        "Examination": {"file": paths[0] if paths else "", "calls": list(task.calls) if task else []},
        "Diagnosis": {
            "cause": "The code does not do what the failing test expects.",
            "fix": "Write the function as the task describes it.",
            "files": paths,
        },
        "Review": {
            "verdict": "approve",
            "objections": [],
            "risks": [],
            "files": [],
            "summary": "It does what was asked.",
        },
        "Reflection": {
            "lesson": "The last plan did not lead to passing tests.",
            "approach": "Write the function as the task describes it, from the start.",
        },
    }
    return by_title.get(title, {})


def _for_ever(pieces: Sequence[str]) -> Iterator[str]:
    while True:
        yield from pieces


# ------------------------------------------------------------------------------ ways of being wrong


def _lose_bracket(task: Task) -> str:
    files = dict(task.files)
    for path, content in files.items():
        cut = max(content.rfind(bracket) for bracket in ")]}")
        files[path] = content[:cut] + content[cut + 1 :] if cut >= 0 else content + "\n(((\n"
        break
    return fenced(files, task.language)


def _wrong_logic(task: Task) -> str:
    if task.broken:
        return fenced({**task.files, **task.broken}, task.language)
    return fenced({path: _hollow(content) for path, content in task.files.items()}, task.language)


def _hollow(content: str) -> str:
    """Every function of a Python file returns None at once."""
    return _FUNCTION.sub(lambda match: f"{match[0]}\n{match[1]}    return None", content)


def _leave_out(task: Task) -> str:
    kept = dict(list(task.files.items())[:-1])
    return fenced(kept, task.language) if kept else "All files are as they should be.\n"


def _half_fence(task: Task) -> str:
    return fenced(task.files, task.language).rstrip().rstrip("`")


def _escape(task: Task) -> str:
    return fenced({"../../etc/passwd": "root::0:0::/:/bin/sh\n"}, task.language)


_WAYS: Mapping[Break, Callable[[Task], str]] = {
    Break.SYNTAX: _lose_bracket,
    Break.WRONG: _wrong_logic,
    Break.MISSING: _leave_out,
    Break.GARBAGE: lambda _: "Sure! Here is what I think about it: it depends, and then again it does not.\n",
    Break.NOTHING: lambda _: "",
    Break.HALF_FENCE: _half_fence,
    Break.ENDLESS_LINE: lambda _: _ENDLESS_WORD * 1000,
    Break.PATH_ESCAPE: _escape,
}
