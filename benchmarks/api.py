"""The API beside 50 live runs, on two cores, with uvloop and with asyncio's own loop: `python -m benchmarks.api`.

Three processes: a simulated Ollama that is slow enough to keep 50 runs alive, the server, and a client that asks the
routes that ask no model, in turn, over connections that are kept alive. Half of the runs are questions with a long
answer, half are code; five are followed over SSE meanwhile. Each round takes a fresh server and measures

- what the runs alone cost, before and after, so that a request's CPU can be told from theirs;
- *closed*: eight callers, each asks again when it has its answer: requests a second, and CPU time of a request;
- *open*: 200 requests a second at random instants, whatever the server does: a latency counts from that instant.

Lag: a probe hands an event to the log, and a checkpoint to LangGraph's saver, twenty times a second, and takes the time
until it is on disk; both writers are first come, first served, so what the runs write waits as long. For the followed
runs it is the time from an event's `at` until a client has it.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import random
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import AsyncExitStack, nullcontext
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import orjson

from benchmarks.hosting import Hosted, attend, hosted
from benchmarks.http1 import Connection, connected
from benchmarks.measuring import interleaved

LOOPS = ("uvloop", "asyncio")
ROUNDS = 3
RUNS, FOLLOWED, CALLERS = 50, 5, 8
ALONE_SECONDS, CLOSED_SECONDS, OPEN_SECONDS = 3.0, 6.0, 6.0
REQUESTS_PER_SECOND = 200
MOST_WAITING = 64
PROBE_SECONDS = 0.05
QUESTION = "What is a corral, at length?"
TASK = "Implement add in calc.py"
STUB = "def add(a, b):\n    raise NotImplementedError\n"
TESTS = "from calc import add\n\n\ndef test_add():\n    assert add(1, 2) == 3\n"


@dataclass
class Asked:
    """Answers of one part of a round."""

    seconds: float
    latencies: list[float] = field(default_factory=list[float])
    errors: int = 0

    def milliseconds(self, percent: int) -> float:
        """A percentile of the latencies."""
        return 1000 * statistics.quantiles(self.latencies, n=100)[percent - 1]


@dataclass
class Round:
    """What one server did."""

    closed: Asked
    open: Asked
    request_ms: float
    """CPU time of the server for a request, without what the runs take."""
    runs_percent: float
    """Of a core, for the runs alone."""
    lags: dict[str, list[float]]
    live: int
    """Runs that were not over at the end."""


# -------------------------------------------------------------------------------------- the server
async def serve(url: str, folder: Path) -> None:
    """Serve, probe the writers, and leave the lags in a file."""
    from backend.bootstrap import open_application  # noqa: PLC0415
    from backend.looping import loop_name  # noqa: PLC0415
    from backend.server import AsyncServerCore, listen  # noqa: PLC0415
    from infrastructure.config.settings import Paths, ServerSettings, Settings  # noqa: PLC0415

    settings = Settings(
        servers=(ServerSettings(url=url, slots=RUNS),), model="oracle", paths=Paths(data=folder / "data")
    )
    async with AsyncExitStack() as stack:
        application = await stack.enter_async_context(open_application(settings, verb="serve"))
        core = AsyncServerCore(lambda: nullcontext(application), settings.serve, listener=listen("127.0.0.1", 0))
        await stack.enter_async_context(core)
        serving = asyncio.ensure_future(core.run_main_loop())
        lags: dict[str, list[tuple[float, float]]] = {"event writer": [], "checkpoint writer": []}
        probes = [
            asyncio.ensure_future(_probe(lags["event writer"], _event_writer(application))),
            asyncio.ensure_future(_probe(lags["checkpoint writer"], _checkpoint_writer(application))),
        ]
        token = (settings.paths.data / "token").read_text()
        await attend(url=core.address, token=token, loop=loop_name())
        for probe in probes:
            probe.cancel()
        await asyncio.wait(probes)
        (folder / "lags.json").write_text(json.dumps(lags))
        await core.handle_shutdown()
        await serving


async def _probe(into: list[tuple[float, float]], writing: AsyncGenerator[None]) -> None:
    """When, and how long it took."""
    while True:
        began = time.time()
        await anext(writing)
        into.append((began, time.time() - began))
        await asyncio.sleep(PROBE_SECONDS)


async def _event_writer(application) -> AsyncGenerator[None]:
    from infrastructure.events.catalogue import TextStreamed  # noqa: PLC0415
    from infrastructure.ids import new_run_id  # noqa: PLC0415

    run = new_run_id()
    await application.runs.create(run=run, thread=run, task="a probe", repo="", request_json="{}")
    while True:
        await application.log.append(run, 1, TextStreamed(call="c", role="responder", text="a few words of text"))
        yield


async def _checkpoint_writer(application) -> AsyncGenerator[None]:
    from langgraph.checkpoint.base import empty_checkpoint  # noqa: PLC0415

    place = {"configurable": {"thread_id": "a probe", "checkpoint_ns": ""}}
    while True:
        checkpoint = {**empty_checkpoint(), "channel_values": {"answer": "x" * 5000}}
        await application.checkpoints.aput(place, checkpoint, {"source": "loop", "step": 1, "parents": {}}, {})
        yield


# -------------------------------------------------------------------------------------- the client
async def measure(loop: str) -> Round:
    """A fresh server with its runs."""
    with tempfile.TemporaryDirectory(prefix="corral-api-") as text:
        folder = Path(text)
        repo = _prepared(folder)
        async with AsyncExitStack() as stack:
            ollama = await stack.enter_async_context(hosted("benchmarks.hosting", json.dumps(_simulated(folder))))
            server = await stack.enter_async_context(
                hosted("benchmarks.api", "--serve", loop, ollama.said["url"], str(folder))
            )
            assert server.said["loop"] == loop, f"{loop} is not installed"
            measured, span = await _measured(server, repo)
        kept = json.loads((folder / "lags.json").read_text())
        for name, probes in kept.items():
            measured.lags[name] = [seconds for at, seconds in probes if span[0] <= at <= span[1]]
        return measured


async def _measured(server: Hosted, repo: Path) -> tuple[Round, tuple[float, float]]:
    lags: list[tuple[float, float]] = []
    async with AsyncExitStack() as stack:
        connect = [connected(server.said["url"], _headers(server)) for _ in range(MOST_WAITING)]
        connections = [await stack.enter_async_context(each) for each in connect]
        runs = [await _begin(connections[0], repo, QUESTION if number % 2 else TASK) for number in range(RUNS)]
        followers = [asyncio.ensure_future(_follow(server, run, lags)) for run in runs[1 : 2 * FOLLOWED : 2]]
        await _until_all_run(connections[0])
        paths = itertools.cycle(list(_paths(runs)))
        began = time.time()
        before = await _cpu_while(server, asyncio.sleep(ALONE_SECONDS))
        closed = Asked(CLOSED_SECONDS)
        closed_cpu = await _cpu_while(server, _closed(closed, connections[:CALLERS], paths))
        opened = Asked(OPEN_SECONDS)
        await _open(opened, connections, paths)
        after = await _cpu_while(server, asyncio.sleep(ALONE_SECONDS))
        ended = time.time()
        for follower in followers:
            follower.cancel()
        await asyncio.wait(followers)
        live = await _live(connections[0])
    alone = (before + after) / (2 * ALONE_SECONDS)
    request = (closed_cpu - alone * closed.seconds) / max(1, len(closed.latencies))
    seen = {"event to an SSE client": [lag for at, lag in lags if began <= at <= ended]}
    return Round(closed, opened, 1000 * request, 100 * alone, seen, live), (began, ended)


async def _closed(asked: Asked, connections: Sequence[Connection], paths: Iterator[str]) -> None:
    """Every connection asks again as soon as it has its answer."""
    started = time.perf_counter()

    async def caller(connection: Connection) -> None:
        while (now := time.perf_counter()) - started < asked.seconds:
            await _get(asked, connection, next(paths), now)

    await asyncio.gather(*map(caller, connections))
    asked.seconds = time.perf_counter() - started


async def _open(asked: Asked, connections: Sequence[Connection], paths: Iterator[str]) -> None:
    """Poisson arrivals; who finds no free connection waits for one, and that counts."""
    chance, free = random.Random(1), asyncio.Queue[Connection]()
    for connection in connections:
        free.put_nowait(connection)
    started = due = time.perf_counter()

    async def one(since: float) -> None:
        connection = await free.get()
        await _get(asked, connection, next(paths), since)
        free.put_nowait(connection)

    async with asyncio.TaskGroup() as group:
        while (due := due + chance.expovariate(REQUESTS_PER_SECOND)) - started < asked.seconds:
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            group.create_task(one(due))
    asked.seconds = time.perf_counter() - started


async def _get(asked: Asked, connection: Connection, path: str, since: float) -> None:
    status, _ = await connection.ask("GET", path)
    asked.latencies.append(time.perf_counter() - since)
    asked.errors += status != 200


async def _cpu_while(server: Hosted, work) -> float:
    before = await server.cpu_seconds()
    await work
    return await server.cpu_seconds() - before


async def _begin(connection: Connection, repo: Path, task: str) -> str:
    body = json.dumps({"task": task, "repo": str(repo)}).encode()
    status, answer = await connection.ask("POST", "/api/v1/runs", body)
    assert status == 201, answer
    return json.loads(answer)["run"]


async def _until_all_run(connection: Connection) -> None:
    """Until each has asked a model, and the questions are being answered at length."""
    while True:
        _, answer = await connection.ask("GET", "/api/v1/pool")
        pool = json.loads(answer)
        if sum(pool["in_flight"].values()) >= RUNS * 0.9 and pool["calls"]["done"] >= RUNS:
            return
        await asyncio.sleep(0.5)


async def _live(connection: Connection) -> int:
    _, answer = await connection.ask("GET", f"/api/v1/runs?limit={2 * RUNS}")
    return sum(each["state"] == "running" for each in json.loads(answer)["runs"])


async def _follow(server: Hosted, run: str, into: list[tuple[float, float]]) -> None:
    async with connected(server.said["url"], _headers(server)) as connection:
        async for line in connection.lines("GET", f"/api/v1/runs/{run}/events"):
            if line.startswith(b"data: {") and (at := orjson.loads(line[6:]).get("at")):
                now = time.time()
                into.append((now, now - datetime.fromisoformat(at).timestamp()))


def _paths(runs: Sequence[str]) -> Iterator[str]:
    for run in runs:
        yield from ("/api/v1/runs", f"/api/v1/runs/{run}", f"/api/v1/runs/{run}/events?limit=100")
        yield from ("/api/v1/pool", "/metrics", "/health/ready")


def _headers(server: Hosted) -> dict[str, str]:
    return {"Authorization": f"Bearer {server.said['token']}"}


def _prepared(folder: Path) -> Path:
    """The oracle's answers, and a repository of one file."""
    long = " ".join(f"word{number}" for number in range(3000))
    code = STUB.replace("raise NotImplementedError", "return a + b")
    code += "".join(f"# line {number} of a comment that takes its time\n" for number in range(250))
    known = [
        {"id": "q", "prompt": QUESTION, "kind": "question", "answer": long},
        {"id": "c", "prompt": TASK, "files": {"calc.py": code}, "tests": {"test_of_plan.py": TESTS}},
    ]
    (folder / "tasks.jsonl").write_text("".join(json.dumps(each) + "\n" for each in known))
    (repo := folder / "repo").mkdir()
    (repo / "calc.py").write_text(STUB)
    return repo


