"""The descriptor of the first process inside, and who waits for its end."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys

import pytest

from infrastructure.sandbox import status_pipe
from infrastructure.sandbox.status_pipe import StatusPipe

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux has such descriptors")


def sleeping() -> subprocess.Popen[bytes]:
    return subprocess.Popen(["sleep", "600"])


def told(pid: int) -> StatusPipe:
    """A pipe on which a first process was named."""
    pipe = StatusPipe(ended="exit")
    os.write(pipe.write_end, json.dumps({"child-pid": pid}).encode() + b"\n")
    return pipe


async def test_first_process_is_killed_and_waited_for() -> None:
    with sleeping() as process:
        pipe = told(process.pid)
        assert await pipe.first_process_ended()
        assert process.wait() == -9
        pipe.close()
        pipe.close()


async def test_a_process_that_does_not_die_is_told_of(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(status_pipe, "send_signal", lambda descriptor, number: None)
    monkeypatch.setattr(status_pipe, "_DEATH_SECONDS", 0.01)
    with sleeping() as process:
        pipe = told(process.pid)
        assert not await pipe.first_process_ended()
        pipe.close()
        process.kill()


async def test_who_waits_when_all_is_closed_takes_nobody_elses_number(monkeypatch: pytest.MonkeyPatch) -> None:
    """The next pipe gets the numbers that are free, and must be told what comes in it."""
    monkeypatch.setattr(status_pipe, "send_signal", lambda descriptor, number: None)
    with sleeping() as process:
        pipe = told(process.pid)
        waiting = asyncio.create_task(pipe.first_process_ended())
        await asyncio.sleep(0)
        pipe.close()
        pairs = [os.pipe() for _ in range(2)]
        heard = [asyncio.Event() for _ in pairs]
        loop = asyncio.get_running_loop()
        for (reading, _), event in zip(pairs, heard, strict=True):
            loop.add_reader(reading, event.set)
        assert await waiting
        for (_, writing), event in zip(pairs, heard, strict=True):
            os.write(writing, b"x")
            await event.wait()
        for reading, writing in pairs:
            loop.remove_reader(reading)
            os.close(reading)
            os.close(writing)
        process.kill()
