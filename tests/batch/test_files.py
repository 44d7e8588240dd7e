"""The batch's own files: lines that survive a kill, records, the ledger, the registry."""

from __future__ import annotations

import asyncio
import json
import resource
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from infrastructure.batch import BatchPlace, BatchRegistry, BatchView, Record, UnknownBatch, UnreadableLine
from infrastructure.batch.ledger import Intent, Ledger
from infrastructure.batch.lines import JsonLines, read_lines, replace_lines
from infrastructure.batch.place import file_name
from infrastructure.batch.records import RecordFile, read_records
from infrastructure.storage.directory import DataDirectory
from infrastructure.storage.lock import EngineLock
from infrastructure.storage.runs import RequestKey


def record(identity: str, status: str = "done", **more: object) -> Record:
    told = {"run": "r", "status": status, "judge": "given", "exit_code": 0, "identity": identity, "job_id": identity}
    return Record.model_validate(told | more)


@pytest.fixture
def place(tmp_path: Path) -> BatchPlace:
    place = BatchPlace(tmp_path / "out")
    place.prepare()
    return place


@pytest.mark.parametrize("torn", [b"", b"{", b'{"a": 2}', b"x" * 200_000])
def test_line_without_an_end_is_cut_off_and_counted(tmp_path: Path, torn: bytes) -> None:
    file = tmp_path / "lines"
    file.write_bytes(b'{"a": 1}\n' + torn)
    lines = JsonLines(file)
    assert lines.cut == len(torn)
    lines.append(b'{"a": 3}')
    lines.close()
    assert file.read_bytes() == b'{"a": 1}\n{"a": 3}\n'


def test_file_that_is_only_a_torn_line_becomes_empty(tmp_path: Path) -> None:
    (tmp_path / "lines").write_bytes(b"torn")
    assert JsonLines(tmp_path / "lines").cut == 4
    assert list(read_lines(tmp_path / "lines")) == []


def test_reader_beside_a_writer_sees_finished_lines_only(tmp_path: Path) -> None:
    (tmp_path / "lines").write_bytes(b"1\n2")
    assert list(read_lines(tmp_path / "lines")) == [b"1"]
    assert list(read_lines(tmp_path / "gone")) == []


def test_line_that_does_not_fit_on_the_disk_is_not_there_at_all(tmp_path: Path) -> None:
    lines = JsonLines(tmp_path / "lines")
    lines.append(b"1")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, hard))
    try:
        with pytest.raises(OSError, match="No space left"):
            lines.append(b"2" * 200)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    lines.append(b"3")
    assert list(read_lines(tmp_path / "lines")) == [b"1", b"3"]


def test_replacing_that_fails_leaves_the_old_file(tmp_path: Path) -> None:
    def broken():
        yield b"new"
        raise ZeroDivisionError

    (tmp_path / "lines").write_bytes(b"old\n")
    with pytest.raises(ZeroDivisionError):
        replace_lines(tmp_path / "lines", broken())
    assert (tmp_path / "lines").read_bytes() == b"old\n"


def test_last_record_of_an_identity_rules(place: BatchPlace) -> None:
    records = RecordFile(place)
    for each in (record("a", "error"), record("b"), record("a", "done")):
        records.add(each)
    told = records.load()
    assert {identity: each.status for identity, each in told.items()} == {"a": "done", "b": "done"}
    assert not record("c", "error").verdict
    records.close()


def test_settling_leaves_one_line_an_identity_in_order_and_moves_strangers_away(place: BatchPlace) -> None:
    records = RecordFile(place)
    for each in (record("a", "error"), record("stranger"), record("b"), record("a", "done")):
        records.add(each)
    records.settle(["b", "a", "missing"])
    assert [(each.identity, each.status) for each in read_records(place.records)] == [("b", "done"), ("a", "done")]
    assert [each.identity for each in read_records(place.superseded)] == ["stranger"]
    records.add(record("c"))
    assert [each.identity for each in read_records(place.records)] == ["b", "a", "c"]
    records.close()


