"""The few git commands that Corral runs on the host, and how they are kept from running anything else.

Owns the command line and environment of git. A repository's own configuration names programs (hooks, filters,
fsmonitor, transports, signing); only commands that start none of them are used here, and each of those names is
overridden besides. `status`, `diff`, `add`, `checkout` and `stash` do run filters and are never used.
Source: facts/langgraph.md §0a, facts/reliability.md §1.3; held by tests with planted programs.
"""

import asyncio
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from infrastructure.processes import ProcessNotStarted, run_process
from infrastructure.workspace.errors import GitFailed, GitMissing, TooLarge

_SECONDS = 120.0
_OUTPUT_BYTES = 64 << 20
_OVERRIDES = (
    "core.hooksPath=/dev/null",
    "core.fsmonitor=false",
    "core.splitIndex=false",
    "core.untrackedCache=false",
    "core.quotePath=false",
    "protocol.allow=never",
    "protocol.ext.allow=never",
    "commit.gpgSign=false",
    "gc.auto=0",
)


@dataclass(frozen=True, slots=True)
class Repository:
    """A git repository as seen from a folder in it.

    Attributes:
        top: Where its working tree begins.
        folder: The folder that was asked for: `top` or one below it.
    """

    top: Path
    folder: Path

    @property
    def prefix(self) -> str:
        """What precedes a path of the folder in a path of the repository: empty, or ends with `/`."""
        inner = self.folder.relative_to(self.top).as_posix()
        return "" if inner == "." else f"{inner}/"


def find_repository(folder: Path) -> Repository | None:
    """The repository a folder lies in, found by the nearest `.git` upwards; no program runs. Blocking."""
    folder = folder.resolve()
    for top in (folder, *folder.parents):
        if os.path.lexists(top / ".git"):
            return Repository(top=top, folder=folder)
    return None


async def git(
    repository: Repository,
    *arguments: str,
    stdin: bytes = b"",
    env: Mapping[str, str] | None = None,
    allowed: tuple[int, ...] = (0,),
) -> tuple[int, bytes]:
    """Run one git command in the repository's folder and return its exit code and what it wrote.

    Args:
        repository: Where.
        arguments: The command and its arguments.
        stdin: What it reads.
        env: Added to its environment.
        allowed: Exit codes that are answers rather than failures.

    Raises:
        GitMissing: There is no git.
        GitFailed: It ended with another code, or did not end in two minutes.
        TooLarge: It wrote more than 64 MiB.
    """
    overrides = [word for each in (*_OVERRIDES, f"safe.directory={repository.top}") for word in ("-c", each)]
    argv = (await _program(), *overrides, "--no-pager", f"--work-tree={repository.top}", *arguments)
    return await _run(
        argv, arguments, repository.folder, {**_environment(repository.top), **(env or {})}, stdin, allowed
    )


async def git_setting(repository: Repository, key: str, *options: str) -> str | None:
    """What git's configuration says, the user's own included; None when it says nothing. A value, never a program."""
    argv = (await _program(), "config", *options, "--get", key)
    environment = _environment(repository.top)
    del environment["GIT_CONFIG_GLOBAL"]
    _, output = await _run(argv, ("config", key), repository.folder, environment, b"", (0, 1))
    return output.decode("utf-8", "surrogateescape").rstrip("\n") or None


async def plain_git(folder: Path, *arguments: str, stdin: bytes = b"", env: Mapping[str, str] | None = None) -> bytes:
    """Run git where no repository of the user is involved: `env` must name the git directory."""
    overrides = [word for each in _OVERRIDES for word in ("-c", each)]
    argv = (await _program(), *overrides, "--no-pager", *arguments)
    _, output = await _run(argv, arguments, folder, {**_environment(folder), **(env or {})}, stdin, (0,))
    return output


async def _run(
    argv: tuple[str, ...],
    arguments: tuple[str, ...],
    cwd: Path,
    env: Mapping[str, str],
    stdin: bytes,
    allowed: tuple[int, ...],
) -> tuple[int, bytes]:
    try:
        finished = await run_process(argv, cwd=cwd, env=env, stdin=stdin, timeout=_SECONDS, output_limit=_OUTPUT_BYTES)
    except ProcessNotStarted as error:
        raise GitFailed(arguments, error.reason) from error
    if finished.stopped is not None:
        raise GitFailed(arguments, f"it was stopped ({finished.stopped}) after {finished.seconds:.0f} s")
    if finished.truncated:
        raise TooLarge("git's answer is very long", "64 MiB", "Name a smaller folder.")
    if finished.exit_code is None or finished.exit_code not in allowed:
        reason = finished.stderr.decode("utf-8", "replace").strip()[-500:] or f"it ended with {finished.exit_code}"
        raise GitFailed(arguments, reason)
    return finished.exit_code, finished.stdout


async def _program() -> str:
    found = await asyncio.to_thread(shutil.which, "git")
    if found is None or not Path(found).is_absolute():  # a relative entry of PATH could mean the workspace
        raise GitMissing
    return found


def _environment(top: Path) -> dict[str, str]:
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "XDG_CONFIG_HOME") if name in os.environ}
    return kept | {
        "GIT_CONFIG_GLOBAL": "/dev/null",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_ALLOW_PROTOCOL": "none",  # wins over protocol.<name>.allow of the repository
        "GIT_NO_LAZY_FETCH": "1",
        "GIT_OPTIONAL_LOCKS": "0",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_LITERAL_PATHSPECS": "1",
        "GIT_NO_REPLACE_OBJECTS": "1",
        "GIT_DISCOVERY_ACROSS_FILESYSTEM": "1",
        "GIT_CEILING_DIRECTORIES": str(top.parent),
        "LC_ALL": "C",
    }
