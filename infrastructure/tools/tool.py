"""What a tool is: its name, what it takes, what it may do to the world, and where it runs.

Owns the values that pass between a registry and whoever calls it. A tool that did not do what it was asked for is a
value (`ToolResult`), never an error: the model reads why, and goes on.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol, TypeAlias

from agents.model import JsonObject
from infrastructure.sandbox import Limits, Sandbox

_LIMITS = Limits()

Risk: TypeAlias = Literal["reads", "writes", "runs", "talks"]
"""The most that a tool can do: `reads` looks at the workspace and the session's own notes, `writes` changes files of
the workspace, `runs` starts a program, `talks` reaches something that is not ours."""

Where: TypeAlias = Literal["local", "client", "mcp"]
"""Who does it: Corral itself, the client of the session (an IDE), a server that speaks MCP."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolSpec:
    """A tool as its callers see it.

    Attributes:
        name: Unique in a registry.
        description: For the model; short, since eight of them stand in a prompt.
        parameters: JSON schema of the arguments, an object.
        risk: The most that it can do.
        where: Who does it.
    """

    name: str
    description: str
    parameters: JsonObject
    risk: Risk
    where: Where = "local"


@dataclass(frozen=True, slots=True)
class ToolResult:
    """What came of a call.

    Attributes:
        text: For the model; bounded.
        ok: Whether the tool did what it was asked for. Tests that are red and a command that ends with 1 are answers.
        error_class: A word for the kind of failure, the same each time; empty where there is none.
        sandbox: The level of the sandbox that a program was run in; empty where none was run.
    """

    text: str
    ok: bool = True
    error_class: str = ""
    sandbox: str = ""


@dataclass(frozen=True, slots=True)
class Checked:
    """Arguments as the tool takes them. Checking them again gives the same."""

    arguments: JsonObject


@dataclass(frozen=True, slots=True)
class Refused:
    """A call that cannot be made: why, and what would be right. `error_class` is `UnknownTool` or `BadArguments`."""

    text: str
    error_class: str


class TodoPort(Protocol):
    """Where the session's list of things to do is kept.

    A cancelled write may have happened; writing again is harmless.

    Failures are the store's own errors.
    """

    async def write_todos(self, session: str, todos: tuple[str, ...]) -> None:
        """Replace the list."""
        ...


class WritePort(Protocol):
    """How files are written so that it can be taken back: `journal.WriteJournal`.

    A cancelled write may have happened; the same call of the session writes once.
    """

    async def written(self, place: ToolPlace, path: str) -> bool:
        """Whether this very call has written this file already, and it is still so."""
        ...

    async def write(self, place: ToolPlace, path: str, before: bytes | None, after: bytes) -> str:
        """Replace a file's content, or make the file.

        Args:
            place: The session, the call, the workspace.
            path: A checked path below the workspace.
            before: What the file holds; None where there is none. It is written only while that is so.
            after: What it is to hold.

        Returns:
            Why nothing was written; empty where it was, now or before.

        Raises:
            WorkspaceError: The path is refused, or the system does.
            StorageError: The old content could not be kept; nothing was written.
        """
        ...

    async def made(self, session: str, call: str) -> tuple[str, bool] | None:
        """The file that a call which was cut off has written, and whether that is certain; None where it has not."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolPolicy:
    """What an agent's tools may do less than the tools can.

    Attributes:
        writes_only: Globs (`**/*.md`) of the only files that may be written; None: any file of the workspace.
    """

    writes_only: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolPlace:
    """Where a call is done: for whom, on which files, by what means.

    Attributes:
        session: Whose call it is.
        call: Its id, unique in the session; what is written under it is written once.
        workspace: The folder that tools work in; None where the session has none.
        policy: Of the agent that asks.
        agents: Names that `switch_mode` may give; empty: any.
        journal: How files are written; None: they are not.
        todos: The session's list; None: there is none.
        sandbox: Opens the sandbox, once; None: nothing is run. Raises NoSandbox.
        limits: Of one execution in the sandbox.
        scratch: Folder for throw-away copies; the system's temporary directory when None.
        held: The level of the sandbox for whose sake nobody was asked: the call runs there, without files that may hold
            secrets, or not at all. Empty where somebody was asked, or nobody need be.
        unasked: Whether neither a person nor a rule has said yes to this call, since it was judged to be safe. So it
            has no files that may hold secrets either, and is done by the system's programs.
    """

    session: str
    call: str
    workspace: Path | None = None
    policy: ToolPolicy = ToolPolicy()
    agents: tuple[str, ...] = ()
    journal: WritePort | None = None
    todos: TodoPort | None = None
    sandbox: Callable[[], Awaitable[Sandbox]] | None = None
    limits: Limits = _LIMITS
    scratch: Path | None = None
    held: str = ""
    unasked: bool = False


class ToolError(Exception):
    """A tool cannot do what it was asked for. `text` is for the model: what is wrong, and what to do instead.

    Raised inside a tool; a registry turns it into a result.
    """

    def __init__(self, error_class: str, text: str) -> None:
        super().__init__(text)
        self.error_class = error_class
        self.text = text


Reading: TypeAlias = Callable[[JsonObject], JsonObject]
"""Reads arguments as a tool takes them, or raises `arguments.BadArguments`."""
Doing: TypeAlias = Callable[[JsonObject, ToolPlace], Awaitable[ToolResult]]
"""Does a checked call."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisteredTool:
    """A tool with what a registry needs to check and do it; `do` is None where the client does it."""

    spec: ToolSpec
    read: Reading
    do: Doing | None = None
