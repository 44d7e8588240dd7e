"""kill -9 at any instant: what was acknowledged is there, and nobody has seen what is not."""

import asyncio
import json
import random
import sys
from collections import defaultdict

import pytest

from infrastructure.events.log import SqliteEventLog, follow_file
from infrastructure.ids import RunId
from infrastructure.storage.blobs import BlobStore, sha_of
from infrastructure.storage.calls import CallStore
from infrastructure.storage.control import ControlStore
from infrastructure.storage.database import Database, ReadOnlyDatabase
from infrastructure.storage.directory import DataDirectory
from infrastructure.storage.runs import RunStore
from tests.storage.lives import one_life

pytestmark = pytest.mark.slow

RUNS = 3

WRITER = """
import asyncio, json, os, sys
from datetime import UTC, datetime
from pathlib import Path
from infrastructure.events.catalogue import Noted, TextStreamed
from infrastructure.events.log import SqliteEventLog
from infrastructure.ids import RunId
from infrastructure.storage.blobs import BlobStore
from infrastructure.storage.calls import CallStore, RecordedCall
from infrastructure.storage.control import ControlStore
from infrastructure.storage.database import Database
from infrastructure.storage.directory import DataDirectory
from infrastructure.storage.runs import RunStore

def say(*words):
    os.write(1, (json.dumps(words) + "\\n").encode())  # one write, so never half a line

async def watch(log, run, after):
    async for stored in log.follow(run, after):
        say("seen", run, stored.seq, stored.event.text)

async def write(data, log, runs, calls, control, blobs, run, number_of_life):
    now = datetime.now(UTC)
    execution = await runs.begin(run, "child")
    say("begun", run, execution)
    for number in range(100_000):
        words = f"{number_of_life}/{number} " + "x" * (number * 37 % 900)
        for piece in range(number % 4):
            log.post(run, execution, TextStreamed(call="c", role="coder", text=f"{words}+{piece}"))
        stored = await log.append(run, execution, Noted(text=words))
        say("kept", run, stored.seq, words)
        if number % 5 == 0:
            sha = await blobs.put(words.encode())
            say("blob", sha)
            call = RecordedCall(run=run, step="s", ordinal=number, request_sha=f"{number_of_life}", role="coder",
                request_blob=sha, answer_json=words, model="m", server="s", prompt_tokens=1, completion_tokens=1,
                started=now, ended=now)
            await calls.record(call)
            say("called", run, number, words)
            say("asked", await control.ask_cancel(RunId(f"{run}-{number_of_life}-{number}")))

async def main():
    data, life = DataDirectory(Path(sys.argv[1])), int(sys.argv[2])
    data.prepare()
    async with Database(data.database) as database, asyncio.TaskGroup() as tasks:
        log, runs, calls = SqliteEventLog(database), RunStore(database), CallStore(database)
        control, blobs = ControlStore(data.control), BlobStore(data.blobs)
        if life == 0:
            for run in sys.argv[3:]:
                await runs.create(run=RunId(run), thread=run, task="t", repo="r", request_json="{}")
                say("created", run)
        for run in sys.argv[3:]:
            last = await log.read(RunId(run), 0, 10**9)
            tasks.create_task(watch(log, RunId(run), last[-1].seq if last else 0))
            tasks.create_task(write(data, log, runs, calls, control, blobs, RunId(run), life))

asyncio.run(main())
"""


def sorted_by_kind(said):
    kinds = defaultdict(list)
    for kind, *words in said:
        kinds[kind].append(words)
    return kinds


@pytest.mark.timeout(300)
async def test_nothing_acknowledged_is_lost_and_nothing_seen_is_missing_over_many_kills(tmp_path, repository_root):
    chance = random.Random(20260701)
    root = tmp_path / "data"
    names = [f"run-{number}" for number in range(RUNS)]
    said = []
    for life in range(8):
        said += await one_life(
            WRITER, str(root), str(life), *names, folder=repository_root, lines_until_death=chance.randint(RUNS, 400)
        )
    kinds = sorted_by_kind(said)
    assert len(kinds["kept"]) > 100
    assert kinds["seen"]
    await check(DataDirectory(root), kinds)


async def check(data, kinds):
    promised = {(run, seq): text for run, seq, text in [*kinds["kept"], *kinds["seen"]]}
    conflicts = [event for event in [*kinds["kept"], *kinds["seen"]] if promised[event[0], event[1]] != event[2]]
    assert conflicts == []  # one number never means two events
    async with Database(data.database) as database:
        log, runs, calls = SqliteEventLog(database), RunStore(database), CallStore(database)
        for name in {run for run, _ in promised}:
            stored = await log.read(RunId(name), 0, 10**9)
            assert [event.seq for event in stored] == list(range(1, len(stored) + 1))
            texts = {event.seq: event.event.text for event in stored}
            lost = {seq: text for (run, seq), text in promised.items() if run == name and texts.get(seq) != text}
            assert lost == {}
            executions = [event.execution for event in stored]
            assert executions == sorted(executions)
            assert (await runs.get(name)).execution >= max(n for run, n in kinds["begun"] if run == name)
            answers = {call.answer_json for call in await calls.of_run(RunId(name))}
            assert {text for run, _, text in kinds["called"] if run == name} <= answers
            for call in await calls.of_run(RunId(name)):
                assert sha_of(await BlobStore(data.blobs).get(call.request_blob)) == call.request_blob
        check = await database.read(lambda connection: connection.execute("PRAGMA integrity_check").fetchall())
        assert check == [("ok",)]
    for (sha,) in kinds["blob"]:
        await BlobStore(data.blobs).get(sha)
    pending = {request.id for request in await ControlStore(data.control).pending()}
    assert {number for (number,) in kinds["asked"]} <= pending


async def test_reader_of_another_process_works_while_the_holder_writes_and_after_it_was_killed(
    tmp_path, repository_root
):
    database = tmp_path / "data" / "corral.db"
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", WRITER, str(tmp_path / "data"), "0", "run-0",
        cwd=repository_root, stdout=asyncio.subprocess.PIPE, limit=1 << 24,
    )  # fmt: skip
    while json.loads(await process.stdout.readline())[0] != "kept":
        pass
    drain = asyncio.ensure_future(process.stdout.read())
    run = RunId("run-0")
    async with ReadOnlyDatabase(database) as reader:
        seqs = []
        async for stored in follow_file(reader, run, poll=0.01):
            seqs.append(stored.seq)
            if len(seqs) == 50:
                process.kill()
                await process.wait()
            if len(seqs) == 60:
                break
            if len(seqs) >= 50 and stored.seq == await last_number(reader, run):
                break
        assert seqs == list(range(1, len(seqs) + 1))
    await drain
    async with ReadOnlyDatabase(database) as reader:  # opened on what the killed holder left
        assert await last_number(reader, run) >= len(seqs)


async def last_number(reader, run):
    sql = "SELECT MAX(seq) FROM events WHERE run = ?"
    return (await reader.read(lambda connection: connection.execute(sql, (run,)).fetchone()))[0]
