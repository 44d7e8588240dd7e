"""The audit: every decision once, also when the program was killed in between, and no more than there is room for."""

from datetime import UTC, datetime, timedelta

import pytest

from infrastructure.events.audit import AUDITED, Audit, read_audit
from infrastructure.events.bus import EventBus
from infrastructure.events.catalogue import ApprovalDecided, ConfigReloaded, Noted, PatchApplied
from infrastructure.events.causes import correlated
from infrastructure.events.log import SqliteEventLog
from infrastructure.ids import SYSTEM, new_run_id
from infrastructure.storage.database import Database, ReadOnlyDatabase

RUN = new_run_id()
APPLIED = PatchApplied(files=("a.py",))


def decided(by: str) -> ApprovalDecided:
    return ApprovalDecided(approval="a", decision="approve", by=by)


class Clock:
    def __init__(self):
        self.time = datetime(2026, 7, 1, 12, tzinfo=UTC)

    def __call__(self):
        self.time += timedelta(seconds=1)
        return self.time


@pytest.fixture
async def database(tmp_path):
    async with Database(tmp_path / "corral.db", window=0.001) as database:
        yield database


@pytest.fixture
def log(database):
    return SqliteEventLog(database, Clock())


async def test_decisions_are_kept_with_who_and_when_and_what_began_them(log, database, tmp_path):
    async with EventBus(log) as bus:
        log.observe(bus.publish)
        bus.subscribe("audit", Audit(database).hear, kinds=AUDITED)
        with correlated("request-1"):
            await log.append(RUN, 1, decided("ann"))
        await log.append(RUN, 1, Noted(text="no decision"))
        await log.append(SYSTEM, 0, ConfigReloaded(changed=("run.repairs",)))
    async with ReadOnlyDatabase(tmp_path / "corral.db") as reader:
        reloaded, approved = await read_audit(reader)
        assert (approved.run, approved.seq, approved.by, approved.correlation) == (RUN, 1, "ann", "request-1")
        assert approved.at == datetime(2026, 7, 1, 12, 0, 1, tzinfo=UTC)
        assert (reloaded.run, reloaded.kind) == (SYSTEM, "config.reloaded")
        assert await read_audit(reader, run=RUN) == (approved,)


async def test_what_a_kill_kept_from_it_is_there_after_the_next_start_once(log, database):
    audit = Audit(database)
    await audit.hear(await log.append(RUN, 1, decided("ann")))
    await log.append(RUN, 1, decided("bob"))  # and here it was killed
    await log.append(RUN, 1, APPLIED)
    assert await audit.catch_up() == 2
    assert await audit.catch_up() == 0
    assert [entry.by for entry in await read_audit(database)] == ["", "bob", "ann"]


async def test_it_outlives_the_run_that_it_is_about(log, database):
    audit = Audit(database)
    await audit.hear(await log.append(RUN, 1, decided("ann")))
    await database.write(lambda connection: connection.execute("DELETE FROM events"))
    assert await audit.catch_up() == 0
    assert len(await read_audit(database)) == 1


async def test_the_oldest_go_when_there_are_too_many(log, database):
    audit = Audit(database, kept=5)
    for number in range(20):
        await audit.hear(await log.append(RUN, 1, decided(str(number))))
    await audit.trim()
    assert [entry.by for entry in await read_audit(database)] == ["19", "18", "17", "16", "15"]
    assert await audit.catch_up() == 0
