"""A run with options of its own replays with them."""

from __future__ import annotations

from pathlib import Path

from infrastructure.replaying import play
from tests.engine.world import simulator, world
from tests.replaying.conftest import recording_of


async def test_a_seeded_run_with_as_many_candidates_as_find_a_slot_replays_without_a_difference(tmp_path: Path):
    async with world(tmp_path, simulator(tmp_path, first_time_right=0.0)) as ours:
        run = await ours.start(candidates="auto", seed=7)
        first = await ours.end_of(run)
        replayed = await play(await recording_of(ours, run))

    assert first.status == "done"
    assert replayed.difference == ()
    assert replayed.result is not None
    assert replayed.result.patch == first.patch