def test_settling_removes_patches_that_only_superseded_records_name(place: BatchPlace) -> None:
    records = RecordFile(place)
    (place.root / "mine.diff").touch()
    for name in ("gone", "gone-2", "same", "kept", "mine"):
        (place.patches / f"{name}.diff").touch()
    for identity, patch in (
        ("old", "patches/gone.diff"), ("older", "patches/gone.diff"), ("last", "patches/gone-2.diff"),
        ("a before", "patches/same.diff"), ("a", "patches/same.diff"), ("b", "patches/kept.diff"),
        ("none", ""), ("odd", "../mine.diff"), ("missing", "patches/missing.diff"),
    ):  # fmt: skip
        records.add(record(identity, patch_file=patch))
    records.settle(["a", "b"])
    records.close()
    assert {each.name for each in place.patches.iterdir()} == {"same.diff", "kept.diff"}
    assert (place.root / "mine.diff").exists()


def test_settled_file_is_left_alone(place: BatchPlace) -> None:
    records = RecordFile(place)
    records.add(record("a"))
    before = place.records.stat().st_ino
    records.settle(["a"])
    assert place.records.stat().st_ino == before
    records.close()


def test_record_has_the_names_of_a_run_and_reads_back(place: BatchPlace) -> None:
    error = {"class": "ServerBusy", "message": "m", "hint": ""}
    before = record("a", "error", error=error, meta={"x": [1, None]}, started_at=datetime(2030, 1, 1, tzinfo=UTC))
    fields = json.loads(before.line())
    assert {"run", "status", "judge", "exit_code", "patch", "files", "tests", "attempts", "identity"} <= fields.keys()
    assert fields["error"] == error
    assert Record.model_validate_json(before.line()) == before


@pytest.mark.parametrize("content", [b"nonsense\n", b'{"identity": "a"}\n'])
def test_changed_line_is_named(place: BatchPlace, content: bytes) -> None:
    place.records.write_bytes(record("a").line() + b"\n" + content)
    with pytest.raises(UnreadableLine, match="line 2 of"):
        list(read_records(place.records))
    place.ledger.write_bytes(content)
    with pytest.raises(UnreadableLine, match="line 1 of"):
        Ledger(place)


def test_ledger_remembers_the_last_key_of_an_identity(place: BatchPlace) -> None:
    ledger = Ledger(place)
    for key in ("one", "two"):
        ledger.intend(Intent(identity="a", key=key, job_id="a", sample_index=0))
    ledger.close()
    with place.ledger.open("ab") as file:
        file.write(b'{"identity": "b", "key')
    again = Ledger(place)
    assert again.key_of("a") == RequestKey("two", "a")
    assert again.key_of("b") is None
    again.close()


@pytest.mark.parametrize(
    ("job", "sample", "name"),
    [("HumanEval/0", 0, "HumanEval-0"), ("a b", 2, "a-b-2"), ("..", 0, "-."), ("ä/../ö", 0, "-..-")],
)
def test_file_name_stays_in_its_folder(job: str, sample: int, name: str) -> None:
    assert file_name(job, sample) == name


# ------------------------------------------------------------------------------------------- registry


def view(place: BatchPlace, state: str = "running", begun: int = 0) -> BatchView:
    at = datetime(2030, 1, 1, tzinfo=UTC) + timedelta(hours=begun)
    told = {"id": place.id, "name": place.name, "jobs": 3, "out": str(place.root), "state": state, "running": 2}
    return BatchView.model_validate(told | {"started": at, "updated": at, "eta_seconds": 5.0})


async def test_batch_is_running_as_long_as_somebody_holds_its_folder(place: BatchPlace, tmp_path: Path) -> None:
    registry = BatchRegistry(DataDirectory(tmp_path / "data"))
    await registry.write(view(place))
    killed = await registry.get(place.id)
    assert (killed.state, killed.running, killed.eta_seconds) == ("interrupted", 0, None)
    lock = EngineLock(place.lock, verb="batch")
    assert await asyncio.to_thread(lock.try_acquire)
    assert (await registry.get(place.id)).state == "running"
    await asyncio.to_thread(lock.close)
    await registry.write(view(place, "finished"))
    assert (await registry.get(place.id)).state == "finished"


async def test_batches_are_listed_newest_first(tmp_path: Path) -> None:
    registry = BatchRegistry(DataDirectory(tmp_path / "data"))
    assert await registry.list() == ()
    for begun in (1, 3, 2):
        await registry.write(view(BatchPlace(tmp_path / str(begun)), "finished", begun))
    assert [each.name for each in await registry.list()] == ["3", "2", "1"]


@pytest.mark.parametrize("batch", ["0", "../data/x", ""])
async def test_unknown_batch_is_told(tmp_path: Path, batch: str) -> None:
    with pytest.raises(UnknownBatch):
        await BatchRegistry(DataDirectory(tmp_path / "data")).get(batch)
