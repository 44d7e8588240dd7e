"""SIGHUP: read again, or end where the terminal is gone."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Iterator

import pytest

from backend.cli.rereading import on_hangup


class Heard:
    """What SIGHUP did."""

    def __init__(self) -> None:
        self.attached = True
        self.reloaded = asyncio.Event()
        self.ended = asyncio.Event()

    async def reload(self) -> None:
        self.reloaded.set()


def hang_up() -> None:
    os.kill(os.getpid(), signal.SIGHUP)


async def test_with_a_terminal_that_is_there_it_means_to_read_again():
    heard = Heard()
    with on_hangup(heard.reload, ended=heard.ended.set, attached=lambda: heard.attached):
        hang_up()
        await heard.reloaded.wait()
    assert not heard.ended.is_set()


@pytest.fixture(autouse=True)
def _as_at_a_terminal() -> Iterator[None]:
    """The tests themselves may run under `nohup`, which has the signal ignored."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


async def test_without_the_terminal_it_was_started_at_it_means_the_end():
    heard = Heard()
    with on_hangup(heard.reload, ended=heard.ended.set, attached=lambda: heard.attached):
        heard.attached = False
        hang_up()
        await heard.ended.wait()
    assert not heard.reloaded.is_set()


@pytest.mark.parametrize("ignored", [False, True])
async def test_what_was_started_to_outlive_its_terminal_reads_again(ignored: bool):
    heard = Heard()
    heard.attached = ignored
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN if ignored else signal.SIG_DFL)
    try:
        with on_hangup(heard.reload, ended=heard.ended.set, attached=lambda: heard.attached):
            heard.attached = False
            hang_up()
            await heard.reloaded.wait()
        assert signal.getsignal(signal.SIGHUP) is (signal.SIG_IGN if ignored else signal.SIG_DFL)
    finally:
        signal.signal(signal.SIGHUP, before)
    assert not heard.ended.is_set()


async def test_a_reload_that_fails_is_told_in_the_log(caplog: pytest.LogCaptureFixture):
    begun = asyncio.Event()

    async def fail() -> None:
        begun.set()
        raise RuntimeError("defect")

    with on_hangup(fail, ended=begun.set, attached=lambda: True):
        hang_up()
        await begun.wait()
        await asyncio.sleep(0)
    assert "could not be read again" in caplog.text
