"""The tables of states."""

from __future__ import annotations

from itertools import product

import pytest

from infrastructure.pool.calls import Call
from infrastructure.pool.fairness import Shares
from infrastructure.pool.lanes import Lane
from infrastructure.pool.server_state import Berth
from infrastructure.pool.states import CALL_STEPS, BadTransition, Band, CallState, SlotState
from infrastructure.pool.ticket import Slot, Ticket

LANE = Lane("a:latest")

ALLOWED = {
    ("queued", "placed"),
    ("queued", "failed"),
    ("queued", "cancelled"),
    ("placed", "connecting"),
    ("connecting", "waiting"),
    ("waiting", "streaming"),
    ("waiting", "done"),
    ("streaming", "done"),
    ("preempted", "queued"),
    ("preempted", "failed"),
    ("preempted", "cancelled"),
    *product(("placed", "connecting", "waiting"), ("queued",)),
    *product(("placed", "connecting", "waiting", "streaming"), ("failed", "cancelled", "preempted")),
}


@pytest.mark.parametrize(("before", "after"), list(product(CallState, CallState)))
def test_a_call_goes_only_the_ways_of_its_table(before: CallState, after: CallState):
    call = Call()
    ticket = Ticket(
        number=1,
        lane=LANE,
        call=call,
        account=Shares().enter(call.client),
        enqueued_at=0,
        expires_at=1,
    )
    ticket.state = before
    if (before, after) in ALLOWED:
        ticket.become(after)
        assert ticket.state is after
    else:
        with pytest.raises(BadTransition):
            ticket.become(after)


@pytest.mark.parametrize(("before", "after"), list(product(SlotState, SlotState)))
def test_a_slot_is_freed_through_its_table_only(before: SlotState, after: SlotState):
    slot = Slot("one", LANE, Berth(LANE, 1))
    slot.state = before
    if (before.value, after.value) in {
        ("free", "busy"),
        ("busy", "free"),
        ("busy", "cancelling"),
        ("cancelling", "free"),
    }:
        slot.become(after)
        assert slot.state is after
    else:
        with pytest.raises(BadTransition):
            slot.become(after)


def test_every_state_of_a_call_can_be_reached_and_left_or_is_final():
    reached = {after for ways in CALL_STEPS.values() for after in ways}
    assert reached == set(CallState)
    assert {state for state in CallState if state.final} == {CallState.DONE, CallState.FAILED, CallState.CANCELLED}


def test_bands_are_ordered_by_urgency():
    assert sorted(Band, key=lambda band: band.order) == [Band.INTERACTIVE, Band.BATCH, Band.SPECULATIVE]
