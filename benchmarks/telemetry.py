"""What traces and metrics cost the engine: CPU of a run without a collector and with one, and of the spans alone.

    python -m benchmarks.telemetry

The simulated server and the collector are processes of their own, and only the engine's own CPU counts, so that the
sandboxed tests are not in it. Spans alone: the events of one run, told again and again under other names.
"""

from __future__ import annotations

import asyncio
import dataclasses
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.hosting import attend, hosted
from benchmarks.measuring import cpu_seconds, interleaved, resident_bytes, summary
from infrastructure.ids import RunId
from infrastructure.simulator import ModelSpec, SimulatorSettings

ROUNDS, RUNS, TOLD = 7, 6, 150
TASK = "Implement add in calc.py"
STUB, RIGHT = "def add(a, b):\n    raise NotImplementedError\n", "def add(a, b):\n    return a + b\n"
TESTS = (
    "import unittest\nfrom calc import add\n\n\n"
    "class T(unittest.TestCase):\n    def test_add(self):\n        self.assertEqual(add(1, 2), 3)\n"
)
KNOWN = {"id": "add", "prompt": TASK, "files": {"calc.py": RIGHT}, "tests": {"test_of_plan.py": TESTS}}


def repository(folder: Path) -> Path:
    """A place to work in."""
    folder.mkdir(parents=True)
    (folder / "calc.py").write_text(STUB)
    (folder / "test_calc.py").write_text(TESTS)
    return folder


async def solve(server: str, endpoint: str) -> dict[str, float]:
    """CPU of a run in this process, over some runs after a first one; memory; seconds to close."""
    from backend.bootstrap import open_application  # noqa: PLC0415 - in a process that does only this
    from infrastructure.config.settings import Paths, ServerSettings, Settings, TelemetrySettings  # noqa: PLC0415
    from infrastructure.tasks import TaskSpec  # noqa: PLC0415

    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(
            servers=(ServerSettings(url=server, slots=4),),
            model="oracle",
            paths=Paths(data=Path(folder) / "data"),
            telemetry=TelemetrySettings(endpoint=endpoint or None),
        )
        repo = repository(Path(folder) / "repo")
        async with open_application(settings) as app:
            opened = cpu_seconds()
            for number in range(RUNS + 1):
                run = await app.engine.start(TaskSpec(task=TASK, repo=repo, no_input=True))
                result = await app.engine.result(run)
                assert result.status == "done", result
                if number == 0:
                    before = cpu_seconds()
            spent = cpu_seconds() - before
            return {"opened": opened, "run": spent / RUNS, "mb": resident_bytes() / 1e6}


def of_a_process(server: str, endpoint: str) -> dict[str, float]:
    """The same, in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.telemetry", server, endpoint]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


async def spans_alone(server: str, endpoint: str) -> str:
    """CPU of hearing one run's events, and of sending them too."""
    from backend.bootstrap import open_application  # noqa: PLC0415
    from infrastructure.config.settings import Paths, ServerSettings, Settings, TelemetrySettings  # noqa: PLC0415
    from infrastructure.tasks import TaskSpec  # noqa: PLC0415
    from infrastructure.telemetry.otel.opening import open_collector  # noqa: PLC0415

    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(
            servers=(ServerSettings(url=server),), model="oracle", paths=Paths(data=Path(folder) / "data")
        )
        repo = repository(Path(folder) / "repo")
        async with open_application(settings) as app:
            run = await app.engine.start(TaskSpec(task=TASK, repo=repo, no_input=True))
            await app.engine.result(run)
            events = await app.log.read(run, limit=10_000)
    async with open_collector(TelemetrySettings(endpoint=endpoint), version="1", addresses={}) as export:
        heard = [each for each in events if each.event.kind in export.kinds]
        began = cpu_seconds()
        for number in range(TOLD):
            for each in heard:
                await export.hear(dataclasses.replace(each, run=RunId(f"{run}-{number}")))
            if number % 10 == 9:
                await asyncio.sleep(0.01)
        hearing = cpu_seconds() - began
    sending, tally = cpu_seconds() - began, export.collector.tallies["traces"]
    return (
        f"{len(events)} events a run, {len(heard)} of them heard, {(tally.sent + tally.lost) / TOLD:.0f} spans;"
        f" {1000 * hearing / TOLD:.2f} ms CPU to make them, {1000 * sending / TOLD:.2f} ms with sending"
        f" ({tally.lost} lost)"
    )


async def compare() -> None:
    """The table."""
    with tempfile.TemporaryDirectory() as folder:
        tasks = Path(folder) / "tasks.jsonl"
        tasks.write_text(json.dumps(KNOWN) + "\n")
        oracle = SimulatorSettings(
            tasks=tasks, models=(ModelSpec(name="oracle", brain="oracle"),), num_parallel=4, num_ctx=32768, time_scale=0
        )
        async with (
            hosted("benchmarks.hosting", oracle.model_dump_json()) as server,
            hosted("benchmarks.telemetry", "collector") as collector,
        ):
            url, endpoint = server.said["url"], collector.said["url"]
            print(await spans_alone(url, endpoint))
            figures = await asyncio.to_thread(
                interleaved,
                {"off": lambda: of_a_process(url, ""), "on": lambda: of_a_process(url, endpoint)},
                ROUNDS,
            )
    for name, found in figures.items():
        shown = {key: summary([each[key] * scale for each in found]) for key, scale in SHOWN.items()}
        print(f"| {name} | {shown['run']} | {shown['opened']} | {shown['mb']} |")
    on, off = (statistics.median(each["run"] for each in figures[name]) for name in ("on", "off"))
    print(f"a run with it costs {1000 * (on - off):.1f} ms CPU more, {100 * (on / off - 1):.1f} %")


SHOWN = {"run": 1000.0, "opened": 1000.0, "mb": 1.0}


async def collector() -> None:
    """A collector that takes everything and looks at nothing."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            length = 0
            while (header := await reader.readline()).strip():
                if header.lower().startswith(b"content-length:"):
                    length = int(header.split(b":")[1])
            await reader.readexactly(length)
            assert line.startswith(b"POST /v1/")
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        await attend(url=f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")


if __name__ == "__main__":
    if sys.argv[1:] == ["collector"]:
        asyncio.run(collector())
    elif sys.argv[1:]:
        sys.stdout.write(json.dumps(asyncio.run(solve(sys.argv[1], sys.argv[2]))))
    else:
        asyncio.run(compare())
