"""Reading runs without holding the engine's lock.

Owns how a stored run becomes a result and how its events are read in pages.
"""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager

from backend.readers import Readers, open_readers
from infrastructure.config.settings import Settings
from infrastructure.events.log import Stored, read_file
from infrastructure.ids import RunId
from infrastructure.storage.errors import MissingDatabase
from infrastructure.storage.runs import RunRecord, UnknownRun
from infrastructure.tasks import RunResult


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
