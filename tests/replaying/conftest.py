"""Runs over the simulator, and their recordings."""

from __future__ import annotations

from infrastructure.replaying import Recording, read_recording
from tests.engine.world import World


async def recording_of(ours: World, run: str) -> Recording:
    """The recording of a run that has ended or rests."""
    app = ours.app
    return await read_recording(
        await app.runs.get(run),
        calls=app.calls,
        recordings=app.recordings,
        blobs=app.blobs,
        events=app.log.read,
        tree=app.directory.tree(run),
    )
