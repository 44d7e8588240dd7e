"""Clients whose line is cut every second for a minute, held against the log: `python -m benchmarks.reconnect`.

Some runs stream tokens the whole time. Each reader drops its connection without a word after a second, in the middle of
whatever came, and asks again from the last event that it got whole. In the end its bytes must be those of the log file,
read when the server is gone, and the ids 1, 2, 3 without a gap.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from contextlib import aclosing
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from backend.streams import event_frame
from benchmarks.serving import begin, lay_out, logs_of, number_of, served, stream_of
from infrastructure.simulator import ModelSpec, Simulator, SimulatorSettings

SECONDS = 60.0
CUT_EVERY = 1.0
RUNS, READERS = 4, 4


@dataclass
class Reader:
    """What one client has of a run's stream."""

    run: str
    got: bytearray = field(default_factory=bytearray)
    ids: list[int] = field(default_factory=list[int])
    cuts: int = 0


def main() -> str:
    """The figures as a table."""
    return asyncio.run(_measured())


async def _measured() -> str:
    with tempfile.TemporaryDirectory(prefix="corral-reconnect-") as folder:
        root = Path(folder)
        settings = SimulatorSettings(
            tasks=lay_out(root), models=(ModelSpec(name="oracle", brain="oracle"),), num_ctx=32768,
            num_parallel=RUNS, decode_tokens_per_second=5,
        )  # fmt: skip
        async with (
            Simulator(settings) as ollama,
            served(root / "data", ollama.url) as server,
            server.client(RUNS * READERS + 10) as client,
        ):
            runs = [await begin(client, root / "repo") for _ in range(RUNS)]
            until = time.monotonic() + SECONDS
            readers = [Reader(run) for run in runs for _ in range(READERS)]
            await asyncio.gather(*(_read(client, reader, until) for reader in readers))
            for run in runs:
                await client.post(f"/api/v1/runs/{run}/cancel")
            await asyncio.gather(*(_read_to_its_end(client, reader) for reader in readers))
        logs = await logs_of(root / "data", runs)
    return _table(readers, {run: b"".join(map(event_frame, log)) for run, log in logs.items()})


async def _read(client: httpx.AsyncClient, reader: Reader, until: float) -> None:
    while time.monotonic() < until:
        try:
            async with asyncio.timeout(CUT_EVERY):
                await _read_to_its_end(client, reader)
                return
        except TimeoutError:
            reader.cuts += 1


async def _read_to_its_end(client: httpx.AsyncClient, reader: Reader) -> None:
    async with aclosing(stream_of(client, reader.run, reader.ids[-1] if reader.ids else 0)) as frames:
        async for frame in frames:
            if (number := number_of(frame)) is not None:
                reader.ids.append(number)
                reader.got += frame


def _table(readers: list[Reader], logs: dict[str, bytes]) -> str:
    dense = sum(reader.ids == list(range(1, len(reader.ids) + 1)) for reader in readers)
    equal = sum(bytes(reader.got) == logs[reader.run] for reader in readers)
    return (
        f"| | |\n|---|---|\n| clients, over {len(logs)} runs | {len(readers)} |\n"
        f"| cuts | {sum(reader.cuts for reader in readers)} |\n"
        f"| events | {sum(len(reader.ids) for reader in readers):,} |\n"
        f"| bytes | {sum(len(reader.got) for reader in readers):,} |\n"
        f"| ids dense and unique | {dense} of {len(readers)} |\n"
        f"| bytes equal to the log | {equal} of {len(readers)} |"
    )


if __name__ == "__main__":
    print("Clients that are cut every second\n\n" + main())
