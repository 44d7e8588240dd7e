"""Reading runs without holding the engine's lock.

Owns how a stored run becomes a result, how its events are read in pages, and how they are followed as they come.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager

from backend.readers import Readers, open_readers
from infrastructure.config.settings import Settings
from infrastructure.events.log import Stored, follow_file, read_file
from infrastructure.ids import RunId
from infrastructure.running.left import PROCESS_ENDED
from infrastructure.storage.errors import MissingDatabase
from infrastructure.storage.runs import RunRecord, RunState, UnknownRun
from infrastructure.tasks import RunResult

LOOK_SECONDS = 0.5
"""How often a follower looks whether the process is still there that it follows."""


@asynccontextmanager
async def open_run(settings: Settings, asked: str) -> AsyncGenerator[tuple[Readers, RunRecord]]:
    """The readers, and the run of this id or of the only one that begins so.

    Raises:
        UnknownRun: there is none.
        AmbiguousRun: there are several.
    """
    try:
        async with open_readers(settings) as readers:
            yield readers, await readers.runs.get(asked)
    except MissingDatabase:
        raise UnknownRun(asked) from None


def result_of(record: RunRecord) -> RunResult | None:
    """What the run ended with; None while it has not."""
    return RunResult.model_validate_json(record.result_json) if record.result_json else None


async def events_of(readers: Readers, run: RunId, after: int = 0) -> AsyncIterator[Stored]:
    """The events there are, without waiting for more."""
    while page := await read_file(readers.database, run, after):
        for stored in page:
            yield stored
        after = page[-1].seq


async def follow_run(readers: Readers, run: RunId, after: int = 0) -> AsyncGenerator[Stored]:
    """The events there are and those that come, until the run is over or rests.

    A process that was killed cannot say that its run rests: then the end comes when it is missed.
    """
    missed = asyncio.ensure_future(_missed(readers, run))
    try:
        events = follow_file(readers.database, run, after, ends_when_interrupted=True)
        while (stored := await _next(events, missed)) is not None:
            after = stored.seq
            yield stored
    finally:
        missed.cancel()
    async for stored in events_of(readers, run, after):
        yield stored


async def is_left(readers: Readers, record: RunRecord) -> bool:
    """Whether the process that had the run, or asked a person for it, is gone, so that nobody goes on with it."""
    if record.state is RunState.INTERRUPTED:
        return record.reason == PROCESS_ENDED
    asks = record.state is RunState.WAITING and not record.result_json
    return asks and await asyncio.to_thread(readers.holder) is None


async def _missed(readers: Readers, run: RunId) -> None:
    while True:
        if await is_left(readers, await readers.runs.get(run)):
            return
        await asyncio.sleep(LOOK_SECONDS)


async def _next(events: AsyncIterator[Stored], missed: asyncio.Future[None]) -> Stored | None:
    """The next event; None at the end, or when nobody is there who could tell one."""
    arriving = asyncio.ensure_future(_one(events))
    try:
        await asyncio.wait([arriving, missed], return_when=asyncio.FIRST_COMPLETED)
        return arriving.result() if arriving.done() else missed.result()
    finally:
        arriving.cancel()
        await asyncio.wait([arriving])


async def _one(events: AsyncIterator[Stored]) -> Stored | None:
    return await anext(events, None)
