"""Owns one chat or generate request on its way: what it is, how it ends early, how it misbehaves when told to."""

import asyncio

from infrastructure.simulator.asks import Ask
from infrastructure.simulator.dialects import Dialect
from infrastructure.simulator.exchange import Exchange
from infrastructure.simulator.filters import Delta
from infrastructure.simulator.golang import dump
from infrastructure.simulator.models import Model
from infrastructure.simulator.options import Options
from infrastructure.simulator.reading import WireError
from infrastructure.simulator.records import Outcome, RequestRecord
from infrastructure.simulator.runner import Job
from infrastructure.simulator.scheduler import Loaded
from infrastructure.simulator.sinks import NDJSON
from infrastructure.simulator.toxics import Fault, FaultKind
from infrastructure.simulator.world import World

JSON = (("Content-Type", "application/json; charset=utf-8"),)
BUSY = "server busy, please try again.  maximum pending requests exceeded"
_BLANKS = b" " * 1024
BROKEN = "an error was encountered while running the model: unexpected EOF"


class RunnerLostError(Exception):
    """The runner died; `working` says whether this request was in a slot."""

    def __init__(self, working: bool) -> None:
        super().__init__()
        self.working = working


class Call:
    """One request on its way. `over` is settled once, by whatever ends the work at the runner."""

    def __init__(
        self,
        world: World,
        exchange: Exchange,
        ask: Ask,
        model: Model,
        options: Options,
        record: RequestRecord,
        dialect: Dialect,
        fault: Fault | None,
    ) -> None:
        self.world = world
        self.exchange = exchange
        self.ask = ask
        self.model = model
        self.options = options
        self.record = record
        self.dialect = dialect
        self.fault = fault
        self.loaded_in = 0.0
        """Seconds from the request's arrival to a loaded runner."""
        self.job: Job | None = None
        self.over: asyncio.Future[Fault | None] = world.loop.create_future()

    def settle(self) -> None:
        """The answer is complete."""
        if not self.over.done():
            self.over.set_result(None)

    def strike(self, fault: Fault) -> None:
        """A fault strikes: not one token more."""
        if self.job is not None:
            self.job.blocked = True
        if not self.over.done():
            self.over.set_result(fault)

    def lose(self, working: bool) -> None:
        """The runner died."""
        if not self.over.done():
            self.over.set_exception(RunnerLostError(working))

    def renew(self) -> None:
        """Begin again at another runner."""
        self.over = self.world.loop.create_future()

    def note_leaving(self) -> None:
        """Log that the client has gone."""
        self.record.left_at = self.world.loop.time()


def answer_late(exchange: Exchange, error: WireError) -> None:
    """An error found where a stream was about to begin: a status, but framed as a stream."""
    exchange.begin(error.status, (("Content-Type", "application/json"),))
    exchange.send(dump({"error": error.text}))
    exchange.end()


async def suffer(call: Call, fault: Fault, loaded: Loaded, job: Job) -> None:
    """Misbehave as the settings ask."""
    call.record.outcome = Outcome.FAILED
    if fault.kind in (FaultKind.HANG, FaultKind.ENDLESS):
        call.exchange.on_pause = None
        if fault.kind is FaultKind.ENDLESS:
            _begin(call)
            call.exchange.repeat(_line(call, fault) if call.ask.stream else _BLANKS)
        await call.world.loop.create_future()  # until the client leaves
    if fault.kind is FaultKind.CRASH:
        job.cancelled = True
        call.world.scheduler.kill(loaded.runner.model.weights)
        end_with_error(call, BROKEN)
        return
    loaded.runner.cancel(job)
    if fault.kind is FaultKind.DROP:
        call.exchange.on_leave = None
        call.exchange.drop()
    elif fault.kind is FaultKind.ERROR:
        end_with_error(call, fault.message)
    else:
        _begin(call)
        if fault.kind is FaultKind.HALF_LINE:
            line = _line(call, fault)
            call.exchange.send(line[: len(line) // 2])
        call.exchange.end()


def _begin(call: Call) -> None:
    if not call.exchange.begun:
        call.exchange.begin(200, NDJSON if call.ask.stream else JSON)


def _line(call: Call, fault: Fault) -> bytes:
    return call.dialect.chunk(call.world.clock.stamp(), Delta(content=fault.message), [])


def end_with_error(call: Call, text: str) -> None:
    """End a stream with an error line.

    Raises:
        WireError: nothing was sent yet, so that the error can still have a status.
    """
    call.record.outcome = Outcome.FAILED
    if not call.exchange.begun:
        raise WireError(500, text, late=True)
    call.exchange.send(dump({"error": text}) + b"\n")
    call.exchange.end()
