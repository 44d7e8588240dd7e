"""Which files of a folder belong to a snapshot.

Owns the two lists: git's (tracked, and untracked that are not ignored) and, where there is no repository, a bounded
walk. Folders that hold dependencies, caches or the results of a batch are left out unless git tracks what is in them.
"""

import os
from collections.abc import Iterable, Set
from dataclasses import dataclass, field
from pathlib import Path

from infrastructure.workspace.errors import TooLarge
from infrastructure.workspace.git import Repository, git, git_setting
from infrastructure.workspace.manifest import Skipped
from infrastructure.workspace.replacing import TEMPORARY
from infrastructure.workspace.threads import in_thread

DEPENDENCY_FOLDERS = frozenset({".venv", "venv", "node_modules"})
"""Folders that a project's dependencies live in; tests see them read-only where they are."""

_LEFT_OUT = DEPENDENCY_FOLDERS | {
    ".git", ".hg", ".svn", ".jj", "__pycache__", ".mypy_cache", ".pytest_cache", ".ruff_cache", ".hypothesis",
    ".tox", ".nox", ".eggs", ".cache", ".gradle", ".direnv", "__pypackages__",
}  # fmt: skip
RESULTS = ".corral-results"
"""Lies in a folder that a batch writes into. What earlier runs made of a task is nothing that a later one may see."""
_NO_SOURCE, _OF_A_BATCH = "dependencies or a cache", "results of a batch"
_MOST_SKIPPED = 300
_GITLINK = "160000"


@dataclass(slots=True)
class Chosen:
    """The files to copy. `indexed` holds git's blob id of each tracked file."""

    paths: list[str] = field(default_factory=list[str])
    indexed: dict[str, str] = field(default_factory=dict[str, str])
    skipped: list[Skipped] = field(default_factory=list[Skipped])
    head: str | None = None
    staged: bool = False
    """Whether the index differs from the last commit."""

    def skip(self, path: str, reason: str) -> None:
        """Remember something left out, while the list is short enough to be read."""
        if len(self.skipped) < _MOST_SKIPPED:
            self.skipped.append(Skipped(path, reason))


async def choose_by_git(repository: Repository) -> Chosen:
    """Ask git for the files of the repository's folder.

    Raises:
        GitMissing, GitFailed: Git could not say.
    """
    chosen = Chosen()
    _, tracked = await git(repository, "ls-files", "-z", "--stage")
    for record in _records(tracked):
        facts, _, path = record.partition("\t")
        mode, blob, _stage = facts.split(" ")
        if mode == _GITLINK:
            chosen.skip(path, "a submodule")
        elif path not in chosen.indexed:
            chosen.indexed[path] = blob
            chosen.paths.append(path)
    untracked = await _untracked(repository)
    results = await in_thread(lambda _: _results(repository.folder, untracked))
    for path in untracked:
        _add_untracked(chosen, path, results)
    code, head = await git(repository, "rev-parse", "--verify", "--quiet", "HEAD^{commit}", allowed=(0, 1, 128))
    chosen.head = head.decode("ascii").strip() if code == 0 else None
    chosen.staged = await _is_staged(repository, chosen)
    return chosen


async def _untracked(repository: Repository) -> list[str]:
    # The user's own list of ignored files is part of what "ignored" means to them; it is data, not a program.
    ignored = await git_setting(repository, "core.excludesFile", "--type=path")
    option = () if ignored is None else ("-c", f"core.excludesFile={ignored}")
    _, output = await git(repository, *option, "ls-files", "-z", "--others", "--exclude-standard")
    return _records(output)


async def _is_staged(repository: Repository, chosen: Chosen) -> bool:
    if chosen.head is None:
        return bool(chosen.indexed)
    code, _ = await git(
        repository, "diff-index", "--cached", "--quiet", "--no-ext-diff", "--no-textconv", chosen.head, "--", ".",
        allowed=(0, 1),
    )  # fmt: skip
    return code == 1


def _records(output: bytes) -> list[str]:
    return [os.fsdecode(record) for record in output.split(b"\0") if record]


def is_result(path: Path, folder: Path) -> bool:
    """Whether a file below a folder lies among the results of a batch, which are no part of that folder. Blocking."""
    between = path.relative_to(folder).parents if path.is_relative_to(folder) else ()
    return any(os.path.lexists(folder / each / RESULTS) for each in between if each.parts)


def _results(root: Path, paths: Iterable[str]) -> frozenset[str]:
    """Those of the folders above these paths, and below the root, that a batch writes into. Blocking."""
    folders = {path.rpartition("/")[0] for path in paths}
    above = {
        "/".join(parts[: end + 1])
        for each in folders
        if each
        for parts in [each.split("/")]
        for end in range(len(parts))
    }
    return frozenset(each for each in above if os.path.lexists(os.path.join(root, each, RESULTS)))  # noqa: PTH118 - names may be no UTF-8


def _add_untracked(chosen: Chosen, path: str, results: Set[str]) -> None:
    *folders, name = path.split("/")
    above = ("/".join(folders[: index + 1]) for index in range(len(folders)))
    if (found := next((each for each in above if each in results), None)) is not None:
        _skip_once(chosen, found, _OF_A_BATCH)
        return
    if path.endswith("/"):
        chosen.skip(path, "a repository of its own")
        return
    if name.startswith(TEMPORARY):
        return
    for index, folder in enumerate(folders):
        if folder in _LEFT_OUT:
            _skip_once(chosen, "/".join(folders[: index + 1]), _NO_SOURCE)
            return
    chosen.paths.append(path)


def _skip_once(chosen: Chosen, path: str, reason: str) -> None:
    if Skipped(path, reason) not in chosen.skipped:
        chosen.skip(path, reason)


def choose_by_walk(folder: Path, most_files: int) -> Chosen:
    """List the files of a folder that is no repository. Blocking. Links are listed, never followed.

    Raises:
        TooLarge: There are more than `most_files`.
    """
    chosen = Chosen()
    for place, folders, names in os.walk(folder):
        inner = os.path.relpath(place, folder)
        prefix = "" if inner == "." else f"{inner}/"
        kept: list[str] = []
        for each in sorted(folders):
            if each in _LEFT_OUT or os.path.lexists(os.path.join(place, each, "pyvenv.cfg")):  # noqa: PTH118 - names may be no UTF-8
                _skip_once(chosen, prefix + each, _NO_SOURCE)
            elif os.path.lexists(os.path.join(place, each, RESULTS)):  # noqa: PTH118 - the same
                _skip_once(chosen, prefix + each, _OF_A_BATCH)
            elif os.path.islink(os.path.join(place, each)):  # noqa: PTH114, PTH118 - the same
                chosen.paths.append(prefix + each)
            else:
                kept.append(each)
        folders[:] = kept
        chosen.paths.extend(prefix + each for each in sorted(names) if not each.startswith(TEMPORARY))
        if len(chosen.paths) > most_files:
            raise too_many(folder, most_files)
    return chosen


def too_many(folder: Path, most_files: int) -> TooLarge:
    """The error for a folder of more files than a run may copy."""
    return TooLarge(f"{folder} holds too many files", f"{most_files:,} files", "Name a smaller folder, or ignore some.")
