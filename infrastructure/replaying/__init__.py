"""Runs repeated from their recordings: no model, no sandbox, no network."""

from infrastructure.replaying.following import Diverged
from infrastructure.replaying.playing import Replayed, play
from infrastructure.replaying.reading import read_recording
from infrastructure.replaying.recording import NotReplayable, Recording

__all__ = ["Diverged", "NotReplayable", "Recording", "Replayed", "play", "read_recording"]
