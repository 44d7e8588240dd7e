"""The tables that a run is replayed from."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from infrastructure.ids import new_run_id
from infrastructure.storage.calls import RecordedCall
from infrastructure.storage.database import Database
from infrastructure.storage.recordings import RecordedTool, RecordingStore, RunRecording
from infrastructure.storage.runs import RunStore
from infrastructure.storage.steps import steps_of
from tests.storage.moves import finished

RUN = new_run_id()
BEGAN = datetime(2026, 7, 1, tzinfo=UTC)
TOOL = RecordedTool(
    run=RUN, step="run_tests:1:1", name="judge", request_sha="a" * 64, request_blob="b" * 64, answer_blob="c" * 64,
    sandbox="landlock", started=BEGAN, ended=BEGAN.replace(second=2),
)  # fmt: skip


@pytest.fixture
async def database(tmp_path):
    async with Database(tmp_path / "corral.db", window=0) as opened:
        yield opened


async def test_recorded_tool_is_found_by_its_request(database):
    store = RecordingStore(database)
    await store.record_tool(TOOL)
    assert await store.find_tool(RUN, "run_tests:1:1", "judge", "a" * 64) == TOOL
    assert await store.tools_of(RUN) == (TOOL,)


@pytest.mark.parametrize("other", [{"run": new_run_id()}, {"step": "x"}, {"name": "again"}, {"request_sha": "d" * 64}])
async def test_another_request_is_not_answered_by_it(database, other):
    store = RecordingStore(database)
    await store.record_tool(TOOL)
    asked = replace(TOOL, **other)
    assert await store.find_tool(asked.run, asked.step, asked.name, asked.request_sha) is None


async def test_first_answer_to_a_request_rules(database):
    store = RecordingStore(database)
    await store.record_tool(TOOL)
    assert await store.record_tool(replace(TOOL, answer_blob="e" * 64)) == TOOL


async def test_what_a_run_begins_with_is_kept_as_it_was_said_last(database):
    store = RecordingStore(database)
    assert await store.of_run(RUN) == RunRecording()
    await store.keep_setup(RUN, "{}", replay_of="other")
    await store.keep_setup(RUN, "[]")
    await store.keep_snapshot(RUN, "f" * 64)
    assert await store.of_run(RUN) == RunRecording("[]", "f" * 64, "other")


async def test_blobs_of_recordings_are_named_so_that_clean_keeps_them(database):
    store = RecordingStore(database)
    await store.record_tool(TOOL)
    await store.keep_setup(RUN, "{}")
    await store.keep_snapshot(RUN, "f" * 64)
    assert {"b" * 64, "c" * 64, "f" * 64} <= await store.blobs()


async def test_recording_goes_with_its_run(database):
    store, runs = RecordingStore(database), RunStore(database)
    await runs.create(run=RUN, thread=RUN, task="t", repo="/r", request_json="{}")
    await store.record_tool(TOOL)
    await store.keep_setup(RUN, "{}")
    await finished(runs, RUN, "done", "given", "{}")
    await runs.remove(RUN)
    assert await store.tools_of(RUN) == ()
    assert await store.of_run(RUN) == RunRecording()


def test_steps_come_in_the_order_in_which_they_asked_first():
    call = RecordedCall(
        run=RUN, step="planner:1", ordinal=0, request_sha="a" * 64, role="planner", request_blob="b" * 64,
        answer_json="{}", model="m", server="s", prompt_tokens=3, completion_tokens=4,
        started=BEGAN.replace(second=1), ended=BEGAN.replace(second=3),
    )  # fmt: skip
    again = replace(call, ordinal=1, started=BEGAN.replace(second=5), ended=BEGAN.replace(second=6))
    steps = steps_of([call, again], [TOOL])
    assert [(each.step, each.asked, each.tokens, each.seconds) for each in steps] == [
        ("run_tests:1:1", ("judge",), 0, 2.0),
        ("planner:1", ("planner", "planner"), 14, 3.0),
    ]
