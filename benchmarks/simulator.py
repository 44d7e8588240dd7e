"""How much of a core the simulated server takes for its tokens, and how well it keeps their time.

The server is a process of its own; the client only looks for the end, so that it is not what limits. Drift would show
as an answer that takes longer than its tokens should.
`python -m benchmarks.simulator` prints the table.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

from benchmarks.measuring import summary

ROUNDS = 5
SECONDS = 4
SHAPES = ((20, 1000), (40, 500), (200, 100))
"""Streams at once, tokens a second of each: 20,000 tokens a second in all."""
_TICKS = os.sysconf("SC_CLK_TCK")


class Figures(NamedTuple):
    """Of one round."""

    cpu_microseconds: float
    """Of the server, for a token."""
    core: float
    """Share of a core that the server took."""
    late: float
    """Milliseconds by which the stream that began last took longer than its tokens should, as its client saw it."""


async def serve(streams: int, rate: int) -> None:
    """A server with so many slots at this pace; its address on stdout."""
    from infrastructure.simulator import ModelSpec, Simulator, SimulatorSettings  # noqa: PLC0415

    model = ModelSpec(name="endless", pieces=("alpha", " bravo", " charlie"), loop_to=0)
    settings = SimulatorSettings(
        models=(model,),
        num_parallel=streams,
        load_seconds=0,
        prefill_tokens_per_second=1e9,
        decode_tokens_per_second=rate,
        decode_slowdown=0,
    )
    async with Simulator(settings) as simulator:
        print(simulator.url, flush=True)
        await simulator.run_forever()


class _Counter(asyncio.Protocol):
    """Reads an answer to its end."""

    def __init__(self, body: bytes) -> None:
        self.began = 0.0
        self.took = asyncio.get_running_loop().create_future()
        self._body = body

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        head = f"POST /api/generate HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(self._body)}\r\n\r\n"
        transport.write(head.encode() + self._body)

    def data_received(self, data: bytes) -> None:
        now = asyncio.get_running_loop().time()
        self.began = self.began or now
        if data.endswith(b"0\r\n\r\n") and not self.took.done():
            self.took.set_result(now - self.began)


async def ask(url: str, streams: int, tokens: int) -> float:
    """So many answers of so many tokens at once; the seconds from first to last byte of that which began last."""
    host, _, port = url.removeprefix("http://").partition(":")
    body = json.dumps({"model": "endless", "prompt": "on", "options": {"num_predict": tokens}}).encode()
    loop = asyncio.get_running_loop()
    talks = [await loop.create_connection(lambda: _Counter(body), host, int(port)) for _ in range(streams)]
    await asyncio.gather(*(talk.took for _, talk in talks))
    for transport, _ in talks:
        transport.close()
    return await max((talk for _, talk in talks), key=lambda talk: talk.began).took


def _cpu_seconds(process: int) -> float:
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def measure(streams: int, rate: int) -> Figures:
    """One round with a server of its own."""
    command = [sys.executable, "-m", "benchmarks.simulator", "--serve", str(streams), str(rate)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            url = server.stdout.readline().strip()
            asyncio.run(ask(url, streams, 10))
            before = _cpu_seconds(server.pid)
            took = asyncio.run(ask(url, streams, rate * SECONDS))
            cpu = _cpu_seconds(server.pid) - before
        finally:
            server.terminate()
    late = 1000 * (took - SECONDS + 1 / rate)
    return Figures(1e6 * cpu / (streams * rate * SECONDS), cpu / took, late)


def main() -> str:
    """The table."""
    lines = [
        "| streams | tokens a second each | µs CPU a token | of a core | late after four seconds, ms |",
        "|---|---|---|---|---|",
    ]
    for streams, rate in SHAPES:
        figures = [measure(streams, rate) for _ in range(ROUNDS)]
        cells = (
            summary([round_.cpu_microseconds for round_ in figures]),
            summary([round_.core for round_ in figures]),
            summary([round_.late for round_ in figures]),
        )
        lines.append(f"| {streams} | {rate} | {' | '.join(cells)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--serve"]:
        asyncio.run(serve(int(sys.argv[2]), int(sys.argv[3])))
    else:
        print(main())
