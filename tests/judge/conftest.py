from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

import pytest

from infrastructure.judge import TestPlan, TestReport, judge_files, plan_tests, run_tests
from infrastructure.sandbox import Limits, NoSandbox, Sandbox, open_sandbox
from infrastructure.workspace import Snapshot, fork_tree, take_snapshot, write_files

Files = Mapping[str, str]
LIMITS = Limits(wall_seconds=30)
Take = Callable[[Files], Awaitable[Snapshot]]


@pytest.fixture
async def sandbox() -> Sandbox:
    try:
        return await open_sandbox("auto")
    except NoSandbox as why:
        pytest.skip(str(why))


@pytest.fixture
def take(tmp_path: Path) -> Take:
    """Take a snapshot of a folder that holds these files."""

    async def taken(files: Files) -> Snapshot:
        folder = tmp_path / "project"
        for path, text in files.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_text(text)
        folder.mkdir(exist_ok=True)
        return await take_snapshot(folder, tmp_path / "run")

    return taken


@pytest.fixture
def run(take: Take, sandbox: Sandbox, tmp_path: Path):
    """Run the tests of a project, after an attempt has changed it."""

    async def ran(
        files: Files,
        attempt: Mapping[str, str | None] | None = None,
        *,
        command: str = "",
        given: Files | None = None,
        limits: Limits = LIMITS,
    ) -> TestReport:
        snapshot = await take(files)
        tests = {path: text.encode() for path, text in (given or {}).items()}
        plan = await plan_tests(snapshot, test_command=command, tests=tests)
        assert isinstance(plan, TestPlan)
        tree = await fork_tree(snapshot, tmp_path / "tree")
        await write_files(tree, attempt or {})
        before = _contents(tree.root)
        report = await run_tests(sandbox, tree, plan, await judge_files(snapshot, tests, plan.command), limits=limits)
        assert _contents(tree.root) == before, "running tests must not change the tree"
        assert not _left_behind(tmp_path), "the copy must be gone"
        return report

    return ran


def _contents(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


def _left_behind(folder: Path) -> list[Path]:
    return list(folder.glob(".judge*"))
