from dataclasses import replace
from datetime import UTC, datetime

import pytest

from infrastructure.ids import new_run_id
from infrastructure.storage.calls import CallStore, CallTotals, RecordedCall
from infrastructure.storage.database import Database
from infrastructure.storage.schema import MIGRATIONS

RUN = new_run_id()
CALL = RecordedCall(
    run=RUN,
    step="coder:0",
    ordinal=0,
    request_sha="a" * 64,
    role="coder",
    request_blob="b" * 64,
    answer_json='{"text": "…"}',
    model="qwen",
    server="gpu1",
    prompt_tokens=100,
    completion_tokens=20,
    started=datetime(2026, 7, 1, tzinfo=UTC),
    ended=datetime(2026, 7, 1, 0, 0, 1, 500, tzinfo=UTC),
)


async def test_calls_of_an_older_file_have_no_xray(tmp_path):
    values = (RUN, "coder:0", 0, "a", "coder", "b", "{}", "m", "gpu1", 1, 2, "2026-01-01T00:00:00+00:00")
    async with Database(tmp_path / "corral.db", migrations=MIGRATIONS[:2]) as database:
        sql = f"INSERT INTO calls VALUES ({', '.join('?' * (len(values) + 1))})"
        await database.write(lambda connection: connection.execute(sql, (*values, values[-1])))
    async with Database(tmp_path / "corral.db") as database:
        (call,) = await CallStore(database).of_run(RUN)
        assert (call.step, call.xray_json) == ("coder:0", "")
        await CallStore(database).record(replace(CALL, xray_json='{"window": 1}'))
        assert (await CallStore(database).of_run(RUN))[1].xray_json == '{"window": 1}'


@pytest.fixture
async def calls(tmp_path):
    async with Database(tmp_path / "corral.db", window=0) as database:
        yield CallStore(database)


async def test_recorded_call_is_found_by_its_question(calls):
    await calls.record(CALL)
    assert await calls.find(RUN, "coder:0", 0, "a" * 64) == CALL


@pytest.mark.parametrize(
    "other",
    [
        {"run": new_run_id()},
        {"step": "coder:1"},
        {"ordinal": 1},
        {"request_sha": "c" * 64},
    ],
)
async def test_another_question_is_not_answered_by_it(calls, other):
    await calls.record(CALL)
    asked = replace(CALL, **other)
    assert await calls.find(asked.run, asked.step, asked.ordinal, asked.request_sha) is None


async def test_first_answer_to_a_question_rules(calls):
    await calls.record(CALL)
    second = replace(CALL, answer_json='{"text": "another"}')
    assert await calls.record(second) == CALL
    assert await calls.of_run(RUN) == (CALL,)


async def test_calls_of_a_run_come_in_the_order_they_were_recorded(calls):
    made = [replace(CALL, step=step, ordinal=ordinal) for step in ("z", "a") for ordinal in (1, 0)]
    for call in made:
        await calls.record(call)
    await calls.record(replace(CALL, run=new_run_id()))
    assert await calls.of_run(RUN) == tuple(made)


async def test_totals_add_up_the_run_alone(calls):
    assert await calls.totals(RUN) == CallTotals()
    await calls.record(CALL)
    times = {"queued_seconds": 64.0, "load_seconds": 1.0, "prompt_seconds": 2.0, "decode_seconds": 4.5}
    await calls.record(replace(CALL, ordinal=1, prompt_tokens=5, completion_tokens=7, **times))
    await calls.record(replace(CALL, ordinal=2, prompt_tokens=0, completion_tokens=0, decode_seconds=0.5))
    await calls.record(replace(CALL, run=new_run_id(), decode_seconds=32.0))
    totals = await calls.totals(RUN)
    assert totals == CallTotals(calls=3, prompt_tokens=105, completion_tokens=27, gpu_seconds=8.0)
    assert totals.tokens == 132


async def test_blobs_that_calls_need_are_named_once(calls):
    await calls.record(CALL)
    await calls.record(replace(CALL, ordinal=1))
    assert await calls.request_blobs() == {"b" * 64}
