"""`corral top`: what is drawn at which width, whose pool it is, and how it ends."""

from __future__ import annotations

import io
import os
import pty
import signal
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from pydantic import TypeAdapter
from rich.console import Console

from backend.attach.guest import Guest
from backend.cli.dashboard import Dashboard
from backend.cli.standing import Standing
from backend.routers.pool import POOL_EXAMPLE
from infrastructure.pool.snapshot import PoolSnapshot
from infrastructure.storage.lock import Holder
from tests.attach.doors import always, answer, door
from tests.cli.conftest import Corral, refused

EXAMPLE = TypeAdapter(PoolSnapshot).validate_python(POOL_EXAMPLE)
HOLDER = Holder(pid=7, verb="serve", started=datetime(2026, 1, 1, tzinfo=UTC))


def drawn(standing: Standing, width: int) -> str:
    screen = io.StringIO()
    Console(file=screen, width=width, color_system=None).print(Dashboard(standing))
    return screen.getvalue()


@pytest.mark.parametrize("width", [20, 40, 76, 80, 110, 120, 200])
def test_no_line_is_wider_than_the_terminal_and_none_is_wrapped(width: int) -> None:
    lines = drawn(Standing(EXAMPLE, HOLDER), width).splitlines()
    assert max(map(len, lines)) <= width
    assert len(lines) == 3 + 2 + 1 + 2 + 1 + 2 + 1


def test_wide_terminal_shows_all() -> None:
    page = drawn(Standing(EXAMPLE, HOLDER), 140)
    for said in (
        "engine of `corral serve` (process 7)", "waiting 2 (2 batch; the oldest for 1.4 s) · in flight 1",
        "loads 1 · reloads not ours 0", "1 learned", "qwen2.5-coder:14b (15.5 GB, 32,768 tokens)", "1/2", "2,750",
        "streaming", "1,800+140", "and 2 more",
    ):  # fmt: skip
        assert said in page
    narrow = drawn(Standing(EXAMPLE, HOLDER), 60)
    assert "places" not in narrow
    assert "streaming" in narrow


def test_without_an_engine_the_servers_are_asked_and_one_that_is_down_is_told(corral: Corral) -> None:
    done = corral("top", "--server", "http://127.0.0.1:1")
    assert done.code == 0
    lines = done.out.splitlines()
    assert lines[0] == "no engine runs; this is what the servers say themselves"
    assert any(line.startswith("127.0.0.1:1 ") and " down " in line for line in lines)
    assert any(" up " in line for line in lines)
    assert not corral.data.exists()


def test_document_is_the_pool_and_who_told_it(corral: Corral) -> None:
    told = corral("top", "--json").document
    assert (told["from"], told["engine"]) == ("servers", None)
    assert TypeAdapter(PoolSnapshot).validate_python(told["pool"]).servers[0].url == corral.server


def test_looking_too_often_is_refused(corral: Corral) -> None:
    refused(corral("top", "--every", "0"), 2, "--every")


async def test_a_guest_reads_the_holders_pool_also_one_that_tells_less() -> None:
    less = {key: POOL_EXAMPLE[key] for key in ("servers", "queued", "in_flight", "clients", "calls")}
    for said, expected in ((POOL_EXAMPLE, 1), (less, 0)):
        async with door(always(answer(200, said))) as opened:
            pool = await Guest(opened.address, "token").pool()
        assert (pool.loads, pool.servers[0].label) == (expected, "gpu0")
        assert [(each.method, each.path) for each in opened.asked] == [("GET", "/api/v1/pool")]


@pytest.mark.slow
@pytest.mark.parametrize("by", ["q", "signal"])
def test_a_key_or_a_signal_ends_the_live_view_with_code_0(
    by: str, server: str, tmp_path: Path, repository_root: Path
) -> None:
    controller, terminal = pty.openpty()
    command = [sys.executable, "-m", "backend.cli", "top", "--data", str(tmp_path / "data"), "--server", server]
    environment = {**os.environ, "TERM": "xterm"}
    process = subprocess.Popen(command, stdin=terminal, stdout=terminal, cwd=repository_root, env=environment)
    os.close(terminal)
    seen = b""
    while b"in memory" not in seen:
        seen += os.read(controller, 4096)
    if by == "q":
        os.write(controller, b"q")
    else:
        process.send_signal(signal.SIGINT)
    try:
        while os.read(controller, 4096):
            pass
    except OSError:  # the other end is closed
        pass
    assert process.wait() == 0
    os.close(controller)
