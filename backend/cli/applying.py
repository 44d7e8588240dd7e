"""Putting a run's patch into the folder it came from, or onto a new branch, and writing down that it was done.

Owns the order: the files as the patch leaves them, the intent, the change, the receipt. Doing it again is harmless.
"""

import asyncio
import hashlib
import shutil
import tempfile
from collections.abc import Collection, Sequence
from pathlib import Path

from backend.cli.errors import Refused, no_patch
from backend.cli.hunking import hunks_of
from infrastructure.ids import RunId
from infrastructure.storage.control import ControlStore
from infrastructure.storage.directory import DataDirectory
from infrastructure.tasks import RunResult
from infrastructure.workspace import Applied, Conflict, Snapshot, apply_patch, load_snapshot
from infrastructure.workspace.errors import SnapshotUnfinished
from infrastructure.workspace.git import plain_git
from infrastructure.workspace.hunks import join_patch, made_by

APPLY = "patch.apply"
_AS_THEY_ARE = "* -text -eol -ident -filter !working-tree-encoding\n"
"""Every attribute by which git would read or write other bytes than a file has, switched off in the throw-away folder's
`info/attributes`, which goes before any `.gitattributes`. An encoding can be unset and not switched off."""


async def apply_result(
    result: RunResult,
    directory: DataDirectory,
    control: ControlStore,
    *,
    branch: str | None = None,
    hunks: Collection[int] | None = None,
) -> Applied | Conflict:
    """Deliver the patch of a result, or a part of it: as one change, all or nothing.

    Args:
        result: What the run ended with.
        directory: Where the run's snapshot is.
        control: Where intent and receipt are kept.
        branch: A new branch for it; None changes the files in the folder.
        hunks: The numbers of the hunks that are wanted; None for all.

    Returns:
        What was changed; or the files that are no longer as they were when the run began, and nothing was changed.

    Raises:
        Refused: there is no patch, or its snapshot was cleaned away.
        WorkspaceError: the folder or git stands in the way.
        StorageError: what is done could not be written down.
    """
    if not result.patch:
        raise no_patch(RunId(result.run), over=result.status != "needs_input")
    try:
        snapshot = await load_snapshot(directory.tree(result.run))
    except SnapshotUnfinished:
        raise Refused(
            f"the snapshot of run {result.run} was removed, so it cannot be told what has changed since",
            f"Try it with git: corral show {result.run} --patch | git apply --3way",
        ) from None
    whole, key = result, f"{APPLY}:{result.run}:{branch or ''}"
    if hunks is not None:
        result = part_of(whole, hunks)
        key += "" if result is whole else f":{_sha(result.patch)[:16]}"
    changes, executable = await _files_after(result, snapshot)
    await control.intend(key, APPLY, _sha(str(snapshot.repo), branch or "", result.patch))
    message = f"{_subject(result)}\n\nMade by Corral, run {result.run}."
    applied = await apply_patch(snapshot.repo, snapshot, changes, branch=branch, message=message, executable=executable)
    if isinstance(applied, Applied):
        await control.receipt(key)
    return applied


def part_of(result: RunResult, hunks: Collection[int]) -> RunResult:
    """The result with only these hunks of its patch; itself where they are all."""
    known = hunks_of(result.patch)
    taken = [each for each in known if each.number in hunks]
    if len(taken) == len(known):
        return result
    paths = tuple(dict.fromkeys(each.path for each in taken))
    return result.model_copy(update={"patch": join_patch(known, hunks), "files": paths})


def run_id(result: RunResult) -> RunId:
    """The run that a result is of."""
    return RunId(result.run)


async def _files_after(result: RunResult, snapshot: Snapshot) -> tuple[dict[str, bytes | None], frozenset[str]]:
    """Each file of the patch as it is afterwards, None for a deleted one; and which of them may be executed.

    Git itself applies the patch to copies of the snapshot's files, in a throw-away folder. What comes out must be what
    the patch says that it makes: no other bytes are delivered than were tried.

    Raises:
        Refused: it is not.
    """
    place = Path(await asyncio.to_thread(tempfile.mkdtemp, prefix="corral-apply-"))
    try:
        tree = place / "tree"
        await asyncio.to_thread(_lay_out, tree, snapshot, result.files)
        env = {"GIT_DIR": str(place / "repository"), "GIT_WORK_TREE": str(tree)}
        await plain_git(tree, "init", "--quiet", "--template=", env=env)
        attributes = place / "repository" / "info" / "attributes"
        await asyncio.to_thread(_write, attributes, _AS_THEY_ARE)
        await plain_git(tree, "apply", "--whitespace=nowarn", "-", stdin=result.patch.encode(), env=env)
        changes, executable = await asyncio.to_thread(_read, tree, result.files)
    finally:
        await asyncio.to_thread(shutil.rmtree, place, ignore_errors=True)
    for path, made in made_by(hunks_of(result.patch)).items():
        content = changes.get(path)
        if made != (None if content is None else _name(content, len(made or ""))):
            raise Refused(f"git made another file {path} of the patch than was tested", "Nothing was changed.")
    return changes, executable


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="ascii")


def _name(content: bytes, digits: int) -> str:
    """As git names a content: by SHA-1, or by SHA-256 where its names are as long."""
    headed = b"blob %d\0" % len(content) + content
    return (hashlib.sha256(headed) if digits == 64 else hashlib.sha1(headed, usedforsecurity=False)).hexdigest()


def _lay_out(tree: Path, snapshot: Snapshot, paths: Sequence[str]) -> None:
    tree.mkdir()
    for path in paths:
        if path in snapshot.files:
            (tree / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(snapshot.root / path, tree / path, follow_symlinks=False)


def _read(tree: Path, paths: Sequence[str]) -> tuple[dict[str, bytes | None], frozenset[str]]:
    changes = {path: (tree / path).read_bytes() if (tree / path).is_file() else None for path in paths}
    executable = {path for path in changes if changes[path] is not None and (tree / path).stat().st_mode & 0o100}
    return changes, frozenset(executable)


def _subject(result: RunResult) -> str:
    files = ", ".join(result.files[:3])
    return f"Change {files}" if len(result.files) <= 3 else f"Change {files} and {len(result.files) - 3} more"


def _sha(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogateescape")).hexdigest()
