"""`corral audit`: decisions from the table, also where nothing else is left."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from backend.cli.app import run_command
from infrastructure.events.audit import Audit
from infrastructure.events.catalogue import ApprovalDecided, PatchApplied
from infrastructure.events.causes import correlated
from infrastructure.events.log import SqliteEventLog
from infrastructure.ids import RunId
from infrastructure.storage.database import Database
from infrastructure.storage.directory import DataDirectory

RUN, OTHER = RunId("01a21998-cab1-7658-ae98-904ea82ca015"), RunId("01a21998-cab1-7658-ae98-904ea82ca016")


async def decide(data: DataDirectory) -> None:
    await asyncio.to_thread(data.prepare)
    async with Database(data.database) as database:
        log, audit = SqliteEventLog(database), Audit(database)
        with correlated("request-1"):
            await audit.hear(await log.append(RUN, 1, ApprovalDecided(approval="a", decision="reject", by="ann")))
        await audit.hear(await log.append(OTHER, 1, PatchApplied(files=("a.py",))))


@pytest.fixture
def data(tmp_path: Path) -> Path:
    asyncio.run(decide(DataDirectory(tmp_path / "data")))
    return tmp_path / "data"


def test_decisions_are_listed_with_who_and_when(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(["audit", "--data", str(data)]) == 0
    applied, rejected = capsys.readouterr().out.splitlines()
    assert "work.patch_applied" in applied
    assert "ann: approval a, decision reject" in rejected
    assert RUN in rejected


def test_a_decision_in_json_says_what_began_it(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(["audit", "--data", str(data), "--run", RUN, "--output", "json"]) == 0
    (entry,) = json.loads(capsys.readouterr().out)
    assert (entry["run"], entry["by"], entry["decision"], entry["correlation"]) == (RUN, "ann", "reject", "request-1")


def test_where_nothing_was_decided_it_says_how_one_comes_about(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_command(["audit", "--data", str(tmp_path / "none")]) == 0
    assert "no decisions yet" in capsys.readouterr().err


def test_a_limit_that_is_none_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(["audit", "--limit", "0"]) == 2
    assert "Choose 1 or more" in capsys.readouterr().err
