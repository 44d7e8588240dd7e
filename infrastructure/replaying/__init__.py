"""Runs repeated from their recordings: no model, no sandbox, no network."""

from pathlib import Path

from infrastructure.replaying.files import BadRecording, load_recording, write_recording
from infrastructure.replaying.following import Diverged
from infrastructure.replaying.keeping import keep_replay
from infrastructure.replaying.playing import Replayed, play
from infrastructure.running.reading import read_recording
from infrastructure.running.recording import NotReplayable, Recording

__all__ = [
    "BadRecording",
    "Diverged",
    "NotReplayable",
    "Recording",
    "Replayed",
    "keep_replay",
    "load_recording",
    "play",
    "read_recording",
    "replay_file",
    "write_recording",
]


async def replay_file(path: Path | str) -> Replayed:
    """Replay an exported recording.

    In a test: `assert (await replay_file("run.jsonl")).difference == ()`.

    Raises:
        BadRecording: it is no recording of this form, or a damaged one.
        OSError: it cannot be read.
        WorkspaceError: its files cannot be put on disk.
    """
    return await play(await load_recording(Path(path)))
