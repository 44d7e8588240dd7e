"""A candidate's files on disk, for as long as they are needed.

Owns the throw-away trees below a run's folder: made from the snapshot and the content store, used, removed. A step
that runs again after a crash makes its tree anew, so nothing half-done is ever looked at.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager

from infrastructure.workflow.scope import RunScope
from infrastructure.workflow.values import FileRef
from infrastructure.workspace.errors import NotCarried
from infrastructure.workspace.manifest import Snapshot
from infrastructure.workspace.patch import make_patch
from infrastructure.workspace.trees import Tree, fork_tree, write_files


@asynccontextmanager
async def candidate_tree(
    scope: RunScope, snapshot: Snapshot, number: int, contents: Sequence[FileRef]
) -> AsyncGenerator[Tree]:
    """The snapshot with a candidate's files on top, removed at the end.

    Raises:
        WorkspaceError: a path or a text that must not be written.
    """
    place = scope.trees / f"candidate-{number}"
    try:
        tree = await fork_tree(snapshot, place)
        await write_files(tree, {ref.path: await _text(scope, ref) for ref in contents})
        yield tree
    finally:
        await asyncio.shield(asyncio.to_thread(shutil.rmtree, place, ignore_errors=True))


async def patch_of(scope: RunScope, snapshot: Snapshot, tree: Tree) -> tuple[str, frozenset[str]]:
    """Hash of the patch text in the content store, empty when nothing changed; and the paths that it changes.

    Raises:
        NotCarried: a changed file cannot be in a patch, so what was tried would not be what is delivered.
    """
    patch = await make_patch(snapshot, tree)
    if patch.left_out:
        raise NotCarried(patch.left_out[0].path, patch.left_out[0].reason)
    if patch.empty:
        return "", frozenset()
    sha = await scope.blobs.put(patch.text.encode("utf-8", "surrogateescape"))
    return sha, frozenset(each.path for each in patch.files)


async def _text(scope: RunScope, ref: FileRef) -> str | None:
    return None if ref.sha is None else (await scope.blobs.get(ref.sha)).decode()
