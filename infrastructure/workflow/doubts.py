"""What speaks against a green run of the judge's tests: what the patch itself brings into their process.

Owns the questions that are asked of a candidate before it is `done`: does its code newly reach for the test framework,
does it change what may be the tests' own help, and which of its files are tests of its own, which must not be needed
for the judge's to pass.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from infrastructure.judge.belonging import lent
from infrastructure.judge.meddling import newly_named
from infrastructure.judge.steering import is_test_by_name, steers
from infrastructure.workflow.scope import RunScope
from infrastructure.workflow.values import FileRef
from infrastructure.workspace.errors import WorkspaceError
from infrastructure.workspace.manifest import Snapshot
from infrastructure.workspace.trees import Tree, read_text

_SHOWN = 3


def altered_text(altered: Sequence[str]) -> str:
    """What judges and was changed while it judged, as a reason to doubt; empty where nothing was."""
    if not altered:
        return ""
    more = f" and {len(altered) - _SHOWN} more" if len(altered) > _SHOWN else ""
    return (
        f"while the tests ran, the patch's code changed what judges it ({', '.join(altered[:_SHOWN])}{more}). Read it"
    )


async def lent_text(snapshot: Snapshot, contents: Sequence[FileRef]) -> str:
    """Which of a patch's files may be the tests' own help, by its name, as a reason to doubt; empty where none is."""
    free = await asyncio.to_thread(lent, snapshot)
    changed = next((ref.path for ref in contents if ref.path in free), "")
    return changed and f"{changed} is named as what belongs to the tests, so it may be what says so. Read it"


def own_tests(snapshot: Snapshot, contents: Sequence[FileRef]) -> tuple[str, ...]:
    """The test files that a patch adds."""
    return tuple(
        ref.path
        for ref in contents
        if ref.sha is not None and ref.path not in snapshot.files and is_test_by_name(ref.path)
    )


async def newly_named_in(scope: RunScope, snapshot: Snapshot, contents: Sequence[FileRef]) -> str:
    """Which of a patch's files that are no tests newly reach for what judges them, as a reason to doubt.

    Tests that the patch adds are free to: they are taken away before it is `done`. So is what steers a runner.
    """
    own = own_tests(snapshot, contents)
    for ref in contents:
        if ref.sha is None or ref.path in own or steers(ref.path):
            continue
        after = (await scope.blobs.get(ref.sha)).decode("utf-8", "replace")
        if names := newly_named(ref.path, await _before(snapshot, ref.path), after):
            shown = ", ".join(names[:_SHOWN])
            return f"{ref.path} newly names {shown}: code in the tests' own process can change what they say. Read it"
    return ""


async def _before(snapshot: Snapshot, path: str) -> str | None:
    if path not in snapshot.files:
        return None
    try:
        return await read_text(Tree(snapshot.root), path)
    except WorkspaceError:
        return None  # a link, or no text: what was not read cannot have been there before
