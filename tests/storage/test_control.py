import asyncio
import sqlite3
import stat
import sys
from pathlib import Path

import pytest

from infrastructure.ids import ApprovalId, new_run_id
from infrastructure.storage.control import (
    AlreadyAnswered,
    ControlStore,
    EffectMismatch,
    EffectState,
    RequestKind,
    UnknownEffect,
)
from infrastructure.storage.errors import StorageError

RUN = new_run_id()
GATE = ApprovalId("plan-1")
ROOT = Path(__file__).parents[2]


@pytest.fixture
def control(tmp_path):
    return ControlStore(tmp_path / "control.db")


async def test_holder_finds_requests_in_the_order_they_were_asked(control):
    other = new_run_id()
    numbers = [
        await control.ask_cancel(other),
        await control.ask_answer(RUN, GATE, True, "looks right"),
    ]
    cancel, answer = await control.pending()
    assert [cancel.id, answer.id] == numbers
    assert (cancel.run, cancel.kind) == (other, RequestKind.CANCEL)
    assert (answer.kind, answer.approval, answer.approved, answer.reason) == ("answer", GATE, True, "looks right")
    assert answer.asked.utcoffset().total_seconds() == 0
    assert await control.pending(after=cancel.id) == (answer,)


async def test_handled_request_is_no_longer_pending_and_its_outcome_can_be_read(control):
    number = await control.ask_cancel(RUN)
    assert await control.outcome_of(number) is None
    assert await control.mark_handled(number, "cancelled") is True
    assert await control.pending() == ()
    assert await control.outcome_of(number) == "cancelled"


async def test_request_is_handled_only_once(control):
    number = await control.ask_cancel(RUN)
    assert await control.mark_handled(number, "cancelled")
    assert not await control.mark_handled(number, "something else")
    assert await control.outcome_of(number) == "cancelled"
    assert not await control.mark_handled(99, "no such request")


async def test_request_is_not_handled_without_an_outcome(control):
    number = await control.ask_cancel(RUN)
    with pytest.raises(ValueError, match="came of it"):
        await control.mark_handled(number, "")


async def test_asking_twice_is_asking_once(control):
    assert await control.ask_cancel(RUN) == await control.ask_cancel(RUN)
    assert await control.ask_answer(RUN, GATE, False) == await control.ask_answer(RUN, GATE, False)
    assert len(await control.pending()) == 2


async def test_second_answer_cannot_turn_the_first_around(control):
    await control.ask_answer(RUN, GATE, True)
    with pytest.raises(AlreadyAnswered) as refused:
        await control.ask_answer(RUN, GATE, False)
    assert refused.value.approved is True
    assert [request.approved for request in await control.pending()] == [True]


async def test_asking_again_after_it_was_handled_is_a_new_request(control):
    first = await control.ask_cancel(RUN)
    await control.mark_handled(first, "not running")
    assert await control.ask_cancel(RUN) > first


async def test_effect_goes_from_intended_to_done(control):
    assert await control.state_of("run/apply") is None
    assert await control.intend("run/apply", "apply", "sha") is None
    assert await control.state_of("run/apply") is EffectState.INTENDED
    assert await control.intend("run/apply", "apply", "sha") is EffectState.INTENDED
    await control.receipt("run/apply")
    await control.receipt("run/apply")
    assert await control.intend("run/apply", "apply", "sha") is EffectState.DONE


@pytest.mark.parametrize("other", [("apply", "other"), ("branch", "sha")])
async def test_key_stands_for_one_change_only(control, other):
    await control.intend("key", "apply", "sha")
    with pytest.raises(EffectMismatch):
        await control.intend("key", *other)


async def test_receipt_wants_an_intent(control):
    with pytest.raises(UnknownEffect):
        await control.receipt("key")


async def test_only_one_of_many_at_once_is_the_first_to_intend(control):
    outcomes = await asyncio.gather(*(control.intend("key", "apply", "sha") for _ in range(16)))
    assert outcomes.count(None) == 1
    assert outcomes.count(EffectState.INTENDED) == 15


async def test_file_is_for_its_owner_alone_and_has_no_log_beside_it(control):
    await control.ask_cancel(RUN)
    assert stat.S_IMODE(control.path.stat().st_mode) == 0o600
    assert [file.name for file in control.path.parent.iterdir()] == ["control.db"]


async def test_file_that_is_no_database_is_a_storage_error(control):
    control.path.write_bytes(b"no database" * 1000)
    with pytest.raises(StorageError):
        await control.pending()


async def test_holders_look_does_not_wait_for_a_writer(control):
    await control.ask_cancel(RUN)
    writer = sqlite3.connect(control.path, isolation_level=None)
    writer.execute("BEGIN IMMEDIATE")
    assert len(await control.pending()) == 1
    writer.execute("ROLLBACK")
    writer.close()


ASKER = """
import asyncio, sys
from pathlib import Path
from infrastructure.ids import RunId
from infrastructure.storage.control import ControlStore
async def main():
    control = ControlStore(Path(sys.argv[1]))
    for number in range(20):
        await control.ask_cancel(RunId(f"{sys.argv[2]}-{number}"))
asyncio.run(main())
"""


@pytest.mark.slow
async def test_many_processes_ask_at_once_and_every_request_is_there(control):
    processes = [
        await asyncio.create_subprocess_exec(
            sys.executable, "-c", ASKER, str(control.path), str(number), cwd=ROOT, stderr=asyncio.subprocess.PIPE
        )
        for number in range(4)
    ]
    for process in processes:
        _, errors = await process.communicate()
        assert process.returncode == 0, errors.decode()
    asked = await control.pending()
    assert {request.run for request in asked} == {f"{who}-{number}" for who in range(4) for number in range(20)}
