"""A loop that breaks: what runs in it comes to its end, or the process does."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest

from backend.looping import BROKEN_EXIT, run_in_loop

KINDS = pytest.mark.parametrize("fast", [True, False])


def broken() -> None:
    """What neither loop survives, as a log would that raises where an error is told."""
    raise SystemExit("broken")


@KINDS
def test_main_ends_in_order_when_the_loop_breaks_and_that_is_raised(fast: bool) -> None:
    said: list[str] = []

    async def writes(bell: asyncio.Event) -> None:
        await bell.wait()
        said.append("written")

    async def main() -> None:
        bell = asyncio.Event()
        writer = asyncio.ensure_future(writes(bell))
        try:
            asyncio.get_running_loop().call_soon(broken)
            await asyncio.Event().wait()
        finally:
            bell.set()
            await writer  # cancelled with all the others it would have written nothing
            said.append("ended")

    with pytest.raises(SystemExit, match="broken"):
        run_in_loop(main, fast=fast)
    assert said == ["written", "ended"]


@KINDS
def test_loop_that_breaks_again_meanwhile_still_brings_main_to_its_end(fast: bool) -> None:
    said: list[str] = []

    async def main() -> None:
        loop = asyncio.get_running_loop()
        try:
            loop.call_soon(broken)
            await asyncio.Event().wait()
        finally:
            loop.call_soon(broken)
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            said.append("ended")

    with pytest.raises(SystemExit, match="broken"):
        run_in_loop(main, fast=fast)
    assert said == ["ended"]


def test_what_main_raises_by_itself_is_raised() -> None:
    async def main() -> None:
        raise ValueError("its own")

    with pytest.raises(ValueError, match="its own"):
        run_in_loop(main)


@pytest.mark.parametrize("stays", ["main", "another"])
def test_process_ends_where_its_broken_loop_does_not_come_to_an_end(stays: str) -> None:
    code = (
        "import asyncio, logging, sys\n"
        "from backend import looping\n"
        "logging.basicConfig()\n"
        "looping.LAST_RESORT_SECONDS = 0.2\n"
        "async def stay():\n"
        "    while True:\n"
        "        try: await asyncio.Event().wait()\n"
        "        except asyncio.CancelledError: pass\n"
        "async def main():\n"
        "    kept = asyncio.ensure_future(stay())\n"
        "    await asyncio.sleep(0)\n"
        "    asyncio.get_running_loop().call_soon(sys.exit)\n"
        f"    await ({'stay()' if stays == 'main' else 'asyncio.Event().wait()'})\n"
        "looping.run_in_loop(main)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=Path(__file__).parents[2], check=False
    )
    assert done.returncode == BROKEN_EXIT, done.stderr
    assert "the event loop broke" in done.stderr
    assert "the process ends without it" in done.stderr


@KINDS
def test_process_ends_where_a_thread_that_main_left_does_not_come_to_its_end(fast: bool) -> None:
    code = (
        "import asyncio, logging, threading\n"
        "from backend import looping\n"
        "logging.basicConfig()\n"
        "looping.CLOSING_SECONDS = 0.2\n"
        "async def main():\n"
        "    began = threading.Event()\n"
        "    def stay():\n"
        "        began.set()\n"
        "        threading.Event().wait()\n"
        "    asyncio.get_running_loop().run_in_executor(None, stay)\n"
        "    await asyncio.to_thread(began.wait)\n"
        "    print('done', flush=True)\n"
        f"looping.run_in_loop(main, fast={fast})\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=Path(__file__).parents[2], check=False
    )
    assert (done.returncode, done.stdout) == (0, "done\n"), done.stderr
    assert "the process ends without it" in done.stderr
