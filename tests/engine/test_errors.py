"""What an error means for a run: its class, its words, what to do next, the exit code."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from agents.errors import WindowTooSmall
from infrastructure.ids import RunId
from infrastructure.judge.errors import TestCommandNotStarted as NotStarted
from infrastructure.running.errors import TaskRefused, error_info, exit_code_of
from infrastructure.running.results import Ending, failed, result_of
from infrastructure.sandbox import Level, NoSandbox
from infrastructure.storage.blobs import MemoryBlobs
from infrastructure.storage.calls import CallTotals
from infrastructure.storage.errors import DiskFull
from infrastructure.tasks import EXIT_CODES
from infrastructure.transport.errors import CloudModelRefused, StreamBroken


@pytest.mark.parametrize(
    ("error", "name", "hint", "code"),
    [
        (NotStarted("nope", "not found"), "TestCommandNotStarted", "Check the command", 2),
        (CloudModelRefused("big:cloud"), "CloudModelRefused", "", 2),
        (NoSandbox({Level.BUBBLEWRAP: "no namespaces"}, "Install bubblewrap."), "NoSandbox", "Install bubblewrap.", 3),
        (StreamBroken(), "StreamBroken", "ask again", 3),
        (DiskFull(Path("corral.db"), "full"), "DiskFull", "corral clean", 3),
        (OSError(errno.ENOSPC, "No space left on device", "tree/calc.py"), "DiskFull", "corral clean", 3),
        (OSError(errno.ENOSPC, "No space left on device"), "DiskFull", "corral clean", 3),
        (PermissionError(errno.EACCES, "no", "x"), "PermissionError", "", 3),
        (TaskRefused("the task is empty", "Say what."), "TaskRefused", "Say what.", 3),
        (WindowTooSmall("coder", 4096, 5000, "files"), "WindowTooSmall", "raise num_ctx of the lane to 8,192", 3),
        (ValueError(), "ValueError", "", 3),
    ],
)
def test_error_is_told_with_what_to_do(error, name, hint, code):
    info = error_info(error)
    assert info.error_class == name
    assert info.message
    assert hint in info.hint
    assert exit_code_of(error) == code


def test_every_status_has_its_exit_code():
    assert EXIT_CODES == {
        "done": 0, "unverified": 0, "failed": 1, "error": 3, "budget": 4, "needs_input": 5, "cancelled": 130,
    }  # fmt: skip


async def ended(ending: Ending, **state: object):
    return await result_of(RunId("r"), state, CallTotals(), MemoryBlobs(), ending, seconds=1.0, simulated=False)


async def test_run_whose_state_does_not_say_how_it_ended_says_that():
    result = await ended(Ending())
    assert (result.status, result.exit_code, result.error.error_class) == ("error", 3, "NoStatus")
    assert (
        result.reason == result.error.message == "run r came to its end, and its last state does not say how it ended"
    )
    assert "Start the task again" in result.error.hint


async def test_error_without_words_is_a_reason_too():
    assert (await ended(failed(TimeoutError()))).reason == "TimeoutError"


async def test_status_that_overrules_the_state_needs_none_there():
    result = await ended(Ending(status="cancelled", reason="by a person"))
    assert (result.status, result.reason, result.error) == ("cancelled", "by a person", None)
