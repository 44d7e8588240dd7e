"""Putting a finished change where the user wants it: into the folder, or onto a new branch.

Owns `apply_patch`. Only files of the change are touched; one that the user changed since the snapshot stops all of it
and is named. Every file is compared by content first, so doing it again is harmless.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from infrastructure.workspace.beneath import LINK, REGULAR, sha_of
from infrastructure.workspace.branching import write_branch
from infrastructure.workspace.errors import NotADirectory, PathRefused
from infrastructure.workspace.manifest import Snapshot
from infrastructure.workspace.replacing import Replacement, replace_all
from infrastructure.workspace.threads import in_thread
from infrastructure.workspace.trees import check_path, state_of


@dataclass(frozen=True, slots=True)
class Applied:
    """The change is where it was wanted.

    Attributes:
        files: Files changed now.
        already: Files that were as wanted before.
        branch: The branch that holds it; None for the folder itself.
        commit: The commit on it.
        carried: Files whose uncommitted changes came onto the branch with the change.
    """

    files: tuple[str, ...]
    already: tuple[str, ...] = ()
    branch: str | None = None
    commit: str | None = None
    carried: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ConflictingFile:
    """A file that stops the change, and why."""

    path: str
    reason: str


@dataclass(frozen=True, slots=True)
class Conflict:
    """Nothing was changed, because these files are not what they were when the run began."""

    files: tuple[ConflictingFile, ...]


class _Changed(Exception):
    """A file changed between the comparison and the renaming."""


async def apply_patch(
    repo: Path,
    snapshot: Snapshot,
    changes: Mapping[str, bytes | None],
    *,
    branch: str | None = None,
    message: str = "Change made by Corral",
    executable: frozenset[str] = frozenset(),
) -> Applied | Conflict:
    """Deliver a change.

    Args:
        repo: The user's folder.
        snapshot: What the run started from.
        changes: Each file's whole content afterwards; None deletes it.
        branch: A new branch for the change, based on the commit the snapshot was taken at; the working tree and the
            index stay as they are. None changes the files in the folder.
        message: Of the commit.
        executable: Which new files may be executed. A file that was there keeps its mode.

    Raises:
        NotADirectory: The folder is gone.
        PathRefused: A path is not safe.
        WriteFailed: The system refused; nothing was changed.
        NotARepository, BranchExists, BranchRefused: The branch cannot be made.
        GitMissing, GitFailed: Git failed.
    """
    for path in changes:
        check_path(path)
    if branch is not None:
        made = await write_branch(repo, snapshot, changes, branch, message, executable)
        wanted = tuple(sorted(changes))
        files, already = (wanted, ()) if made.fresh else ((), wanted)
        return Applied(files, already, branch, made.commit, made.carried)
    return await in_thread(lambda _: _apply(repo, snapshot, changes, executable))


def _apply(
    repo: Path, snapshot: Snapshot, changes: Mapping[str, bytes | None], executable: frozenset[str]
) -> Applied | Conflict:
    if not repo.is_dir():
        raise NotADirectory(repo)
    conflicts, waiting = _compare(repo, snapshot, changes)
    if conflicts:
        return Conflict(tuple(conflicts))

    def confirm() -> None:
        again, _ = _compare(repo, snapshot, {path: changes[path] for path in waiting})
        if again:
            conflicts.extend(again)
            raise _Changed

    replacements = [Replacement(path, changes[path], 0o100755 if path in executable else REGULAR) for path in waiting]
    try:
        replace_all(repo, replacements, confirm=confirm)
    except _Changed:
        return Conflict(tuple(conflicts))
    return Applied(tuple(waiting), tuple(sorted(set(changes) - set(waiting))))


def _compare(
    repo: Path, snapshot: Snapshot, changes: Mapping[str, bytes | None]
) -> tuple[list[ConflictingFile], list[str]]:
    """Name the files that are neither as they were nor as they shall be, and those still to be changed."""
    conflicts: list[ConflictingFile] = []
    waiting: list[str] = []
    for path, content in sorted(changes.items()):
        before = snapshot.files.get(path)
        was = None if before is None else before.sha256
        wanted = None if content is None else sha_of(content)
        try:
            state = state_of(repo, path)
        except PathRefused as error:
            conflicts.append(ConflictingFile(path, error.reason))
            continue
        now = None if state is None else state.sha256
        if state is not None and state.mode == LINK:
            conflicts.append(ConflictingFile(path, "it is a symbolic link"))
        elif now == wanted:
            continue
        elif now == was:
            waiting.append(path)
        else:
            conflicts.append(ConflictingFile(path, _what_happened(was, now)))
    return conflicts, waiting


def _what_happened(was: str | None, now: str | None) -> str:
    if was is None:
        return "it was made since the run began"
    return "it was deleted since the run began" if now is None else "it was changed since the run began"
