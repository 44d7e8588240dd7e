"""Paths of a call, and the files that a workspace has.

Owns what a path in a call may look like, and the list of files: what git tracks or does not ignore, elsewhere all but
dependencies and caches; the same that a run's snapshot would hold. Whether a path leads through a link is found out by
whoever opens it (`workspace.beneath`).
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from infrastructure.danger.places import may_hold_secrets
from infrastructure.tools.arguments import nearest
from infrastructure.tools.globs import matches, matches_any
from infrastructure.tools.texts import counted, plain
from infrastructure.tools.tool import ToolError, ToolPlace
from infrastructure.workspace.beneath import directory, parts_of
from infrastructure.workspace.choosing import choose_by_git, choose_by_walk
from infrastructure.workspace.errors import NotADirectory, WorkspaceError
from infrastructure.workspace.git import find_repository
from infrastructure.workspace.threads import Stopping, in_thread
from infrastructure.workspace.trees import check_path

MOST_FILES = 20_000
_FEW = 5


def workspace_of(place: ToolPlace) -> Path:
    """The folder that the session works in.

    Raises:
        ToolError: It has none.
    """
    if place.workspace is None:
        raise ToolError("NoWorkspace", "this session has no workspace: there are no files to work on")
    return place.workspace


def file_path(place: ToolPlace, path: str) -> str:
    """A path of a file as the workspace names it: relative, with `/`. Nothing is guessed.

    `./` in front is taken off, and the workspace's own path in front of an absolute one.

    Raises:
        PathRefused: It leaves the workspace, or enters a `.git`.
    """
    relative = _relative(place, path)
    parts_of(relative)
    return relative


def folder_path(place: ToolPlace, path: str) -> str:
    """The same of a folder; empty for the workspace itself."""
    relative = _relative(place, path).rstrip("/")
    if relative in ("", "."):
        return ""
    parts_of(relative)
    return relative


def written_path(place: ToolPlace, path: str) -> str:
    """The path of a file that is to be written.

    Raises:
        PathRefused: It is not safe on every system.
        ToolError: The agent may not write it.
    """
    relative = file_path(place, path)
    check_path(relative)
    only = place.policy.writes_only
    if only is not None and not matches_any(relative, only):
        raise ToolError(
            "NotAllowed",
            f"this agent may write only {', '.join(only)}: {relative!r} is for another agent (switch_mode)",
        )
    return relative


async def files_of(workspace: Path) -> tuple[str, ...]:
    """The files of a workspace, sorted by path; names that are no UTF-8 are left out.

    Raises:
        NotADirectory: The folder is gone.
        TooLarge, GitMissing, GitFailed: They cannot be listed.
    """
    if not await in_thread(lambda _: workspace.is_dir()):
        raise NotADirectory(workspace)
    repository = await in_thread(lambda _: find_repository(workspace))
    if repository is not None:
        chosen = await choose_by_git(repository)
    else:
        chosen = await in_thread(lambda _: choose_by_walk(workspace, MOST_FILES))
    return await in_thread(lambda _: _there(workspace, chosen.paths))


async def chosen_by(paths: Sequence[str], glob: str) -> list[str]:
    """Those of the paths that a glob is of; an empty one is of all. In a thread, for a glob may take 0.4 ms a path."""

    def found(stopping: Stopping) -> list[str]:
        kept: list[str] = []
        for path in paths:
            stopping.check()
            if matches(path, glob):
                kept.append(path)
        return kept

    return await in_thread(found) if glob else list(paths)


def without_secrets(paths: Sequence[str], below: str) -> tuple[list[str], list[str]]:
    """The files that may be shown unasked, and those that may hold secrets.

    `below` is the file or folder that the call names: where that one may hold secrets it was asked about, and all of
    it is shown.
    """
    if may_hold_secrets(below):
        return list(paths), []
    secret = [path for path in paths if may_hold_secrets(path)]
    kept = set(secret)
    return [path for path in paths if path not in kept], secret


def told_of_secrets(secret: Sequence[str]) -> list[str]:
    """What is said of files that were passed over; nothing where none was."""
    if not secret:
        return []
    few = ", ".join(plain(path) for path in secret[:_FEW])
    more = f" and {counted(len(secret) - _FEW, 'file')} more" if len(secret) > _FEW else ""
    return [
        f"[passed over, since they may hold secrets: {few}{more}. To see one give it as path: a person is asked then]"
    ]


async def is_folder(place: ToolPlace, path: str) -> bool:
    """Whether it is a folder of the workspace, reached through no link."""
    workspace = workspace_of(place)

    def found() -> bool:
        try:
            with directory(workspace, parts_of(path)):
                return True
        except WorkspaceError:
            return False

    return await in_thread(lambda _: found())


async def missing(place: ToolPlace, path: str) -> ToolError:
    """What to say of a file that is not there: names that are near, of files of the workspace."""
    known = await files_of(workspace_of(place))
    name = path.rpartition("/")[2]
    same = [each for each in known if each.rpartition("/")[2] == name][:3]
    hint = f" Did you mean {' or '.join(same)}?" if same else await in_thread(lambda _: nearest(path, known))
    return ToolError("PathMissing", f"there is no file {path!r}.{hint or ' list_files shows what there is.'}")


def _relative(place: ToolPlace, path: str) -> str:
    top = f"{str(workspace_of(place)).rstrip('/')}/"
    if path.rstrip("/") == top.rstrip("/"):
        return ""
    return path.removeprefix(top).removeprefix("./")


def _there(workspace: Path, paths: list[str]) -> tuple[str, ...]:
    kept = [path for path in paths if _is_text(path) and os.path.lexists(os.path.join(workspace, path))]  # noqa: PTH118 - many
    return tuple(sorted(kept))


def _is_text(path: str) -> bool:
    return not any(0xD800 <= ord(character) <= 0xDFFF for character in path)