def _simulated(folder: Path) -> dict[str, object]:
    return {
        "tasks": str(folder / "tasks.jsonl"),
        "models": [{"name": "oracle", "brain": "oracle"}],
        "num_parallel": RUNS,
        "num_ctx": 32768,
        "load_seconds": 0,
        "prefill_tokens_per_second": 1e6,
        "decode_tokens_per_second": 15,
        "decode_slowdown": 0,
    }


# --------------------------------------------------------------------------------------- the table
def main() -> str:
    """The table."""
    rounds = interleaved({loop: (lambda loop=loop: asyncio.run(measure(loop))) for loop in LOOPS}, ROUNDS)
    rows = {loop: dict(_figures(each)) for loop, each in rounds.items()}
    lines = [f"| | {' | '.join(LOOPS)} |", f"|---|{'---|' * len(LOOPS)}"]
    lines += [f"| {name} | {' | '.join(rows[loop][name] for loop in LOOPS)} |" for name in rows[LOOPS[0]]]
    return "\n".join(lines)


def _figures(rounds: Sequence[Round]) -> Iterator[tuple[str, str]]:
    closed, opened = [each.closed for each in rounds], [each.open for each in rounds]
    yield f"{CALLERS} callers: requests a second", _span(len(each.latencies) / each.seconds for each in closed)
    yield f"{CALLERS} callers: p50, ms", _span(each.milliseconds(50) for each in closed)
    yield f"{CALLERS} callers: p95, ms", _span(each.milliseconds(95) for each in closed)
    yield f"{REQUESTS_PER_SECOND} a second: p50, ms", _span(each.milliseconds(50) for each in opened)
    yield f"{REQUESTS_PER_SECOND} a second: p95, ms", _span(each.milliseconds(95) for each in opened)
    yield f"{REQUESTS_PER_SECOND} a second: slowest, ms", _span(1000 * max(each.latencies) for each in opened)
    yield "CPU of a request, ms", _span(each.request_ms for each in rounds)
    yield f"CPU of the {RUNS} runs alone, % of a core", _span(each.runs_percent for each in rounds)
    for name in rounds[0].lags:
        lags = [lag for each in rounds for lag in each.lags[name]]
        high = 1000 * statistics.quantiles(lags, n=100)[94]
        yield f"lag, {name}: p95, slowest, ms", f"{high:.0f}, {1000 * max(lags):.0f} of {len(lags)}"
    answers = sum(len(each.latencies) for each in (*closed, *opened))
    yield "errors", f"{sum(each.errors for each in (*closed, *opened))} of {answers}"
    yield "runs live at the end", ", ".join(str(each.live) for each in rounds)


def _span(values: Iterator[float]) -> str:
    """Median, lowest and highest: there are few rounds."""
    found = sorted(values)
    return f"{statistics.median(found):.3g} ({found[0]:.3g}-{found[-1]:.3g})"


if __name__ == "__main__":
    if sys.argv[1:2] == ["--serve"]:
        from backend.looping import run_in_loop

        run_in_loop(lambda: serve(sys.argv[3], Path(sys.argv[4])), fast=sys.argv[2] == "uvloop")
    else:
        print("The API beside live runs\n\n" + main())
