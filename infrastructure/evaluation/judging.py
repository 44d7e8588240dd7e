"""The judge after the run: the given tests on a fresh copy of the problem with one patch, in the sandbox.

Owns what a run can neither see nor change: the copy is made from the set, and the tests are put over it last. Each
patch of a problem is tried once, however many candidates came to it.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from infrastructure.evaluation.problems import Problem
from infrastructure.evaluation.samples import Fit
from infrastructure.judge.discovery import TestPlan, judge_files, plan_tests
from infrastructure.judge.errors import TestCommandNotStarted
from infrastructure.judge.reports import TestReport
from infrastructure.judge.runner import run_tests
from infrastructure.processes import scratch
from infrastructure.sandbox import Limits, Sandbox
from infrastructure.storage.blobs import Blobs
from infrastructure.storage.errors import CorruptBlob, MissingBlob
from infrastructure.workspace import Snapshot, Tree, WorkspaceError, fork_tree, take_snapshot, write_files
from infrastructure.workspace.git import plain_git

Apply = Callable[[Path], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class _Bench:
    """A problem made ready."""

    snapshot: Snapshot
    plan: TestPlan | None
    files: Mapping[str, bytes]
    fit: Fit


@dataclass(slots=True, kw_only=True)
class HiddenJudge:
    """Judges patches. Use `open_judge`."""

    sandbox: Sandbox
    limits: Limits
    blobs: Blobs
    place: Path
    _benches: dict[str, asyncio.Task[_Bench]] = field(default_factory=dict[str, "asyncio.Task[_Bench]"])
    _verdicts: dict[tuple[str, str], asyncio.Task[bool]] = field(
        default_factory=dict[tuple[str, str], "asyncio.Task[bool]"]
    )
    _trees: int = 0

    async def fit(self, problem: Problem) -> Fit:
        """Whether the problem's tests can judge."""
        return (await self._bench(problem)).fit

    async def passes(self, problem: Problem, patch: str, text: bytes | None = None) -> bool | None:
        """Whether all the problem's tests pass with a patch.

        Args:
            problem: Whose.
            patch: The patch's hash; nothing is judged where it is empty.
            text: The patch, where the caller has it; else it is looked up, and where it is not kept there is no answer.
        """
        if not patch:
            return None
        key = (problem.id, patch)
        if key not in self._verdicts:
            self._verdicts[key] = asyncio.create_task(self._judged(problem, patch, text), name=f"judge {problem.id}")
        try:
            return await asyncio.shield(self._verdicts[key])
        except (MissingBlob, CorruptBlob):
            return None

    async def aclose(self) -> None:
        """Stop what is going on. Idempotent."""
        tasks = [*self._verdicts.values(), *self._benches.values()]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    async def _judged(self, problem: Problem, patch: str, text: bytes | None) -> bool:
        bench = await self._bench(problem)
        content = await self.blobs.get(patch) if text is None else text
        report = await self._tried(bench, lambda tree: _apply(tree, content))
        return report is not None and report.green

    async def _bench(self, problem: Problem) -> _Bench:
        if problem.id not in self._benches:
            name = f"make {problem.id} ready"
            self._benches[problem.id] = asyncio.create_task(self._made(problem), name=name)
        return await asyncio.shield(self._benches[problem.id])

    async def _made(self, problem: Problem) -> _Bench:
        place = self._folder("problem")
        await asyncio.to_thread((place / "files").mkdir, parents=True)
        await write_files(Tree(place / "files"), problem.files)
        snapshot = await take_snapshot(place / "files", place / "snapshot")
        tests = {path: text.encode() for path, text in problem.tests.items()}
        try:
            plan = await plan_tests(snapshot, test_command=problem.test_command or "", tests=tests)
        except TestCommandNotStarted:
            plan = None
        files = await judge_files(snapshot, tests, "" if plan is None else plan.command)
        bench = _Bench(snapshot, plan, files, "fit")
        return _Bench(snapshot, plan, files, await self._fit(problem, bench))

    async def _fit(self, problem: Problem, bench: _Bench) -> Fit:
        before = await self._tried(bench, _nothing)
        if before is None or not (before.outcomes or before.crashed):
            return "not runnable"
        if before.green:
            return "green before"
        if problem.reference:
            right = await self._tried(bench, lambda tree: _write(tree, problem.reference))
            if right is None or not right.green:
                return "reference fails"
        return "fit"

    async def _tried(self, bench: _Bench, change: Apply) -> TestReport | None:
        """The tests on a copy that was changed; None where the change does not fit, or the tests do not start."""
        if bench.plan is None:
            return None
        place = self._folder("tree")
        tree = await fork_tree(bench.snapshot, place / "work")
        try:
            await change(tree.root)
            return await run_tests(self.sandbox, tree, bench.plan, bench.files, limits=self.limits)
        except (WorkspaceError, TestCommandNotStarted):
            return None
        finally:
            await asyncio.shield(asyncio.to_thread(shutil.rmtree, place, ignore_errors=True))

    def _folder(self, what: str) -> Path:
        self._trees += 1
        return self.place / f"{what}-{self._trees}"


@asynccontextmanager
async def open_judge(sandbox: Sandbox, limits: Limits, blobs: Blobs) -> AsyncGenerator[HiddenJudge]:
    """A judge with a place of its own, removed at the end."""
    async with scratch("eval") as place:
        judge = HiddenJudge(sandbox=sandbox, limits=limits, blobs=blobs, place=place)
        try:
            yield judge
        finally:
            await asyncio.shield(judge.aclose())


async def _nothing(_: Path) -> None:
    return None


async def _write(tree: Path, files: Mapping[str, str]) -> None:
    await write_files(Tree(tree), files)


async def _apply(tree: Path, patch: bytes) -> None:
    repository = tree.with_name("repository")
    env = {"GIT_DIR": str(repository), "GIT_WORK_TREE": str(tree)}
    await plain_git(tree, "init", "--quiet", "--template=", env=env)
    await plain_git(tree, "apply", "--whitespace=nowarn", "-", stdin=patch, env=env)
