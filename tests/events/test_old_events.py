"""Events of before still load: from a database of the version before the ids, and from a committed recording."""

import json
import sqlite3
from datetime import UTC, datetime
from pathlib import Path

from infrastructure.events.audit import Audit, read_audit
from infrastructure.events.catalogue import ANY_EVENT, ApprovalGiven, Noted, RunStarted
from infrastructure.events.log import SqliteEventLog
from infrastructure.ids import RunId
from infrastructure.storage.database import Database
from infrastructure.storage.schema import MIGRATIONS

RUN = RunId("01a21998-cab1-7658-ae98-904ea82ca015")
RECORDING = Path(__file__).parents[1] / "replaying" / "repaired.jsonl"
OLD = (
    (RUN, 1, "2026-01-05T00:00:00.000000+00:00", 1, "run.started", '{"kind":"run.started","resumed":false}'),
    (RUN, 2, "2026-01-05T00:00:01.000000+00:00", 1, "approval.given",
     '{"kind":"approval.given","node":"ask_plan","approval":"a","approved":true}'),
)  # fmt: skip


def before(path):
    """A file as the version before left it."""
    connection = sqlite3.connect(path, isolation_level=None)
    for migration in MIGRATIONS[:4]:
        for statement in migration:
            connection.execute(statement)
    connection.executemany("INSERT INTO events (run, seq, at, execution, kind, body) VALUES (?, ?, ?, ?, ?, ?)", OLD)
    connection.execute("PRAGMA user_version = 4")
    connection.close()


async def test_events_of_a_file_of_before_load_and_go_on(tmp_path):
    before(tmp_path / "corral.db")
    async with Database(tmp_path / "corral.db") as database:
        log = SqliteEventLog(database)
        first, second = await log.read(RUN)
        assert (first.event, second.event.approved) == (RunStarted(), True)
        assert {(each.correlation, each.causation) for each in (first, second)} == {("", "")}
        assert first.at == datetime(2026, 1, 5, tzinfo=UTC)
        third = await log.append(RUN, 2, Noted(text="on"))
        assert (third.seq, third.correlation) == (3, "")


async def test_decisions_of_a_file_of_before_are_in_the_audit_at_the_first_start(tmp_path):
    before(tmp_path / "corral.db")
    async with Database(tmp_path / "corral.db") as database:
        assert await Audit(database).catch_up() == 1
        (entry,) = await read_audit(database)
        assert isinstance(ANY_EVENT.validate_json(entry.body), ApprovalGiven)


def test_every_event_of_the_committed_recording_loads():
    lines = [json.loads(line) for line in RECORDING.read_text().splitlines()]
    bodies = [line["event"]["event"] for line in lines if line.get("event")]
    assert len(bodies) > 50
    assert all(ANY_EVENT.validate_python(body).kind == body["kind"] for body in bodies)
