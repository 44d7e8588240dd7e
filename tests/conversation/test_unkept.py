"""Ends of turns that could not be written down."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from infrastructure.conversation.driving import LiveTurn
from infrastructure.conversation.turns import TurnRecord, TurnState
from infrastructure.conversation.unkept import UnkeptEnds
from infrastructure.storage.errors import StorageError


class Broken:
    """A driver by which no turn can end."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    async def end(self, *_: object) -> None:
        raise self.error


def unkept(error: Exception) -> UnkeptEnds:
    ends = UnkeptEnds(Broken(error))
    ends.add(
        LiveTurn(TurnRecord(turn="t", session="s", state=TurnState.RUNNING, agent="ask", started=datetime.now(UTC))),
        error,
    )
    return ends


async def test_end_stays_while_the_disk_refuses_it():
    ends = unkept(StorageError(Path("db"), "full"))
    with pytest.raises(StorageError):
        await ends.settle("s")
    await ends.settle_all()
    assert "s" in ends


async def test_end_that_cannot_be_written_for_a_fault_of_ours_keeps_nobody_from_the_session(caplog):
    ends = unkept(ValueError("ours"))
    await ends.settle("s")
    assert "s" not in ends
    assert "how turn t ended cannot be written down" in caplog.text
