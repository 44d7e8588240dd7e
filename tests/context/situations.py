"""Two hundred situations in which there is more to say to a role than its window holds."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from agents.codegen import (
    CODER,
    DEBUGGER,
    EXAMINER,
    INTENT,
    PLANNER,
    REFLECTOR,
    RESEARCHER,
    RESPONDER,
    REVIEWER,
    TESTER,
    CoderQuestion,
    DebuggerQuestion,
    ExaminerQuestion,
    IntentQuestion,
    ListedFile,
    Plan,
    PlannerQuestion,
    ReflectorQuestion,
    Repair,
    ResearcherQuestion,
    ResponderQuestion,
    ReviewerQuestion,
    SourceFile,
    TesterQuestion,
)
from agents.role import Role

WINDOWS = (2048, 4096, 8192, 32768)
PATH = "app/report.py"
SMALL = SourceFile(PATH, "def report(rows):\n    for row in rows:\n        print(row)\n")

PROSE = "The report command reads rows from the store and prints them as a table, one line for each row. "
CODE = "    result = transform(rows[index], key=lambda row: row.total)  # keep the order of the store\n"
MINIFIED = 'function a(b){return c[d]?{e:f(g,h),"i":[j,k]}:(l=m&&n||o)&&p(q);}'
CHINESE = "报告命令从存储中读取各行并以表格形式打印出来，每行一条记录；"
EMOJI = "🚀🔥✅🧪📦🐍💥🧵"
TEXTS = {"prose": PROSE, "code": CODE, "minified": MINIFIED, "chinese": CHINESE, "emoji": EMOJI}


def much(kind: str, tokens: int) -> str:
    """So many tokens of a text, at the least: by three bytes a token, which is too many bytes for each of them."""
    return TEXTS[kind] * (1 + 4 * tokens // len(TEXTS[kind].encode()))


def several(count: int, kind: str, tokens: int, folder: str = "lib") -> tuple[SourceFile, ...]:
    return tuple(SourceFile(f"{folder}/part{number}.py", much(kind, tokens)) for number in range(count))


def plan(steps: int = 2, step: str = "Change report.", summary: str = "Print JSON.") -> Plan:
    return Plan(summary=summary, files=[PATH], steps=[f"{number} {step}" for number in range(steps)], risks=[step] * 4)


LISTING = tuple(
    ListedFile(f"package/module{number}/file_with_a_long_name_{number}.py", number) for number in range(5_000)
)


@dataclass(frozen=True)
class Situation:
    """A question that is too long for a window, and which part must have been cut."""

    name: str
    role: Role[Any, Any]
    ask: Callable[[int], object]
    """The question for a window of so many tokens."""
    cut: str
    windows: tuple[int, ...] = WINDOWS


def _coder(kind: str, **more: Any) -> Callable[[int], object]:
    def ask(window: int) -> object:
        files = (SMALL, *several(6, kind, window // 3))
        return CoderQuestion(**{"task": "Print JSON.", "plan": plan(), "files": files, **more})

    return ask


def _repair(kind: str) -> Callable[[int], object]:
    def ask(window: int) -> object:
        files = (SMALL, *several(6, kind, window // 3))
        repair = Repair(much("prose", window), much(kind, window * 2), (SMALL,))
        return CoderQuestion(task="Print JSON.", plan=plan(), files=files, repair=repair)

    return ask


def _files_of_every_kind() -> Iterator[Situation]:
    for kind in TEXTS:
        yield Situation(f"coder, many files, {kind}", CODER, _coder(kind), "files")
        yield Situation(f"coder, repair, {kind}", CODER, _repair(kind), "repair.failing")
        yield Situation(
            f"planner, many files, {kind}",
            PLANNER,
            lambda window, kind=kind: PlannerQuestion(task="t", summary="s", files=several(8, kind, window // 4)),
            "files",
        )
        yield Situation(
            f"planner, one huge file, {kind}",
            PLANNER,
            lambda window, kind=kind: PlannerQuestion(task="t", summary="s", files=several(1, kind, window * 2)),
            "files",
        )
        yield Situation(
            f"debugger, huge report, {kind}",
            DEBUGGER,
            lambda window, kind=kind: DebuggerQuestion(
                task="t", plan=plan(), failing=much(kind, 3 * window), files=several(3, kind, window // 2)
            ),
            "failing",
        )
        yield Situation(
            f"reviewer, huge patch, {kind}",
            REVIEWER,
            lambda window, kind=kind: ReviewerQuestion(
                task="t", plan=plan(), patch=much(kind, 40_000), report=much(kind, 2_000)
            ),
            "patch",
        )
        yield Situation(
            f"intent, long task, {kind}",
            INTENT,
            lambda window, kind=kind: IntentQuestion(task=much(kind, 30_000), listing=LISTING[:100]),
            "task",
        )
        yield Situation(
            f"responder, many files, {kind}",
            RESPONDER,
            lambda window, kind=kind: ResponderQuestion(task="Why?", files=several(9, kind, window // 4)),
            "files",
        )


def _others() -> Iterator[Situation]:
    yield Situation(
        "tester, many interfaces",
        TESTER,
        lambda window: TesterQuestion(task="t", plan=plan(), interfaces=several(8, "code", window // 4)),
        "interfaces",
    )
    yield Situation(
        "examiner, many interfaces",
        EXAMINER,
        lambda window: ExaminerQuestion(task="t", plan=plan(), interfaces=several(8, "code", window // 4)),
        "interfaces",
    )
    yield Situation(
        "examiner, huge plan",
        EXAMINER,
        lambda window: ExaminerQuestion(task="t", plan=plan(60, much("prose", window // 20))),
        "plan.risks",
    )
    yield Situation("coder, many signatures", CODER, _coder("code", interfaces=much("code", 40_000)), "interfaces")
    yield Situation(
        "planner, long map",
        PLANNER,
        lambda window: PlannerQuestion(task="t", summary="s", map=much("code", 40_000)),
        "map",
    )
    yield Situation(
        "researcher, long map",
        RESEARCHER,
        lambda window: ResearcherQuestion(task="t", summary="s", listing=LISTING[:50], map=much("code", 40_000)),
        "map",
    )
    yield Situation(
        "tester, huge plan",
        TESTER,
        lambda window: TesterQuestion(task="t", plan=plan(60, much("prose", window // 20))),
        "plan.steps",
    )
    yield Situation(
        "coder, huge plan",
        CODER,
        lambda window: CoderQuestion(task="t", plan=plan(60, much("prose", window // 20)), files=(SMALL,)),
        "plan.steps",
    )
    yield Situation(
        "coder, many tests",
        CODER,
        _coder("code", files=(SMALL,), tests=several(6, "code", 12_000, "tests")),
        "tests",
    )
    yield Situation("coder, long task", CODER, _coder("code", task=much("prose", 40_000)), "task")
    yield Situation(
        "researcher, huge listing",
        RESEARCHER,
        lambda window: ResearcherQuestion(task="t", summary="s", listing=LISTING, readme=much("prose", 9_000)),
        "listing",
    )
    yield Situation("intent, huge listing", INTENT, lambda window: IntentQuestion(task="t", listing=LISTING), "listing")
    yield Situation(
        "reflector, many long attempts",
        REFLECTOR,
        lambda window: ReflectorQuestion(
            task="t", plan=plan(), attempts=tuple([much("prose", 3_000)] * 30), objections=tuple([PROSE] * 30)
        ),
        "attempts",
    )
    yield Situation(
        "debugger, long patch",
        DEBUGGER,
        lambda window: DebuggerQuestion(task="t", plan=plan(), failing="E", patch=much("code", 40_000)),
        "patch",
    )
    yield Situation(
        "planner, long lesson",
        PLANNER,
        lambda window: PlannerQuestion(task="t", summary="s", lesson=much("prose", 9_000), round=2),
        "lesson",
    )


SITUATIONS = [
    (situation, window) for situation in (*_files_of_every_kind(), *_others()) for window in situation.windows
]
