"""One of two servers goes while sixteen calls are in flight: `python -m benchmarks.failover [--rounds N]`.

Simulated servers in processes of their own. One is killed (`kill -9`), or stopped so that it takes connections and says
nothing (SIGSTOP: a black hole). What becomes of each call, how long until the pool takes the server for down, and, once
it is back, until it gets its first call.
"""

from __future__ import annotations

import argparse
import asyncio
import signal
import statistics
import sys
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field

from benchmarks.hosting import Hosted, hosted
from benchmarks.storm import free_ports
from infrastructure.config.settings import ServerSettings
from infrastructure.connection_pool import CallState, CallUpdate, OllamaConnectionPool
from infrastructure.pool.states import Health
from infrastructure.simulator import ModelSpec, SimulatorSettings
from infrastructure.transport.errors import OllamaError, StreamBroken

ROUNDS = 5
CALLERS, SLOTS = 16, 8
TEXT = " ".join(f"word{number}" for number in range(30))
PROMPT = " ".join(["please"] * 100)
SETTLED_CALLS = 32
"""So many are answered before anything happens."""
AFTER_CALLS = 24
"""So many more are answered before the server comes back."""
TICK_SECONDS = 0.002
FIRST = "first"


@dataclass(eq=False)
class Asked:
    """A call as its caller sees it."""

    server: str | None = None
    first_byte: bool = False
    got: str = ""

    def watch(self, update: CallUpdate) -> None:
        """Note where the call stands."""
        if update.state is CallState.CONNECTING:
            self.server = update.server
        self.first_byte = self.first_byte or update.state is CallState.STREAMING


@dataclass
class Account:
    """What came of the calls of one round."""

    in_flight: set[Asked] = field(default_factory=set[Asked])
    done: int = 0
    lost: list[OllamaError] = field(default_factory=list[OllamaError])
    """Before their first byte."""
    broken: int = 0
    """After it, by a typed error with the partial text."""
    wrong: list[str] = field(default_factory=list[str])
    sent_at: dict[str, float] = field(default_factory=dict[str, float])
    """When each server got its first call since this was emptied."""

    def failed(self, call: Asked, error: OllamaError) -> None:
        """Count a call that failed."""
        partial = getattr(error, "partial", None)
        if not call.first_byte:
            self.lost.append(error)
        elif partial is None or not (partial.text.startswith(call.got) and TEXT.startswith(partial.text)):
            self.wrong.append(f"{error!r} after {call.got!r}")
        else:
            self.broken += isinstance(error, StreamBroken)


@dataclass
class Round:
    """The figures of one round."""

    without: int
    """Calls that the server had without a byte when it went."""
    streaming: int
    down_seconds: float
    rejoin_seconds: float
    account: Account


class Callers:
    """Ask one call after the other until told to stop."""

    def __init__(self, pool: OllamaConnectionPool) -> None:
        self.account = Account()
        self._pool = pool
        self._number = 0
        self._over = False

    async def ask_on(self) -> None:
        """One caller."""
        while not self._over:
            call = Asked()
            self.account.in_flight.add(call)
            try:
                await self._ask(call)
            except OllamaError as error:
                self.account.failed(call, error)
            self.account.in_flight.discard(call)

    def stop(self) -> None:
        """Let the calls in hand be the last ones."""
        self._over = True

    async def _ask(self, call: Asked) -> None:
        self._number += 1

        def watch(update: CallUpdate) -> None:
            call.watch(update)
            if update.state is CallState.CONNECTING and update.server is not None:
                self.account.sent_at.setdefault(update.server, time.monotonic())

        prompt = f"{self._number} {PROMPT}"
        async with self._pool.stream_generate(model="words", prompt=prompt, watch=watch) as stream:
            async for chunk in stream:
                call.got += chunk.text
        if call.got == TEXT:
            self.account.done += 1
        else:
            self.account.wrong.append(f"said {call.got!r}")


