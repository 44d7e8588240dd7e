from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from infrastructure.sandbox import Limits, NoSandbox, Sandbox, open_sandbox
from infrastructure.storage.blobs import MemoryBlobs
from infrastructure.storage.database import Database
from infrastructure.storage.writes import WriteStore
from infrastructure.tools.journal import WriteJournal
from infrastructure.tools.local import local_tools
from infrastructure.tools.registry import ToolRegistry
from infrastructure.tools.tool import ToolPlace, ToolPolicy, ToolResult
from tests.workspace.repos import Repo


@dataclass(slots=True)
class KeptTodos:
    """A session's list, kept in memory."""

    lists: dict[str, tuple[str, ...]] = field(default_factory=dict)

    async def write_todos(self, session: str, todos: tuple[str, ...]) -> None:
        self.lists[session] = todos


@dataclass(slots=True)
class Bench:
    """A workspace, and the tools on it."""

    workspace: Path
    journal: WriteJournal
    writes: WriteStore
    blobs: MemoryBlobs
    todos: KeptTodos
    registry: ToolRegistry
    sandbox: Callable[[], object] | None = None
    calls: int = 0

    def place(self, call: str = "", policy: ToolPolicy = ToolPolicy(), agents: tuple[str, ...] = ()) -> ToolPlace:
        self.calls += 1
        return ToolPlace(
            session="s1",
            call=call or f"c{self.calls}",
            workspace=self.workspace,
            policy=policy,
            agents=agents,
            journal=self.journal,
            todos=self.todos,
            sandbox=self.sandbox,  # pyright: ignore[reportArgumentType]
            limits=Limits(wall_seconds=30),
        )

    async def run(
        self, tool: str, call: str = "", policy: ToolPolicy = ToolPolicy(), **arguments: object
    ) -> ToolResult:
        return await self.registry.run(tool, arguments, self.place(call, policy))  # pyright: ignore[reportArgumentType]

    def file(self, path: str, content: str | bytes) -> Path:
        target = self.workspace / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content.encode() if isinstance(content, str) else content)
        return target

    def text(self, path: str) -> str:
        return (self.workspace / path).read_text()


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    workspace = tmp_path / "project"
    workspace.mkdir()
    async with Database(tmp_path / "corral.db") as database:
        writes, blobs = WriteStore(database), MemoryBlobs()
        yield Bench(workspace, WriteJournal(writes, blobs), writes, blobs, KeptTodos(), local_tools())


@pytest.fixture
async def sandboxed(bench: Bench) -> Bench:
    try:
        sandbox: Sandbox = await open_sandbox("auto")
    except NoSandbox as why:
        pytest.skip(str(why))

    async def opener() -> Sandbox:
        return sandbox

    bench.sandbox = opener
    return bench


@pytest.fixture
def repo(tmp_path: Path, bench: Bench, monkeypatch: pytest.MonkeyPatch) -> Repo:
    """A repository as the workspace."""
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    made = Repo(tmp_path / "repo", tmp_path / "witness")
    bench.workspace = made.root
    return made
