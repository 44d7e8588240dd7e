"""Calls that need no question, since nothing that they do can leave the sandbox.

Owns which those are, and what they are not shown: whoever was not asked has not allowed that secrets are read, nor that
other folders of the home are. Whoever runs such a call asks `ToolPlace.held` whether the sandbox is still that one.
"""

from __future__ import annotations

import asyncio
import re
import shlex
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path, PurePosixPath

from agents.model import JsonObject
from infrastructure.danger.places import may_hold_secrets
from infrastructure.judge.commands import program_paths
from infrastructure.judge.discovery import TestPlan
from infrastructure.sandbox import Level, NoSandbox, Sandbox

CONTAINED = frozenset({"run_command", "run_tests"})
"""Tools that do everything on a throw-away copy, in the sandbox, and bring nothing back but text."""
HOLDS = frozenset({Level.BUBBLEWRAP})
"""Levels at which a command sees no process, no folder and no network but its own."""
_BETWEEN = re.compile(r"[\s'\"`=:;|&<>(){},$\\@]+")
_WORD = re.compile(r"[\w.+-]{1,64}")
_MOST_WORDS = 100


class Containment:
    """Judges calls by the sandbox as it is now.

    Args:
        open_sandbox: Opens the sandbox, once. Raises NoSandbox.
    """

    def __init__(self, open_sandbox: Callable[[], Awaitable[Sandbox]]) -> None:
        self._open = open_sandbox

    async def level(self) -> str:
        """The level of the sandbox that holds whatever is run; empty where none does."""
        try:
            level = (await self._open()).level
        except NoSandbox:
            return ""
        return str(level) if level in HOLDS else ""

    async def of(self, tool: str, arguments: JsonObject) -> str:
        """The level that will hold a call so that nobody need be asked; empty where somebody must."""
        line = arguments.get("command")
        if tool not in CONTAINED or not isinstance(line, str) or names_secrets(line):
            return ""
        if await asyncio.to_thread(lambda: any(of_the_home(path) for path in programs_in(line))):
            return ""
        if tool == "run_tests" and await asyncio.to_thread(lambda: shows_tests_more(line)):
            return ""
        return await self.level()


def names_secrets(line: str) -> bool:
    """Whether a word of a command line is the name of a file that may hold secrets."""
    return any(may_hold_secrets(word) for word in _BETWEEN.split(line))


def programs_in(line: str) -> tuple[Path, ...]:
    """The installations of programs that the line names and that the user's shell would find. Blocking.

    Of one that lies in a folder of the user's home itself, such as ~/.cargo, only `bin` is shown: beside it may lie
    what opens other doors.
    """
    home = Path.home()
    narrow = (path / "bin" if path.parent == home else path for path in _installations(line))
    return tuple(dict.fromkeys(path for path in narrow if path != home and path.is_dir()))


def _installations(line: str) -> list[Path]:
    """Where the programs that the line names are installed, each with all that is there. Blocking."""
    try:
        words = shlex.split(line)
    except ValueError:
        words = line.split()
    names = filter(_WORD.fullmatch, dict.fromkeys(words[:_MOST_WORDS]))
    return [path for name in names for path in program_paths((name,))]


def shows_tests_more(line: str) -> bool:
    """Whether tests by this line would be shown more than a command is. Blocking.

    That is what a path of it leads to, and the whole of a program's folder in the home, as ~/.cargo, with its keys.
    """
    home = Path.home()
    paths = (PurePosixPath(word) for word in _BETWEEN.split(line) if word)
    leads_out = any(path.is_absolute() or path.parts[:1] == ("~",) or ".." in path.parts for path in paths)
    return leads_out or any(path.parent == home for path in _installations(line))


def shown_to_tests(plan: TestPlan, workspace: Path) -> TestPlan:
    """The plan of tests that nobody was asked about: of the home they read their interpreter, and no other work."""
    own = (workspace, plan.interpreter.parent.parent)
    kept = (path for path in plan.read if not of_the_home(path) or any(path.is_relative_to(each) for each in own))
    return replace(plan, read=tuple(kept))


def of_the_home(path: Path) -> bool:
    """Whether an installation is a folder of the user's own work, and no hidden one where tools are put (~/.nvm)."""
    home = Path.home()
    if not path.is_relative_to(home):
        return False
    parts = path.relative_to(home).parts
    return not parts or not parts[0].startswith(".")