async def measured(*, kills: bool) -> Round:
    """One round: it goes, it comes back."""
    ports = free_ports(2)
    async with AsyncExitStack() as stack:
        first, other = [await stack.enter_async_context(_server(port)) for port in ports]
        servers = [
            ServerSettings(url=each.said["url"], name=name, slots=SLOTS)
            for each, name in ((first, FIRST), (other, "other"))
        ]
        pool = await stack.enter_async_context(OllamaConnectionPool(servers))
        callers = Callers(pool)
        account = callers.account
        asking = [asyncio.create_task(callers.ask_on()) for _ in range(CALLERS)]
        await _until(lambda: account.done >= SETTLED_CALLS and all(_at_first(account)))
        without, streaming = _at_first(account)
        first.process.send_signal(signal.SIGKILL if kills else signal.SIGSTOP)
        went = time.monotonic()
        await _until(lambda: pool.snapshot().servers[0].health is Health.DOWN)
        down_seconds = time.monotonic() - went
        enough = account.done + AFTER_CALLS
        await _until(lambda: account.done >= enough)
        account.sent_at.clear()
        if kills:
            await stack.enter_async_context(_server(ports[0]))
        else:
            first.process.send_signal(signal.SIGCONT)
        back = time.monotonic()
        await _until(lambda: FIRST in account.sent_at)
        callers.stop()
        await asyncio.gather(*asking)
        rejoin = account.sent_at[FIRST] - back
        return Round(without, streaming, down_seconds, rejoin, account)


@asynccontextmanager
async def _server(port: int) -> AsyncGenerator[Hosted]:
    settings = SimulatorSettings(
        models=(ModelSpec(name="words", text=TEXT),), port=port, num_parallel=SLOTS, decode_tokens_per_second=100
    )
    async with hosted("benchmarks.hosting", settings.model_dump_json()) as server:
        yield server


def _at_first(account: Account) -> tuple[int, int]:
    """Calls that the first server has: without a byte, and streaming."""
    there = [call for call in account.in_flight if call.server == FIRST]
    streaming = sum(call.first_byte for call in there)
    return len(there) - streaming, streaming


async def _until(condition: Callable[[], bool]) -> None:
    while not condition():  # noqa: ASYNC110 - other processes, and the pool's own clock, tell nobody
        await asyncio.sleep(TICK_SECONDS)


def table(name: str, rounds: Sequence[Round]) -> str:
    """The line of one kind of failure."""

    def spread(values: Sequence[float]) -> str:
        return f"{statistics.median(values):.2f}, {max(values):.2f}"

    return (
        f"| {name} | {len(rounds)} | {sum(each.without for each in rounds)} | {sum(each.streaming for each in rounds)}"
        f" | {sum(len(each.account.lost) for each in rounds)} | {sum(each.account.broken for each in rounds)}"
        f" | {sum(len(each.account.wrong) for each in rounds)} | {sum(each.account.done for each in rounds):,}"
        f" | {spread([each.down_seconds for each in rounds])} | {spread([each.rejoin_seconds for each in rounds])} |"
    )


def main(arguments: Sequence[str]) -> str:
    """The figures as a table."""
    parser = argparse.ArgumentParser(prog="benchmarks.failover")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    count = parser.parse_args(arguments).rounds
    columns = ("the server", "rounds", "calls there without a byte", "streams there", "lost")
    more = (
        "broken, with partial text",
        "wrong",
        "answered",
        "down after, s: median, most",
        "first call after its return, s: median, most",
    )
    rows = ["| " + " | ".join(columns + more) + " |", "|---" * len(columns + more) + "|"]
    for name, kills in (("killed (-9)", True), ("stopped (black hole)", False)):
        rounds = [asyncio.run(measured(kills=kills)) for _ in range(count)]
        rows.append(table(name, rounds))
        for error in (error for each in rounds for error in each.account.lost):
            print(f"lost: {error!r}", file=sys.stderr)
        for said in (said for each in rounds for said in each.account.wrong):
            print(f"wrong: {said}", file=sys.stderr)
    return "\n".join(rows)


if __name__ == "__main__":
    print(main(sys.argv[1:]))
