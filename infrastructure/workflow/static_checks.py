"""The static check of a candidate's files against the snapshot: made once, recorded, and taken from the record."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from agents.model import JsonObject
from infrastructure.judge.linting import Findings, dump_findings, find_new, is_checked, load_findings
from infrastructure.workflow.evidence import contents_of
from infrastructure.workflow.scope import RunScope
from infrastructure.workflow.trying import recorded
from infrastructure.workflow.values import FileRef
from infrastructure.workspace.beneath import LINK, read_file
from infrastructure.workspace.manifest import Snapshot


async def check_files(scope: RunScope, step: str, snapshot: Snapshot, files: Sequence[FileRef]) -> Findings:
    """What is wrong in changed files, as far as it can be seen in their text and was not so before.

    Args:
        scope: Whose files.
        step: The step's place in the run, the same after a crash (`reviewer:1`).
        snapshot: How they were.
        files: How they are. Those of a language without a check are passed over; with no other, nothing is run.
    """
    checked = [ref for ref in files if is_checked(ref.path)]
    if not any(ref.sha for ref in checked):
        return Findings()
    known = {ref.path: snapshot.files[ref.path] for ref in checked if ref.path in snapshot.files}

    async def make() -> bytes:
        before = {
            path: await asyncio.to_thread(read_file, snapshot.root, path, ours=True)
            for path, state in known.items()
            if state.mode != LINK
        }
        return dump_findings(await find_new(before, await contents_of(scope, checked)))

    request: JsonObject = {
        "check": "ruff",
        "before": {path: state.sha256 for path, state in known.items()},
        "after": [[ref.path, ref.sha] for ref in checked],
    }
    return load_findings((await recorded(scope, step, "checks", request, make)).content)
