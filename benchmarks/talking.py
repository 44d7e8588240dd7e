"""A hundred sessions that talk at once, and the routes that ask no model beside them: `python -m benchmarks.talking`.

Each session begins at a random moment of the time that an answer takes; with `--in-step` all begin at once, and as all
answers are as long, a hundred turns end within the same moment again and again.

Three processes on the machine's cores: a simulated Ollama of 20 tokens a second, the server with one data directory in
`strict`, on the loop that `corral serve` has, and a client. Each session sends its next message when it has the answer
to the last. Meanwhile the routes that ask no model are asked in turn: *closed*, eight callers as fast as they can, then
*open*, 200 requests a second at random instants, where a latency counts from that instant.

The server counts: transactions and messages; from handing an event over until it is on disk; how far the subscribers of
the bus are behind; how late the event loop wakes a sleeper. At the end every session's history is read, and compared
with what was said. A watchdog ends the run where nothing is answered for 30 seconds.
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
from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.api import CALLERS, MOST_WAITING, Asked, _closed, _open
from benchmarks.hosting import Hosted, attend, hosted
from benchmarks.http1 import Connection, connected

SESSIONS = 100
CLOSED_SECONDS = 10.0
ANSWER_SECONDS = 4.0
STILL_SECONDS = 30.0
LAG_SECONDS = 0.02
ANSWER = " ".join(["A corral is a pen for animals, or a ring of waggons about a camp."] * 4)
"""Some seventy tokens, which take three to four seconds."""


@dataclass
class Counted:
    """What the server saw."""

    commits: list[float] = field(default_factory=list[float])
    """Seconds from handing an event over until the event loop heard that it is on disk."""
    writes: list[float] = field(default_factory=list[float])
    """Seconds from handing a write over, of an event or else, until it was on disk."""
    messages: int = 0
    transactions: int = 0
    bus_lag: float = 0.0
    loop_lags: list[float] = field(default_factory=list[float])


# -------------------------------------------------------------------------------------- the server
async def serve(url: str, folder: Path) -> None:
    """Serve, count, and leave the counts in a file."""
    from backend.bootstrap import open_application  # noqa: PLC0415
    from backend.server import AsyncServerCore, listen, spare_collector  # noqa: PLC0415
    from infrastructure.config.settings import LaneSettings, Paths, ServerSettings, Settings  # noqa: PLC0415

    settings = Settings(
        servers=(ServerSettings(url=url, slots=SESSIONS),),
        model="talker",
        lanes={"talker": LaneSettings(model="talker", num_ctx=32768)},
        paths=Paths(data=folder / "data", config=folder / "corral.toml"),
    )
    async with AsyncExitStack() as stack:
        application = await stack.enter_async_context(open_application(settings, verb="serve"))
        core = AsyncServerCore(lambda: nullcontext(application), settings.serve, listener=listen("127.0.0.1", 0))
        await stack.enter_async_context(core)
        serving = asyncio.ensure_future(core.run_main_loop())
        counted = Counted()
        database = application.log._database  # type: ignore[attr-defined]
        before = database.commits
        _time_writes(database, counted.writes)

        def saw(stored, seconds: float) -> None:
            counted.commits.append(seconds)
            counted.messages += stored.event.kind == "message.added"

        application.log.observe(saw)  # type: ignore[attr-defined]
        watching = asyncio.ensure_future(_watch(application, counted))
        spare_collector()
        token = (settings.paths.data / "token").read_text()
        await attend(url=core.address, token=token)
        watching.cancel()
        counted.transactions = database.commits - before
        (folder / "counted.json").write_text(json.dumps(counted.__dict__))
        await core.handle_shutdown()
        await serving


def _time_writes(database, seconds: list[float]) -> None:
    """Note of each write how long it took to the end of its commit, as the thread sees it that waits for the disk."""
    writing, submit = database._writing, database._writer.submit
    carry_out = writing.carry_out

    def handed_over(work, *, lazy: bool = False):
        at = time.perf_counter()

        def timed(connection):
            return work(connection)

        timed.at = at  # type: ignore[attr-defined]
        return submit(timed, lazy=lazy)

    def carried_out(connection, jobs) -> None:
        carry_out(connection, jobs)
        now = time.perf_counter()
        seconds.extend(now - job.work.at for job in jobs)

    database._writer.submit, writing.carry_out = handed_over, carried_out


async def _watch(application, counted: Counted) -> None:
    while True:
        due = time.perf_counter() + LAG_SECONDS
        await asyncio.sleep(LAG_SECONDS)
        counted.loop_lags.append(max(0.0, time.perf_counter() - due))
        lags = (standing.worst_lag_seconds for standing in application.bus.standing())
        counted.bus_lag = max(counted.bus_lag, *lags)


# -------------------------------------------------------------------------------------- the client
class Talk:
    """A session that talks on until it is told to stop."""

    def __init__(self, connection: Connection, session: str) -> None:
        self._connection, self.session = connection, session
        self.said: list[str] = []
        self.answered = time.perf_counter()
        self.stopped = False

    async def go(self, turns: int | None = None, *, begins_after: float = 0.0) -> None:
        """Send a message, read its answer to the end, and so on; so many times, or until it is told to stop."""
        await asyncio.sleep(begins_after)
        for number in itertools.count(1) if turns is None else range(1, turns + 1):
            if self.stopped:
                return
            text = f"message {number} of {self.session}"
            body = json.dumps({"text": text}).encode()
            last = b""
            async for line in self._connection.lines("POST", f"/api/v1/sessions/{self.session}/messages", body):
                last = line.strip() or last
                if last.startswith(b"event: failed"):
                    raise AssertionError(f"{self.session}: a turn failed")
            self.said.append(text)
            self.answered = time.perf_counter()


async def begun(connection: Connection, number: int) -> str:
    """Begin a session; its id."""
    body = json.dumps({"title": f"session {number}"}).encode()
    status, answer = await connection.ask("POST", "/api/v1/sessions", body)
    assert status == 201, answer
    return json.loads(answer)["session"]


async def _watchdog(talks: Sequence[Talk]) -> None:
    """A deadlock is found by nobody being answered."""
    while max(talk.answered for talk in talks) > time.perf_counter() - STILL_SECONDS:  # noqa: ASYNC110 - time is watched
        await asyncio.sleep(1)
    raise AssertionError(f"nobody was answered for {STILL_SECONDS:.0f} seconds")


async def _lost(connection: Connection, talk: Talk) -> int:
    """How many of the messages and answers are not in the history, or not in their place."""
    told: list[tuple[str, str]] = []
    before = ""
    while True:
        status, answer = await connection.ask("GET", f"/api/v1/sessions/{talk.session}/history?limit=200{before}")
        assert status == 200, answer
        page = json.loads(answer)
        told = [(each["role"], each["content"]) for each in reversed(page["messages"])] + told
        if page["next"] is None:
            break
        before = f"&before={page['next']}"
    wanted = [pair for text in talk.said for pair in (("user", text), ("assistant", ANSWER))]
    return sum(pair != found for pair, found in itertools.zip_longest(wanted, told[: len(wanted)]))


def _paths(sessions: Sequence[str]) -> Iterator[str]:
    for session in sessions:
        place = f"/api/v1/sessions/{session}"
        yield from (place, f"{place}/history?limit=20", f"{place}/waiting", "/api/v1/sessions?limit=20")
        yield from ("/api/v1/approvals", "/api/v1/pool", "/health/ready")


@asynccontextmanager
async def _servers(folder: Path) -> AsyncGenerator[Hosted]:
    talker = {"name": "talker", "turns": [ANSWER]}
    simulated = {
        "models": [talker], "num_parallel": SESSIONS, "num_ctx": 32768, "load_seconds": 0.0,
        "prefill_tokens_per_second": 1e6, "decode_tokens_per_second": 20, "decode_slowdown": 0,
    }  # fmt: skip
    async with (
        hosted("benchmarks.hosting", json.dumps(simulated)) as ollama,
        hosted("benchmarks.talking", "--serve", ollama.said["url"], str(folder)) as server,
    ):
        yield server


async def _connected(stack: AsyncExitStack, number: int, url: str, headers: Mapping[str, str]) -> Sequence[Connection]:
    return await asyncio.gather(*(stack.enter_async_context(connected(url, headers)) for _ in range(number)))


async def measure(folder: Path, *, in_step: bool) -> str:
    """One server and its sessions; the table."""
    chance = random.Random(1)
    closed, opened = Asked(CLOSED_SECONDS), Asked(CLOSED_SECONDS)
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(_servers(folder))
        headers = {"Authorization": f"Bearer {server.said['token']}"}
        clients = await _connected(stack, SESSIONS + CALLERS, server.said["url"], headers)
        talks = [Talk(each, await begun(each, number)) for number, each in enumerate(clients[:SESSIONS], 1)]
        paths = itertools.cycle(list(_paths([talk.session for talk in talks])))
        began, cpu = time.perf_counter(), await server.cpu_seconds()
        async with asyncio.TaskGroup() as group:
            watchdog = group.create_task(_watchdog(talks))
            talking = [
                group.create_task(talk.go(begins_after=0.0 if in_step else chance.uniform(0.0, ANSWER_SECONDS)))
                for talk in talks
            ]
            await _closed(closed, clients[SESSIONS:], paths)
            # Only now: a connection on which nobody says anything for ten seconds is closed.
            await _open(opened, await _connected(stack, MOST_WAITING, server.said["url"], headers), paths)
            for talk in talks:
                talk.stopped = True
            await asyncio.wait(talking)
            watchdog.cancel()
        seconds, cpu = time.perf_counter() - began, await server.cpu_seconds() - cpu
        reading = await stack.enter_async_context(connected(server.said["url"], headers))  # the others may be too old
        lost = sum([await _lost(reading, talk) for talk in talks])
    counted = Counted(**json.loads((folder / "counted.json").read_text()))
    return "\n".join(
        f"| {name} | {value} |" for name, value in _rows(talks, closed, opened, counted, seconds, cpu, lost)
    )


def _rows(
    talks: Sequence[Talk], closed: Asked, opened: Asked, counted: Counted, seconds: float, cpu: float, lost: int
) -> Iterator[tuple[str, str]]:
    turns = sum(len(talk.said) for talk in talks)
    yield f"{SESSIONS} sessions: turns a second", f"{turns / seconds:.0f} ({turns} in {seconds:.0f} s)"
    yield f"{CALLERS} callers: requests a second", f"{len(closed.latencies) / closed.seconds:.0f}"
    for name, asked in ((f"{CALLERS} callers", closed), ("200 a second", opened)):
        yield f"{name}: p50, p95, ms", f"{asked.milliseconds(50):.1f}, {asked.milliseconds(95):.1f}"
    yield "requests that failed", f"{closed.errors + opened.errors} of {len(closed.latencies) + len(opened.latencies)}"
    yield "write on disk: p50, p99, slowest, ms", _spread([1000 * each for each in counted.writes])
    yield "event on disk and heard of: p50, p99, slowest, ms", _spread([1000 * each for each in counted.commits])
    yield "transactions a message", f"{counted.transactions / max(1, counted.messages):.3f} of {counted.messages}"
    yield "messages lost, or out of order", f"{lost} of {2 * turns}"
    yield "bus: furthest behind, s", f"{counted.bus_lag:.3f}"
    yield "loop: lateness p99, slowest, ms", _spread([1000 * each for each in counted.loop_lags], first=99)
    yield "the server's CPU, cores", f"{cpu / seconds:.2f}"


def _spread(values: Sequence[float], first: int = 50) -> str:
    cuts = statistics.quantiles(values, n=100)
    return ", ".join(f"{value:.1f}" for value in dict.fromkeys((cuts[first - 1], cuts[98], max(values))))


def main(*, in_step: bool) -> str:
    """The table."""
    with tempfile.TemporaryDirectory(prefix="corral-talking-") as folder:
        return "| | |\n|---|---|\n" + asyncio.run(measure(Path(folder), in_step=in_step))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--serve"]:
        from backend.looping import run_in_loop

        run_in_loop(lambda: serve(sys.argv[2], Path(sys.argv[3])))
    else:
        print(main(in_step=sys.argv[1:2] == ["--in-step"]))
