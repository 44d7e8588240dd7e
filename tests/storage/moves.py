"""Moves of a run by themselves. The program writes one only with what it tells of it, in one transaction."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Unpack

    from infrastructure.ids import RunId
    from infrastructure.storage.runs import RunChanges, RunRecord, RunState, RunStore


async def moved(runs: RunStore, run: RunId, state: RunState, **changes: Unpack[RunChanges]) -> RunRecord:
    return await runs._writing.write(runs.moving(run, state, **changes))


async def finished(runs: RunStore, run: RunId, status: str, judge: str, result_json: str) -> RunRecord:
    return await runs._writing.write(runs.finishing(run, status, judge, result_json))
