"""What the workspace differs in from its last commit: `git_diff`.

Owns the comparison. Git's own `diff` runs filters that a repository names, so it is never asked: the files of the
commit are read by their names, and compared with those of the folder by Corral.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import Field

from agents.model import JsonObject
from infrastructure.processes import scratch
from infrastructure.tools.arguments import Arguments
from infrastructure.tools.paths import folder_path, told_of_secrets, without_secrets, workspace_of
from infrastructure.tools.texts import bounded, counted, plain
from infrastructure.tools.tool import ToolError, ToolPlace, ToolResult
from infrastructure.workspace import FileState, Patch, Snapshot, Tree, make_patch, sha_of
from infrastructure.workspace.beneath import LINK, directory, git_mode, look_at, open_file, parts_of
from infrastructure.workspace.choosing import choose_by_git
from infrastructure.workspace.errors import PathMissing, PathRefused
from infrastructure.workspace.git import Repository, find_repository, git
from infrastructure.workspace.threads import Stopping, in_thread

MOST_BYTES = 512 << 10
"""Of a file that is compared line by line; a larger one is only named."""
MOST_FILES = 200
_GITLINK = 0o160000


class GitDiff(Arguments):
    """Show what differs from the last commit, new files included."""

    path: str = Field(default="", description="only this file or folder")


@dataclass(frozen=True, slots=True)
class _Committed:
    """A file of the last commit."""

    mode: int
    blob: str


@dataclass(slots=True)
class _Sides:
    """The files that differ: their contents in the commit are still to be had, those in the folder are here."""

    differing: dict[str, _Committed | None] = field(default_factory=dict[str, "_Committed | None"])
    now: dict[str, tuple[int, bytes]] = field(default_factory=dict[str, tuple[int, bytes]])
    named: list[str] = field(default_factory=list[str])
    """Files that differ, or may, and are not compared."""


async def git_diff(arguments: JsonObject, place: ToolPlace) -> ToolResult:
    """Compare the workspace with its last commit."""
    wanted = GitDiff.model_validate(arguments)
    workspace, below = workspace_of(place), folder_path(place, wanted.path)
    repository = await in_thread(lambda _: find_repository(workspace))
    if repository is None:
        raise ToolError("NoRepository", "the workspace is no git repository: there is no commit to compare with")
    chosen = await choose_by_git(repository)
    committed = await _commit_files(repository, chosen.head)
    paths = [
        path
        for path in sorted({*chosen.paths, *committed})
        if not below or path == below or path.startswith(f"{below}/")
    ]
    sides = await in_thread(lambda stopping: _compare(repository.folder, paths, committed, stopping))
    secret = _take_secrets(sides, below)
    patch = await _patch(repository, sides, place)
    lines = [f"{each.kind} {plain(each.path)} (+{each.added} -{each.removed})" for each in patch.files]
    lines += [f"differs, not shown: {plain(path)}" for path in sides.named[:MOST_FILES]]
    lines += [f"differs, not shown ({each.reason}): {plain(each.path)}" for each in patch.left_out]
    passed_over = told_of_secrets(secret)
    if not lines:
        return ToolResult(
            "\n".join(
                (
                    "nothing else differs from the last commit" if secret else "nothing differs from the last commit",
                    *passed_over,
                )
            )
        )
    told = (counted(len(lines), "file"), *lines, *passed_over, "", plain(bounded(patch.text)))
    return ToolResult("\n".join(told).rstrip())


def _take_secrets(sides: _Sides, below: str) -> list[str]:
    """Leave out the files that may hold secrets; those of them that differ."""
    _, secret = without_secrets((*sides.differing, *sides.named), below)
    for path in secret:
        sides.differing.pop(path, None)
        sides.now.pop(path, None)
    sides.named = [path for path in sides.named if path not in secret]
    return secret


async def _commit_files(repository: Repository, commit: str | None) -> Mapping[str, _Committed]:
    found: dict[str, _Committed] = {}
    if commit is None:
        return found
    _, listed = await git(repository, "ls-tree", "-r", "-z", commit)
    for record in listed.split(b"\0"):
        if record:
            facts, _, path = record.partition(b"\t")
            mode, _, blob = facts.decode("ascii").split(" ")
            if int(mode, 8) != _GITLINK:
                found[os.fsdecode(path)] = _Committed(int(mode, 8), blob)
    return found


def _compare(folder: Path, paths: Sequence[str], committed: Mapping[str, _Committed], stopping: Stopping) -> _Sides:
    sides = _Sides()
    for path in paths:
        stopping.check()
        known = committed.get(path)
        try:
            mode, content = _read(folder, path)
        except (PathMissing, PermissionError):
            if known is not None:
                _add(sides, path, known)
            continue
        except PathRefused:
            sides.named.append(path)
            continue
        if known is not None and (mode == known.mode and _is_blob(content, known.blob)):
            continue
        if len(content) > MOST_BYTES:
            sides.named.append(path)
        elif _add(sides, path, known):
            sides.now[path] = (mode, content)
    return sides


def _add(sides: _Sides, path: str, known: _Committed | None) -> bool:
    if len(sides.differing) >= MOST_FILES:
        sides.named.append(path)
        return False
    sides.differing[path] = known
    return True


def _read(folder: Path, path: str) -> tuple[int, bytes]:
    *folders, name = parts_of(path)
    with directory(folder, folders) as parent:
        found = look_at(parent, name, path)
        if found is None:
            raise PathMissing(path)
        if git_mode(found.st_mode) == LINK:
            return LINK, os.fsencode(os.readlink(name, dir_fd=parent))
    with os.fdopen(open_file(folder, path), "rb") as file:
        return git_mode(os.fstat(file.fileno()).st_mode), file.read()


def _is_blob(content: bytes, blob: str) -> bool:
    """Whether git would name the content so, as it is or with its line ends as git stores them."""
    for form in {content, content.replace(b"\r\n", b"\n")}:
        headed = b"blob %d\0" % len(form) + form
        sha = sha_of(headed) if len(blob) == 64 else hashlib.sha1(headed, usedforsecurity=False).hexdigest()
        if sha == blob:
            return True
    return False


async def _patch(repository: Repository, sides: _Sides, place: ToolPlace) -> Patch:
    """The unified diff, made in a folder of ours where no configuration of the repository is."""
    before: dict[str, tuple[int, bytes]] = {}
    for path, known in sides.differing.items():
        if known is not None:
            _, content = await git(repository, "cat-file", "blob", known.blob)
            before[path] = (known.mode, content)
    large = [path for path, (_, content) in before.items() if len(content) > MOST_BYTES]
    for path in large:
        del before[path]
        sides.now.pop(path, None)
        sides.named.append(path)
    async with scratch("diff", place.scratch) as folder:
        old, new = folder / "before", folder / "after"
        await in_thread(lambda stopping: (_lay_out(old, before, stopping), _lay_out(new, sides.now, stopping)))
        states = {path: FileState(sha_of(content), mode, len(content)) for path, (mode, content) in before.items()}
        snapshot = Snapshot(root=old, repo=repository.folder, is_repository=True, dirty=True, head=None, files=states)
        return await make_patch(snapshot, Tree(new))


def _lay_out(root: Path, files: Mapping[str, tuple[int, bytes]], stopping: Stopping) -> None:
    root.mkdir()
    for path, (mode, content) in files.items():
        stopping.check()
        *folders, name = parts_of(path)
        with directory(root, folders, make=True) as parent:
            if mode == LINK:
                os.symlink(content, os.fsencode(name), dir_fd=parent)
                continue
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            with os.fdopen(os.open(name, flags, mode & 0o777, dir_fd=parent), "wb") as file:
                file.write(content)
