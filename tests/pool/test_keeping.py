"""What the scheduler keeps of clients and conversations: right while it is needed, and bounded."""

from __future__ import annotations

from infrastructure.pool.affinity import PREFIXES_KEPT, Conversations
from infrastructure.pool.calls import Call
from infrastructure.pool.fairness import OUTPUT_WEIGHT, PROMPT_WEIGHT, Shares
from infrastructure.pool.lanes import Lane
from infrastructure.pool.queue import CallQueue
from infrastructure.pool.states import CallState
from infrastructure.pool.ticket import Ticket

A, B = Lane("a:latest"), Lane("b:latest")


def waiting(queue: CallQueue, conversations: Conversations, prefix: str) -> Ticket:
    call = Call(prefix=prefix)
    ticket = Ticket(
        number=queue.next_number(),
        lane=A,
        call=call,
        account=queue.shares[call.band].enter(call.client),
        conversation=conversations.of(A, prefix),
        enqueued_at=0,
        expires_at=1,
    )
    queue.put(ticket)
    return ticket


# ------------------------------------------------------------------------------------- conversations
def test_calls_that_wait_follow_their_conversation_and_no_other():
    queue, conversations = CallQueue(), Conversations()
    first, second, other = (waiting(queue, conversations, prefix) for prefix in ("talk", "talk", "chat"))

    queue.remove(first)
    conversations.of(A, "talk").goes_to("one", 100)

    (line,) = queue.of(A)
    assert (first.owner, second.owner, other.owner) == (None, "one", None)
    assert line.owned_by("one") is second
    assert conversations.of(A, "talk").cached("one") == 100
    assert conversations.of(A, "talk").cached("two") == conversations.of(B, "talk").cached("one") == 0


def test_what_a_server_had_of_a_lane_or_at_all_is_forgotten():
    conversations = Conversations()
    for lane, server in ((A, "one"), (B, "one")):
        conversations.of(lane, "talk").goes_to(server, 10)
    conversations.of(A, "chat").goes_to("two", 10)

    conversations.forget("one", A)
    assert [conversations.of(lane, "talk").server for lane in (A, B)] == [None, "one"]
    conversations.forget("one")
    assert conversations.of(B, "talk").server is None
    assert conversations.of(A, "chat").server == "two"


def test_conversations_are_bounded_and_those_asked_for_last_stay():
    conversations = Conversations()
    kept = conversations.of(A, "kept")
    for number in range(3 * PREFIXES_KEPT):
        conversations.of(A, f"other {number}")
        if number % (PREFIXES_KEPT // 2) == 0:
            assert conversations.of(A, "kept") is kept
    gone = conversations.of(A, "gone")
    for number in range(2 * PREFIXES_KEPT):
        conversations.of(A, f"more {number}")
    assert conversations.of(A, "gone") is not gone
    assert len(conversations) <= 2 * PREFIXES_KEPT


# -------------------------------------------------------------------------------------------- clients
def test_a_client_is_charged_and_set_right_afterwards():
    account = Shares().enter("ann")
    charged = account.charge(100)
    account.settle(charged, 100, 1000)
    assert account.counter == 100 * PROMPT_WEIGHT + 1000 * OUTPUT_WEIGHT
    charged = account.charge(100)
    assert charged == 100 * PROMPT_WEIGHT + 1000 * OUTPUT_WEIGHT, "as long as the last one"
    before = account.counter
    account.settle(charged, 100, 0)
    account.charge(0)
    assert account.counter < before + 1000 * OUTPUT_WEIGHT, "what was charged too much goes off"


def test_clients_that_ask_nothing_are_forgotten_and_those_that_do_stay():
    shares = Shares()
    busy = shares.enter("busy")
    for number in range(10_000):
        account = shares.enter(f"client {number}")
        account.charge(1)
        account.leave()
    assert len(shares) < 5000
    assert shares.enter("busy") is busy


# --------------------------------------------------------------------------------------------- expiry
def test_calls_that_left_do_not_pile_up_among_those_whose_time_is_awaited():
    queue, conversations = CallQueue(), Conversations()
    staying = waiting(queue, conversations, "talk")
    for _ in range(1000):
        passing = waiting(queue, conversations, "talk")
        queue.remove(passing)
        passing.become(CallState.CANCELLED)
        queue.remove(staying)
        queue.put(staying)
    assert queue.expired(2.0) == [staying]
    assert queue.expired(2.0) == [staying], "they stay in"
    assert queue.next_expiry() == 1
    queue.remove(staying)
    assert queue.next_expiry() is None
