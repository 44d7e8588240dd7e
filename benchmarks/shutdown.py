"""SIGTERM with 100 open streams and 20 live runs, and the start after it: `python -m benchmarks.shutdown`.

Each round starts `corral serve` over a slow simulated Ollama, waits until every stream has seen its run begin, sends
SIGTERM, and takes the time until the process is gone. Then the server starts again, over a quick Ollama at the same
address: every run goes on by itself, and each reader asks for the rest of its stream. What it has then, from before and
after, must be the log byte for byte, and no answer that was there may be asked for again.
"""

from __future__ import annotations

import asyncio
import signal
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from backend.streams import event_frame
from benchmarks.serving import begin, lay_out, logs_of, number_of, served, stream_of
from infrastructure.events.catalogue import CallCompleted, CallQueued, RunStarted
from infrastructure.events.log import Stored
from infrastructure.simulator import ModelSpec, Simulator, SimulatorSettings

ROUNDS = 20
RUNS, READERS = 20, 5
SLOW, QUICK = 2.0, 5000.0
"""Tokens a second before the signal and after the new start."""
FAREWELL = b"event: server-shutdown"


@dataclass
class Reader:
    """What one stream gave."""

    run: str
    got: bytearray = field(default_factory=bytearray)
    last: int = 0
    told: bool = False
    """It got the server's farewell."""

    def take(self, frame: bytes) -> None:
        """Keep a frame."""
        if (number := number_of(frame)) is not None:
            self.last = number
            self.got += frame
        self.told = self.told or FAREWELL in frame


@dataclass(frozen=True)
class Round:
    """One end and the start after it."""

    seconds: float
    code: int
    told: int
    resumed: int
    """Runs that were begun more than once and came to their end."""
    whole: int
    """Streams that are the log, byte for byte."""
    asked_twice: int
    """Calls that were asked again although their answer was there."""


def main() -> str:
    """The figures as a table."""
    rounds = asyncio.run(_rounds())
    seconds = sorted(each.seconds for each in rounds)
    streams, runs = len(rounds) * RUNS * READERS, len(rounds) * RUNS
    return (
        f"| | |\n|---|---|\n| rounds | {len(rounds)} |\n"
        f"| SIGTERM to exit, s: median | {seconds[len(seconds) // 2]:.2f} |\n"
        f"| fastest, slowest | {seconds[0]:.2f}, {seconds[-1]:.2f} |\n"
        f"| exit code 0 | {sum(each.code == 0 for each in rounds)} of {len(rounds)} |\n"
        f"| streams that got their last event | {sum(each.told for each in rounds)} of {streams} |\n"
        f"| runs that went on after the new start, and ended | {sum(each.resumed for each in rounds)} of {runs} |\n"
        f"| streams equal to the log, with what came after | {sum(each.whole for each in rounds)} of {streams} |\n"
        f"| answers asked for again | {sum(each.asked_twice for each in rounds)} |"
    )


async def _rounds() -> list[Round]:
    with tempfile.TemporaryDirectory(prefix="corral-shutdown-") as folder:
        root = Path(folder)
        tasks = lay_out(root)
        return [await _round(root, root / f"data{number}", tasks) for number in range(ROUNDS)]


def _ollama(tasks: Path, speed: float, port: int = 0) -> Simulator:
    models = (ModelSpec(name="oracle", brain="oracle"),)
    return Simulator(
        SimulatorSettings(tasks=tasks, models=models, num_ctx=32768, port=port, decode_tokens_per_second=speed)
    )


async def _round(root: Path, data: Path, tasks: Path) -> Round:
    async with _ollama(tasks, SLOW) as ollama, served(data, ollama.url) as server:
        port = ollama.port
        begun = asyncio.Semaphore(0)
        async with server.client(RUNS * READERS + 10) as client:
            runs = [await begin(client, root / "repo") for _ in range(RUNS)]
            readers = [Reader(run) for run in runs for _ in range(READERS)]
            reading = [asyncio.create_task(_read(client, reader, begun)) for reader in readers]
            for _ in readers:
                await begun.acquire()
            started = time.monotonic()
            server.process.send_signal(signal.SIGTERM)
            code = await server.process.wait()
            seconds = time.monotonic() - started
            await asyncio.gather(*reading)
    told = sum(reader.told for reader in readers)
    async with (
        _ollama(tasks, QUICK, port) as ollama,
        served(data, ollama.url) as server,
        server.client(RUNS * READERS + 10) as client,
    ):
        await asyncio.gather(*(_read(client, reader, begun) for reader in readers))
    logs = await logs_of(data, runs)
    frames = {run: b"".join(map(event_frame, log)) for run, log in logs.items()}
    return Round(
        seconds,
        code,
        told,
        sum(_went_on(log) for log in logs.values()),
        sum(bytes(reader.got) == frames[reader.run] for reader in readers),
        sum(_asked_twice(log) for log in logs.values()),
    )


async def _read(client: httpx.AsyncClient, reader: Reader, begun: asyncio.Semaphore) -> None:
    """Read a stream on to its end."""
    async for frame in stream_of(client, reader.run, reader.last):
        reader.take(frame)
        if b"event: run.started" in frame:
            begun.release()


def _went_on(log: list[Stored]) -> bool:
    starts = sum(isinstance(stored.event, RunStarted) for stored in log)
    return starts > 1 and log[-1].event.kind == "run.finished"


def _asked_twice(log: list[Stored]) -> int:
    answered: set[str] = set()
    again = 0
    for stored in log:
        match stored.event:
            case CallCompleted() as done:
                answered.add(done.call)
            case CallQueued() as asked:
                again += asked.call in answered
            case _:
                continue
    return again


if __name__ == "__main__":
    print("Ending the server\n\n" + main())
