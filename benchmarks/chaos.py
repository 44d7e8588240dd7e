"""Many calls through one pool while everything goes wrong: none lost, none twice, nothing leaked, all counts right.

Pool, callers and servers share one event loop, so that the servers' truth can be laid beside the callers' own account,
call by call. `python -m benchmarks.chaos [--calls N] [--seed N] [--http1 | --http2]`; exit code 1 if anything is wrong.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import sys
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.storm import SERVERS, SLOTS, Storm, storm
from infrastructure.config.settings import LaneSettings, PhaseLimits, PoolSettings, ServerSettings
from infrastructure.connection_pool import Band, Call, CallState, CallUpdate, ChunkStream, OllamaConnectionPool
from infrastructure.pool.errors import QueueTimeout
from infrastructure.pool.snapshot import PoolSnapshot
from infrastructure.simulator.records import Outcome
from infrastructure.transport.errors import OllamaError, ServerFailed, StreamBroken

CALLS = 100_000
CALLERS = 48
LEAVES = 0.1
"""Share of the calls that their caller leaves."""
LONGEST_MOMENT = 0.012
"""Seconds after which a caller has left at the latest."""
SETTLE_SECONDS = 10.0
LANES = {"small": LaneSettings(model="small"), "wide": LaneSettings(model="wide", num_ctx=8192)}
NAMES = ("small", "large", "wide")
WORDS = ("alpha", "bravo", "charlie", "delta", "echo", "foxtrot", "golf", "hotel", "india")
SETTINGS = PoolSettings(
    retry_down_seconds=0.05,
    phases=PhaseLimits(connect=5, queue=60, first_byte=30, between_tokens=30, total=60),
)


@dataclass(slots=True)
class Asked:
    """One call as its caller saw it."""

    number: int
    text: str
    began: float
    stood_still: float = 0.0  # the storm's, when it began
    asked: bool = False
    """Whether the pool was told of it: a caller may leave before."""
    end: CallState | None = None
    said: str = ""
    error: OllamaError | None = None
    first_byte: bool = False
    moved: int = 0
    preempted: int = 0
    servers: set[str] = field(default_factory=set[str])
    """Labels of those that it was sent to."""
    _state: CallState = CallState.QUEUED

    def watch(self, update: CallUpdate) -> None:
        """Note where the call stands."""
        if update.state is CallState.QUEUED and self._state not in (CallState.QUEUED, CallState.PREEMPTED):
            self.moved += 1
        self.preempted += update.state is CallState.PREEMPTED
        if update.state is CallState.CONNECTING and update.server is not None:
            self.servers.add(update.server)
        self.asked = True
        ends = update.state.final or update.state is CallState.PREEMPTED
        self.first_byte = update.state is CallState.STREAMING or (self.first_byte and ends)
        self._state = update.state


@dataclass(slots=True)
class Account:
    """What came of all calls, and what is wrong with it."""

    booked: int = 0
    ends: Counter[str] = field(default_factory=Counter[str])
    errors: Counter[str] = field(default_factory=Counter[str])
    every_server_failed: int = 0
    two_servers_failed: int = 0
    """Failed, not merely busy or gone: such a call is not tried on all servers."""
    moved: int = 0
    done: set[int] = field(default_factory=set[int])
    begun_anew: Counter[int] = field(default_factory=Counter[int])
    """How often a call was taken off its server, which may just have finished it, and asked again."""
    wrong: list[str] = field(default_factory=list[str])

    def book(self, call: Asked, storm: Storm) -> None:
        """Count a call that is over, and look whether it may have ended so."""
        self.booked += 1
        self.moved += call.moved
        if again := call.preempted + call.moved:
            self.begun_anew[call.number] = again
        if call.end is None:
            self.ends["never asked"] += 1
            return
        self.ends[call.end] += 1
        if call.end is CallState.DONE:
            self.done.add(call.number)
            if call.said != call.text:
                self.wrong.append(f"call {call.number}: said {call.said!r} instead of {call.text!r}")
        elif call.error is not None:
            self.errors[f"{type(call.error).__name__} {'after' if call.first_byte else 'before'} the first byte"] += 1
            self._judge(call, call.error, storm)

    def _judge(self, call: Asked, error: OllamaError, storm: Storm) -> None:
        partial = getattr(error, "partial", None)
        if call.first_byte:
            if partial is None:
                self.wrong.append(f"call {call.number}: no partial text in {error!r}")
            elif not call.text.startswith(partial.text) or not partial.text.startswith(call.said):
                self.wrong.append(f"call {call.number}: {partial.text!r} is no beginning of {call.text!r}")
            return
        spared = [
            number
            for number in range(SERVERS)
            if f"server{number}" not in call.servers and not storm.was_down(number, call.began)
        ]
        if isinstance(error, ServerFailed | StreamBroken) and call.moved:
            self.two_servers_failed += 1
            return
        if isinstance(error, QueueTimeout) and storm.stood_still - call.stood_still > SETTINGS.phases.queue / 2:
            self.ends["waited in vain while this process stood still"] += 1  # the limit is of the clock, not of work
            return
        self.every_server_failed += 1
        if spared:
            self.wrong.append(f"call {call.number}: lost before its first byte, servers {spared} not asked: {error!r}")


class Callers:
    """Those who ask, each one call after the other."""

    def __init__(self, pool: OllamaConnectionPool, storm: Storm, calls: int, seed: int) -> None:
        self.account = Account()
        self._pool = pool
        self._storm = storm
        self._numbers = iter(range(calls))
        self._seed = seed

    async def ask_all(self) -> None:
        """All calls."""
        async with asyncio.TaskGroup() as group:
            for _ in range(CALLERS):
                group.create_task(self._ask_on())

    async def _ask_on(self) -> None:
        loop = asyncio.get_running_loop()
        for number in self._numbers:
            rng = random.Random(f"{self._seed}/{number}")
            words = " ".join(rng.choices(WORDS, k=rng.randint(6, 16)))
            call = Asked(number, f"call {number} {words}", loop.time(), self._storm.stood_still)
            leaves = rng.random() < LEAVES
            if leaves and rng.random() < 0.5:
                await self._cancelled(call, rng)
            else:
                await self._ask(call, rng, leaves_after=rng.randint(1, 6) if leaves else None)
            self.account.book(call, self._storm)
            self._storm.a_call_ended()

    async def _cancelled(self, call: Asked, rng: random.Random) -> None:
        """A call whose task is cancelled at some moment, perhaps after its end."""
        task = asyncio.create_task(self._ask(call, rng))
        timer = asyncio.get_running_loop().call_later(rng.random() * LONGEST_MOMENT, task.cancel)
        with suppress(asyncio.CancelledError):
            await task
        timer.cancel()

    async def _ask(self, call: Asked, rng: random.Random, leaves_after: int | None = None) -> None:
        whole = leaves_after is None and rng.random() < 0.5
        stream = self._stream(call, rng, whole=whole)
        try:
            async with stream:
                await _read(stream, call, leaves_after, whole=whole)
        except OllamaError as error:
            call.end, call.error = CallState.FAILED, error
        finally:
            if stream.reply is not None:
                call.end, call.said = CallState.DONE, stream.reply.text
            elif call.end is None and call.asked:
                call.end = CallState.CANCELLED

    def _stream(self, call: Asked, rng: random.Random, *, whole: bool) -> ChunkStream:
        asked = Call(client=f"client{rng.randrange(5)}", band=rng.choice(tuple(Band)))
        model, options = rng.choice(NAMES), {"seed": call.number}
        if rng.random() < 0.5:
            return self._pool.stream_generate(
                model=model, prompt=call.text, options=options, call=asked, watch=call.watch, whole=whole
            )
        return self._pool.stream_chat(
            model=model,
            messages=[{"role": "user", "content": call.text}],
            options=options,
            call=asked,
            watch=call.watch,
            whole=whole,
        )


async def _read(stream: ChunkStream, call: Asked, leaves_after: int | None, *, whole: bool) -> None:
    chunks = 0
    async for chunk in stream:
        chunks += 1
        if not whole:
            call.said += chunk.text
        if leaves_after == chunks:
            return


# ------------------------------------------------------------------------------------------- afterwards
async def weather(calls: int, seed: int, *, http2: bool) -> tuple[Account, Counter[str], Counter[str]]:
    """Ask so many calls in a storm; what came of them, what was done to them, and everything that is wrong."""
    tasks, sockets = asyncio.all_tasks(), _open_files()
    async with storm(http2=http2, seed=seed) as servers:
        settings = [
            ServerSettings(url=url, name=f"server{number}", slots=SLOTS) for number, url in enumerate(servers.urls)
        ]
        before = _open_files()
        pool = OllamaConnectionPool(settings, lanes=LANES, settings=SETTINGS)
        callers = Callers(pool, servers, calls, seed)
        async with asyncio.TaskGroup() as group:
            group.create_task(servers.rage())
            group.create_task(servers.beat())
            await callers.ask_all()
            servers.end()
        account = callers.account
        if account.booked != calls:  # a caller whom nobody cancelled was cancelled: its task group says nothing of it
            account.wrong.append(f"{calls - account.booked} calls never came back to their callers")
        await pool.drain()
        await _settled(lambda: _busy(pool.snapshot()) == 0)
        _check_pool(pool.snapshot(), account)
        await _closed(pool, account)
        await _check_servers(servers, account)
        _check_sockets(servers, account, before, http2=http2)
        acts, strikes = servers.acts, servers.strikes()
        acts["seconds that this process stood still"] = round(servers.stood_still)
    await _settled(lambda: asyncio.all_tasks() <= tasks and _open_files() == sockets)
    if left := asyncio.all_tasks() - tasks:
        account.wrong.append(f"tasks are left: {left}")
    if left := _open_files() - sockets:
        account.wrong.append(f"{left} files are left open")
    return account, acts, strikes


def _check_pool(snapshot: PoolSnapshot, account: Account) -> None:
    if busy := _busy(snapshot):
        account.wrong.append(f"{busy} slots, calls or places in the queue are left: {snapshot}")
    counts = snapshot.calls
    ours = {
        "done": account.ends[CallState.DONE],
        "failed": account.ends[CallState.FAILED],
        "cancelled": account.ends[CallState.CANCELLED],
        "moved": account.moved,
    }
    for name, count in ours.items():
        if getattr(counts, name) != count:
            account.wrong.append(f"the pool counts {getattr(counts, name)} calls {name}, their callers {count}")


async def _closed(pool: OllamaConnectionPool, account: Account) -> None:
    """Close the pool, which waits for every slot."""
    try:
        async with asyncio.timeout(SETTLE_SECONDS):
            await pool.aclose()
    except TimeoutError:
        account.wrong.append("the pool does not close")


async def _check_servers(storm: Storm, account: Account) -> None:
    answers: Counter[int] = Counter()
    for number, server in enumerate(storm.servers):
        truth = server.truth
        await _settled(lambda truth=truth: not truth.running())
        if left := len(truth.running()) + len(truth.in_slots()):
            account.wrong.append(f"server {number} has {left} calls under way")
        answers.update(record.seed for record in truth.requests if record.outcome is Outcome.DONE)
    extra = {number: count - 1 - account.begun_anew[number] for number, count in answers.items()}
    # The transport asks once more by itself when a kept connection dies; an answer may have been on its way in it.
    account.ends["answered again by the transport"] = sum(count == 1 for count in extra.values())
    if twice := [number for number, count in extra.items() if count > 1]:
        account.wrong.append(f"answered whole again and again: {twice[:10]} of {len(twice)}")
    if never := account.done - answers.keys():
        account.wrong.append(f"done, though no server answered them: {sorted(never)[:10]} of {len(never)}")
    account.ends["answers whose caller had gone or whose end was lost"] = len(answers.keys() - account.done)


def _check_sockets(storm: Storm, account: Account, before: int, *, http2: bool) -> None:
    """What is open belongs to the servers: over HTTP/1.1 they keep, as measured, what is closed during a request."""
    kept = sum(server.truth.open_connections for server in storm.servers)
    if left := _open_files() - before - kept:
        account.wrong.append(f"the pool left {left} sockets open")
    if kept and (http2 or kept > account.ends[CallState.CANCELLED] + account.begun_anew.total()):
        account.wrong.append(f"the servers have {kept} open connections")


def _busy(snapshot: PoolSnapshot) -> int:
    held = sum(server.in_flight for server in snapshot.servers)
    lanes = sum(lane.busy + lane.cancelling for server in snapshot.servers for lane in server.lanes)
    return held + lanes + sum(snapshot.queued.values()) + sum(snapshot.in_flight.values()) + len(snapshot.clients)


async def _settled(condition) -> None:
    """Wait until it holds, for a while: what is closed is told to the servers by the kernel."""
    with suppress(TimeoutError):
        async with asyncio.timeout(SETTLE_SECONDS):
            while not condition():  # noqa: ASYNC110 - sockets and tasks tell nobody when they are gone
                await asyncio.sleep(0.01)


def _open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def report(name: str, calls: int, seconds: float, found: tuple[Account, Counter[str], Counter[str]]) -> bool:
    """Print what came of a run; whether all was right."""
    account, acts, strikes = found
    print(f"{name}: {calls:,} calls in {seconds:.0f} s ({1000 * seconds / calls:.2f} ms each)")
    print("  ends:", ", ".join(f"{end} {count:,}" for end, count in sorted(account.ends.items())), end="")
    all_failed, two_failed = account.every_server_failed, account.two_servers_failed
    print(f"; moved {account.moved:,}; failed by every server {all_failed:,}, by two {two_failed:,}")
    print("  errors:", ", ".join(f"{kind} {count:,}" for kind, count in sorted(account.errors.items())))
    print("  acts:", ", ".join(f"{act} {count:,}" for act, count in sorted(acts.items())))
    print("  toxics:", ", ".join(f"{kind} {count:,}" for kind, count in sorted(strikes.items())))
    print(f"  wrong: {len(account.wrong)}" + "".join(f"\n    {line}" for line in account.wrong[:12]))
    return not account.wrong


def main(arguments: list[str]) -> int:
    """Both transports, or one."""
    parser = argparse.ArgumentParser(prog="benchmarks.chaos")
    parser.add_argument("--calls", type=int, default=CALLS)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--http1", action="store_true")
    parser.add_argument("--http2", action="store_true")
    given = parser.parse_args(arguments)
    right = True
    for name, http2 in (("HTTP/1.1", False), ("HTTP/2", True)):
        if (given.http2 and not http2) or (given.http1 and http2):
            continue
        began = time.monotonic()
        found = asyncio.run(weather(given.calls, given.seed, http2=http2))
        right = report(name, given.calls, time.monotonic() - began, found) and right
    return 0 if right else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
