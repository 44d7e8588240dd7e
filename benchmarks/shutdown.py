"""How long the server takes to end, with 100 open streams and 20 live runs: `python -m benchmarks.shutdown`.

Each round starts `corral serve` in a process of its own over a slow simulated Ollama, waits until every stream has seen
its run begin, sends SIGTERM, and takes the time until the process is gone.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import httpx

from infrastructure.simulator import ModelSpec, Simulator, SimulatorSettings

ROUNDS = 20
RUNS, READERS = 20, 5
TASK = "Implement add in calc.py"
STUB = "def add(a, b):\n    raise NotImplementedError\n"


@dataclass(frozen=True)
class Round:
    """One end: seconds, exit code, and how many streams got their last event."""

    seconds: float
    code: int
    told: int


def main() -> str:
    """The figures as a table."""
    rounds = asyncio.run(_rounds())
    seconds = sorted(each.seconds for each in rounds)
    streams = len(rounds) * RUNS * READERS
    return (
        f"| | |\n|---|---|\n| rounds | {len(rounds)} |\n"
        f"| SIGTERM to exit, s: median | {seconds[len(seconds) // 2]:.2f} |\n"
        f"| fastest, slowest | {seconds[0]:.2f}, {seconds[-1]:.2f} |\n"
        f"| streams that got their last event | {sum(each.told for each in rounds)} of {streams} |\n"
        f"| exit code 0 | {sum(each.code == 0 for each in rounds)} of {len(rounds)} |"
    )


async def _rounds() -> list[Round]:
    with tempfile.TemporaryDirectory(prefix="corral-shutdown-") as folder:
        root = Path(folder)
        (root / "repo").mkdir()
        (root / "repo" / "calc.py").write_text(STUB)
        answers = root / "tasks.jsonl"
        answers.write_text(json.dumps({"id": "add", "prompt": TASK, "files": {"calc.py": STUB}}) + "\n")
        settings = SimulatorSettings(
            tasks=answers, models=(ModelSpec(name="oracle", brain="oracle"),), num_ctx=32768, decode_tokens_per_second=2
        )
        async with Simulator(settings) as ollama:
            return [await _round(root, root / f"data{number}", ollama.url) for number in range(ROUNDS)]


async def _round(root: Path, data: Path, ollama: str) -> Round:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "backend.cli", "serve", "--port", "0", "--data", str(data), "--server", ollama,
        env={**os.environ, "CORRAL_MODEL": "oracle"}, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        assert process.stderr is not None
        while b"signs a browser in" not in await process.stderr.readline():
            assert process.returncode is None, "the server did not start"
        return await _measured(root, data, process)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def _measured(root: Path, data: Path, process: asyncio.subprocess.Process) -> Round:
    address = json.loads((data / "engine.lock").read_text())["address"]
    headers = {"Authorization": f"Bearer {(data / 'token').read_text()}"}
    limits = httpx.Limits(max_connections=RUNS * READERS + 10)
    begun = asyncio.Semaphore(0)
    async with httpx.AsyncClient(base_url=address, headers=headers, timeout=120, limits=limits) as client:
        runs = [await _begin(client, root / "repo") for _ in range(RUNS)]
        readers = [asyncio.create_task(_last(client, run, begun)) for run in runs for _ in range(READERS)]
        for _ in readers:
            await begun.acquire()
        started = time.monotonic()
        process.send_signal(signal.SIGTERM)
        code = await process.wait()
        seconds = time.monotonic() - started
        told = await asyncio.gather(*readers)
    return Round(seconds, code, told.count("server-shutdown"))


async def _begin(client: httpx.AsyncClient, repo: Path) -> str:
    answer = await client.post("/api/v1/runs", json={"task": TASK, "repo": str(repo)})
    return answer.raise_for_status().json()["run"]


async def _last(client: httpx.AsyncClient, run: str, begun: asyncio.Semaphore) -> str:
    """Read a stream to its end; the kind of its last event."""
    last = ""
    headers = {"Accept": "text/event-stream"}
    async with client.stream("GET", f"/api/v1/runs/{run}/events", headers=headers) as answer:
        async for line in answer.aiter_lines():
            if line.startswith("event: "):
                last = line.removeprefix("event: ")
                if last == "run.started":
                    begun.release()
    return last


if __name__ == "__main__":
    print("Ending the server\n\n" + main())
