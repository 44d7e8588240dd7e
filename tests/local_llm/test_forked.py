"""A process that was forked has none of the threads and loops that it was forked with."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from infrastructure.simulator import Simulator
from tests.local_llm import forking
from tests.pool.servers import paced, simulator

SAID = "one two three four five"


@asynccontextmanager
async def program(work: str, server: Simulator) -> AsyncIterator[Process]:
    environment = {**os.environ, "OLLAMA_HOST": server.url, "PYTHONPATH": str(Path(__file__).parents[2])}
    command = [sys.executable, "-m", forking.__name__, work]
    running = await asyncio.create_subprocess_exec(*command, stdin=PIPE, stdout=PIPE, stderr=PIPE, env=environment)
    try:
        yield running
    finally:
        await running.communicate()


async def test_a_forked_process_asks_anew_and_leaves_the_other_ones_pools_alone():
    async with simulator() as server, program("asks", server) as running:
        told, errors = await running.communicate()

        assert errors == b""
        parent, child, again = map(json.loads, told.splitlines())
        assert child == ["child", [SAID] * 5 + ["make the pool, and what asks it, in this process"] * 2]
        assert parent == again == ["parent", [SAID] * 9]


async def test_a_call_under_way_goes_on_when_a_forked_process_ends_and_ends_while_one_lives():
    async with paced() as server, program("goes_on", server) as running:
        assert running.stdout is not None
        assert [json.loads(await running.stdout.readline()) for _ in range(3)] == [
            ["child", "ends"],
            ["parent", True],
            ["parent", "left"],
        ]
        await server.truth.until(lambda truth: not truth.in_slots())
        assert running.returncode is None
        rest, errors = await running.communicate(b"\n")

        assert (json.loads(rest), errors) == (["child", "ends"], b"")
