"""The scheduler's decisions, case by case, without a loop or a clock."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from infrastructure.pool.calls import Call
from infrastructure.pool.errors import PoolSaturated
from infrastructure.pool.lanes import Lane
from infrastructure.pool.scheduler import Scheduler
from infrastructure.pool.states import Band, CallState, Health, SlotState
from infrastructure.pool.ticket import Slot, Ticket
from infrastructure.transport.messages import Metrics

A = Lane("a:latest")
A_WIDE = Lane("a:latest", (("num_ctx", 8192),))
B = Lane("b:latest")


@dataclass
class Bench:
    """A scheduler with servers that are up, and short words for what is done to it."""

    slots: dict[str, int | None] = field(default_factory=lambda: {"one": 1})
    places: dict[str, int | None] = field(default_factory=dict)
    queue_length: int = 100
    models: tuple[str, ...] = ("a:latest", "b:latest")
    now: float = 0

    def __post_init__(self) -> None:
        self.scheduler = Scheduler(self.slots, queue_length=self.queue_length, places=self.places)
        for name in self.slots:
            self.up(name)

    def up(self, name: str, *, models: tuple[str, ...] | None = None, loaded: tuple[str, ...] = ()) -> None:
        self.scheduler.roster.up(name, models=self.models if models is None else models, loaded=loaded, now=self.now)

    def call(self, lane: Lane = A, band: Band = Band.INTERACTIVE, *, patience: float = 1000) -> Ticket:
        ticket, _ = self.scheduler.enqueue(lane, Call(band=band), now=self.now, expires_at=self.now + patience)
        return ticket

    def place(self) -> list[Ticket]:
        return self.scheduler.place(self.now)

    def streaming(self, lane: Lane = A, band: Band = Band.INTERACTIVE, *, begun: bool = False) -> Ticket:
        ticket = self.call(lane, band)
        assert self.place() == [ticket]
        self.run(ticket)
        ticket.begun = begun
        return ticket

    def run(self, ticket: Ticket) -> None:
        """A placed call gets its first byte."""
        for state in (CallState.CONNECTING, CallState.WAITING, CallState.STREAMING):
            self.scheduler.advance(ticket, state)
        self.answer(ticket)

    def answer(self, ticket: Ticket) -> None:
        """The first byte is here."""
        assert ticket.slot is not None
        self.scheduler.answered(ticket, ticket.slot.server, self.now)

    def loads(self, name: str, lane: Lane) -> None:
        """The lane is loaded on the server."""
        server = self.scheduler.servers[name]
        server.answered(lane)
        self.scheduler.roster.settling = False


def where(ticket: Ticket) -> str | None:
    return ticket.slot.server if ticket.slot else None


# ------------------------------------------------------------------------------------------- placing
def test_a_call_takes_a_free_slot_and_the_next_one_waits_for_it():
    bench = Bench()
    first, second = bench.call(), bench.call()

    assert bench.place() == [first]
    assert (first.state, second.state) == (CallState.PLACED, CallState.QUEUED)
    bench.scheduler.advance(first, CallState.CONNECTING)
    bench.scheduler.advance(first, CallState.WAITING)
    bench.scheduler.end(first)
    assert bench.place() == [second]


def test_slots_are_counted_for_each_lane():
    bench = Bench()
    bench.up("one", loaded=("a:latest", "b:latest"))
    calls = [bench.call(A), bench.call(B), bench.call(A)]

    assert set(bench.place()) == set(calls[:2])


def test_a_call_that_fits_nowhere_does_not_hold_up_the_next():
    bench = Bench()
    bench.streaming(A)
    bench.up("one", loaded=("a:latest", "b:latest"))
    _, behind = bench.call(A), bench.call(B)

    assert bench.place() == [behind]


def test_bands_are_strict_and_first_come_first_served_within():
    bench = Bench(slots={"one": 1})
    running = bench.streaming(A)
    calls = [bench.call(A, band) for band in (*reversed(Band), *reversed(Band))]
    order: list[Ticket] = []
    while len(bench.scheduler.queue):
        bench.scheduler.end(running)
        (running,) = bench.place()
        bench.scheduler.advance(running, CallState.CONNECTING)
        bench.scheduler.advance(running, CallState.WAITING)
        order.append(running)

    assert order == [calls[2], calls[5], calls[1], calls[4], calls[0], calls[3]]


@pytest.mark.parametrize(
    ("loaded_on", "busy_on", "expected"),
    [
        pytest.param(None, None, "one", id="all alike: the first named"),
        pytest.param("two", None, "two", id="where the model is loaded"),
        pytest.param(None, "one", "two", id="else where there is most room"),
        pytest.param("two", "two", "two", id="loaded goes before room"),
    ],
)
def test_the_server_is_chosen_by_what_is_loaded_then_by_room(loaded_on: str | None, busy_on: str | None, expected: str):
    bench = Bench(slots={"one": 2, "two": 2})
    if busy_on:
        bench.up("one" if busy_on == "two" else "two", models=())
        bench.streaming(B)
        bench.up("one"), bench.up("two")
    if loaded_on:
        bench.up(loaded_on, loaded=("a:latest",))
    ticket = bench.call(A)
    bench.place()

    assert where(ticket) == expected


def test_a_lane_goes_where_it_is_loaded_itself_rather_than_its_model_with_other_options():
    bench = Bench(slots={"one": 2, "two": 2})
    bench.up("one", loaded=("a:latest",))
    bench.up("two", loaded=("a:latest",))
    bench.loads("one", A)
    bench.loads("two", A_WIDE)
    ticket = bench.call(A_WIDE)
    bench.place()

    assert where(ticket) == "two"


def test_a_server_that_lacks_the_model_is_no_candidate_and_one_that_would_not_say_is():
    bench = Bench(slots={"one": 1, "two": 1})
    bench.up("one", models=("b:latest",))
    bench.scheduler.roster.up("two", models=None, loaded=None, now=0)
    ticket = bench.call(A)
    bench.place()

    assert where(ticket) == "two"


def test_a_cloud_model_needs_no_copy_on_the_server():
    bench = Bench()
    ticket = bench.call(Lane("big:120b-cloud"))

    assert bench.place() == [ticket]


@pytest.mark.parametrize("health", [Health.UNKNOWN, Health.DOWN])
def test_a_server_gets_calls_only_while_it_is_up(health: Health):
    bench = Bench()
    bench.scheduler.servers["one"].health = health
    ticket = bench.call()

    assert bench.place() == []
    assert [each for line in bench.scheduler.stranded() for each in line] == [ticket]
    bench.up("one")
    assert bench.place() == [ticket]


def test_while_servers_are_still_asked_only_a_loaded_model_is_placed():
    bench = Bench(slots={"one": 1, "two": 1})
    bench.scheduler.roster.settling = True
    cold = bench.call(A)
    warm = bench.call(B)
    bench.up("two", loaded=("b:latest",))

    assert bench.place() == [warm]
    bench.scheduler.roster.settling = False
    assert bench.place() == [cold]


# ------------------------------------------------------------------------------------------ slots back
def test_a_cancelled_call_keeps_its_slot_taken_until_the_connection_is_closed():
    bench = Bench()
    running = bench.streaming()
    waiting = bench.call()
    slot = bench.scheduler.stop(running, CallState.CANCELLED)

    assert slot.state is SlotState.CANCELLING
    assert bench.place() == []
    bench.scheduler.free(slot)
    assert bench.place() == [waiting]


def test_a_call_that_failed_on_a_server_goes_to_another_in_its_old_place():
    bench = Bench(slots={"one": 1, "two": 1})
    bench.up("one", loaded=("a:latest",)), bench.up("two", loaded=("a:latest",))
    moving = bench.call()
    other = bench.call()
    bench.place()
    later = bench.call()
    slot = bench.scheduler.move(moving, exclude="one", now=1)
    bench.scheduler.free(slot)
    bench.scheduler.free(bench.scheduler.stop(other, CallState.FAILED))

    assert set(bench.place()) == {moving, later}
    assert (where(moving), where(later)) == ("two", "one")
    assert moving.attempts == 2


def test_a_call_that_failed_on_all_servers_is_stranded():
    bench = Bench()
    ticket = bench.call()
    bench.place()
    bench.scheduler.free(bench.scheduler.move(ticket, exclude="one", now=1))

    assert bench.place() == []
    assert [each for line in bench.scheduler.stranded() for each in line] == [ticket]


def test_the_time_in_the_queue_is_added_up_over_all_waits():
    bench = Bench(slots={"one": 1, "two": 1})
    ticket = bench.call()
    bench.now = 3
    bench.place()
    bench.scheduler.free(bench.scheduler.move(ticket, exclude="one", now=5))
    bench.now = 9
    bench.place()

    assert ticket.queued_seconds == 7


# ----------------------------------------------------------------------------------------- pre-emption
def preempted(bench: Bench) -> list[Ticket]:
    return [ticket for ticket, _ in bench.scheduler.preempt(bench.now)]


def test_a_waiting_call_of_a_higher_band_takes_a_speculative_slot():
    for band in (Band.INTERACTIVE, Band.BATCH):
        bench = Bench()
        guess = bench.streaming(band=Band.SPECULATIVE)
        waiting = bench.call(band=band)
        ((victim, slot),) = bench.scheduler.preempt(bench.now)

        assert victim is guess
        assert guess.state is CallState.PREEMPTED
        assert preempted(bench) == []  # one slot for one call
        bench.scheduler.free(slot)
        assert bench.place() == [waiting]


def test_a_guess_gives_way_rather_than_that_a_call_finds_out_whether_there_is_a_further_slot():
    bench = Bench(slots={"one": None})
    guess = bench.streaming(band=Band.SPECULATIVE)
    person = bench.call()

    assert bench.place() == []
    ((victim, slot),) = bench.scheduler.preempt(bench.now)
    assert victim is guess
    bench.scheduler.free(slot)
    assert bench.place() == [person]


def decided(bench: Bench) -> None:
    """Place and pre-empt until nothing changes, as the dispatcher does for guesses that have not seen their slot."""
    for _ in range(10):
        bench.place()
        victims = bench.scheduler.preempt(bench.now)
        for victim, slot in victims:
            assert victim.state is CallState.PREEMPTED
            bench.scheduler.free(slot)
            bench.scheduler.return_preempted(victim, bench.now)
        if not victims:
            return
    raise AssertionError("guesses lose the slots that they are given, for ever")


def test_a_guess_keeps_the_slot_that_a_reader_keeps_from_a_call_of_a_higher_band():
    bench = Bench(slots={"one": 2})
    reader = bench.streaming()
    reader.read = True
    bench.scheduler.estimates.of(A).evaluated("one", 100, 1.0)
    long, guess = bench.call(band=Band.BATCH), bench.call(band=Band.SPECULATIVE)
    long.prompt_tokens = 1000
    decided(bench)

    assert (long.state, guess.state) == (CallState.QUEUED, CallState.PLACED)
    bench.scheduler.end(reader)
    decided(bench)
    assert long.state is CallState.PLACED


def test_of_two_guesses_one_gives_way_for_good():
    bench = Bench(slots={"one": None})
    guess = bench.streaming(band=Band.SPECULATIVE)
    waiting, later = bench.call(band=Band.BATCH), bench.call(band=Band.SPECULATIVE)
    decided(bench)

    assert waiting.state is CallState.PLACED
    assert [guess.state, later.state].count(CallState.PLACED) <= 1


def reading(bench: Bench, *, tokens: int = 1000, prefix: str | None = None) -> Ticket:
    """A guess whose prompt is being read; the server does a hundred tokens a second."""
    bench.up("one", loaded=("a:latest",))
    bench.scheduler.estimates.of(A).evaluated("one", 100, 1.0)
    guess, _ = bench.scheduler.enqueue(
        A,
        Call(band=Band.SPECULATIVE, prefix=prefix),
        now=bench.now,
        expires_at=bench.now + 1000,
        prompt_tokens=tokens,
    )
    assert bench.place() == [guess]
    for state in (CallState.CONNECTING, CallState.WAITING):
        bench.scheduler.advance(guess, state)
    return guess


def test_all_guesses_that_read_prompts_give_way_where_a_person_takes_the_slot_of_one():
    bench = Bench(slots={"one": 4})
    deciding = bench.streaming(band=Band.SPECULATIVE)
    guesses = {reading(bench) for _ in range(3)}
    bench.call()

    assert set(preempted(bench)) == guesses
    assert deciding.state is CallState.STREAMING


@pytest.mark.parametrize("band", [Band.INTERACTIVE, Band.BATCH])
def test_guesses_that_read_prompts_give_way_to_a_person_beside_them(band: Band):
    bench = Bench(slots={"one": 4})
    guesses = {reading(bench) for _ in range(2)}
    call = bench.call(band=band)

    assert bench.place() == [call]
    assert set(preempted(bench)) == (guesses if band is Band.INTERACTIVE else set())
    assert preempted(bench) == []


def test_guesses_whose_prompts_are_short_or_cached_stay_beside_a_person():
    bench = Bench(slots={"one": 4})
    bench.scheduler.end(reading(bench, prefix="talk"))
    guesses = [reading(bench, tokens=9), reading(bench, prefix="talk")]
    bench.call()
    bench.place()

    assert preempted(bench) == []
    assert {guess.state for guess in guesses} == {CallState.WAITING}


def test_no_guess_reads_its_prompt_beside_a_person_who_waits_for_the_first_token():
    bench = Bench(slots={"one": 4})
    guess = reading(bench)
    person = bench.call()
    decided(bench)
    for state in (CallState.CONNECTING, CallState.WAITING, CallState.STREAMING):
        bench.scheduler.advance(person, state)

    assert guess.state is CallState.QUEUED
    assert bench.scheduler.answered(person, "one", bench.now), "whoever drives it should place what waits"
    assert bench.place() == [guess]


@pytest.mark.parametrize("band", [Band.INTERACTIVE, Band.BATCH])
def test_only_speculative_calls_give_way(band: Band):
    bench = Bench()
    bench.streaming(band=band)
    bench.call()

    assert preempted(bench) == []


def test_a_speculative_call_does_not_push_another_out():
    bench = Bench()
    bench.streaming(band=Band.SPECULATIVE)
    bench.call(band=Band.SPECULATIVE)

    assert preempted(bench) == []


def test_a_guess_on_a_model_that_goes_for_another_guess_is_answered_first():
    bench = Bench(slots={"one": 1}, places={"one": 1})
    bench.up("one", loaded=("a:latest",))
    running = bench.streaming(A, Band.SPECULATIVE)
    guess = bench.call(B, Band.SPECULATIVE)

    assert bench.place() == []
    assert preempted(bench) == []
    bench.scheduler.end(running)
    assert bench.place() == [guess]


def test_nobody_gives_way_for_a_call_of_another_lane_or_of_a_server_it_may_not_use():
    bench = Bench(slots={"one": 1, "two": 1})
    bench.up("one", loaded=("a:latest", "b:latest"))
    bench.up("two", models=("b:latest",), loaded=("b:latest",))
    bench.streaming(A, Band.SPECULATIVE)
    bench.streaming(B, Band.SPECULATIVE)
    bench.streaming(B, Band.BATCH)
    bench.call(B)

    assert [victim.lane for victim in preempted(bench)] == [B]


def test_as_many_give_way_as_wait_less_those_that_are_leaving_already():
    bench = Bench(slots={"one": 4})
    guesses = [bench.streaming(band=Band.SPECULATIVE) for _ in range(3)]
    leaving = bench.streaming()
    bench.scheduler.stop(leaving, CallState.CANCELLED)
    for _ in range(3):
        bench.call()

    assert set(preempted(bench)) == {guesses[1], guesses[2]}


def test_those_give_way_first_whose_caller_has_had_nothing_then_the_newest():
    bench = Bench(slots={"one": 3})
    old = bench.streaming(band=Band.SPECULATIVE)
    new = bench.streaming(band=Band.SPECULATIVE)
    read = bench.streaming(band=Band.SPECULATIVE, begun=True)
    order: list[Ticket] = []
    for _ in range(3):
        bench.call()
        order += preempted(bench)

    assert order == [new, old, read]


def test_a_preempted_call_comes_back_before_younger_ones_of_its_band():
    bench = Bench()
    guess = bench.streaming(band=Band.SPECULATIVE)
    younger = bench.call(band=Band.SPECULATIVE)
    person = bench.call()
    ((_, slot),) = bench.scheduler.preempt(bench.now)
    bench.scheduler.free(slot)
    bench.scheduler.return_preempted(guess, 1)
    assert bench.place() == [person]
    bench.scheduler.free(bench.scheduler.stop(person, CallState.FAILED))

    assert bench.place() == [guess]
    assert younger.state is CallState.QUEUED


# ------------------------------------------------------------------------------------------- refusing
def test_a_full_queue_refuses_a_call_that_is_not_more_urgent():
    bench = Bench(queue_length=2)
    bench.streaming()
    bench.call(), bench.call(band=Band.BATCH)

    with pytest.raises(PoolSaturated) as caught:
        bench.call(band=Band.BATCH)
    assert caught.value.queued == 2
    assert 1 <= caught.value.retry_after <= 60


@pytest.mark.parametrize("slots", [1, 2])
def test_calls_that_wait_for_a_drained_server_take_places_from_their_like_alone(slots: int):
    bench = Bench(slots={"one": 1, "two": slots}, queue_length=2)
    bench.up("one", models=("a:latest",))
    bench.up("two", models=("b:latest",), loaded=("b:latest",))
    bench.streaming(B)
    bench.scheduler.roster.set_draining("one", True)
    parked = [bench.call(A), bench.call(A, Band.BATCH)]
    others = [bench.call(B, Band.BATCH)]
    assert bench.place() == others[: slots - 1]
    others += [bench.call(B, Band.BATCH) for _ in range(slots)]

    with pytest.raises(PoolSaturated):
        bench.call(B, Band.BATCH)
    with pytest.raises(PoolSaturated):
        bench.call(A, Band.BATCH)
    bench.call(A)
    assert [each.state for each in parked] == [CallState.QUEUED, CallState.FAILED]
    assert CallState.FAILED not in [each.state for each in others]
    bench.call(B)
    assert others[-1].state is CallState.FAILED


def test_a_full_queue_gives_up_the_newest_of_the_lowest_band_for_a_more_urgent_call():
    bench = Bench(queue_length=3)
    bench.streaming()
    job, guess, last_guess = bench.call(band=Band.BATCH), bench.call(band=Band.SPECULATIVE), None
    last_guess = bench.call(B, Band.SPECULATIVE)
    person, displaced = bench.scheduler.enqueue(A, Call(), now=0, expires_at=1)

    assert displaced is last_guess
    assert (job.state, guess.state, last_guess.state) == ("queued", "queued", "failed")
    assert person in bench.scheduler.queue


def test_the_time_to_come_again_follows_how_long_calls_take():
    bench = Bench(slots={"one": 2}, queue_length=1)
    for _ in range(50):
        ticket = bench.streaming()
        bench.scheduler.served(ticket, Metrics(), 40, bench.now)
        bench.scheduler.end(ticket)
    assert bench.scheduler.saturated().retry_after == pytest.approx(20, rel=0.01)


def test_a_waiting_call_is_refused_when_its_time_is_over_and_not_before():
    bench = Bench()
    bench.streaming()
    late, later = bench.call(patience=10), bench.call(patience=20)

    assert bench.scheduler.queue.next_expiry() == 10
    assert bench.scheduler.expire(9.9) == []
    assert bench.scheduler.expire(10) == [late]
    assert (late.state, later.state) == (CallState.FAILED, CallState.QUEUED)
    assert bench.scheduler.queue.next_expiry() == 20


def test_a_call_in_flight_does_not_expire():
    bench = Bench()
    bench.call(patience=10)
    bench.place()

    assert bench.scheduler.expire(1000) == []
    assert bench.scheduler.queue.next_expiry() is None


# -------------------------------------------------------------------------------------------- servers
def test_what_a_server_had_loaded_is_forgotten_when_it_goes_down():
    bench = Bench()
    bench.streaming()
    server = bench.scheduler.servers["one"]
    server.answered(A)
    assert server.loaded(A) == 2
    bench.scheduler.roster.down("one", "refused", 1)

    assert server.loaded(A) == 0
    assert server.reason == "refused"


def test_the_lane_of_a_loaded_model_is_kept_until_the_server_no_longer_lists_it():
    bench = Bench()
    server = bench.scheduler.servers["one"]
    server.answered(A_WIDE)
    bench.up("one", loaded=("a:latest",))
    assert (server.loaded(A_WIDE), server.loaded(A)) == (2, 1)
    bench.up("one")
    assert (server.loaded(A_WIDE), server.loaded(A)) == (0, 0)


def test_a_missing_model_is_remembered():
    bench = Bench()
    bench.scheduler.roster.lacks("one", "a:latest")
    ticket = bench.call()

    assert bench.place() == []
    assert [each for line in bench.scheduler.stranded() for each in line] == [ticket]


def test_idle_lanes_are_forgotten_so_that_ever_new_options_do_not_pile_up():
    bench = Bench()
    for num_ctx in range(4, 200):
        bench.now += 100
        ticket = bench.streaming(Lane("a:latest", (("num_ctx", num_ctx),)))
        bench.scheduler.end(ticket)

    assert len(bench.scheduler.servers["one"].berths) <= 33


def test_a_slot_can_be_given_back_only_once():
    bench = Bench()
    slot: Slot = bench.scheduler.stop(bench.streaming(), CallState.FAILED)
    bench.scheduler.free(slot)

    with pytest.raises(RuntimeError):
        bench.scheduler.free(slot)


def test_a_guess_loads_nothing_where_it_would_have_to_give_way_at_once():
    """Else it is sent and called off again and again within one decision, which then never ends."""
    bench = Bench(slots={"one": 2, "two": 2})
    bench.up("one", loaded=("a:latest",))
    bench.loads("one", A)
    running = [bench.streaming(A), bench.streaming(A)]
    bench.call(A, Band.BATCH)  # waits for a slot: that takes less than a load on the other server
    guess = bench.call(B, Band.SPECULATIVE)

    assert bench.place() == []
    assert bench.scheduler.preempt(bench.now) == []
    bench.scheduler.end(running[0])
    bench.now += 10
    bench.place()
    assert where(guess) == "two"


def test_a_load_that_is_called_off_gives_the_next_lane_its_chance_at_once():
    bench = Bench(slots={"one": 1, "two": 1}, places={"one": 1, "two": 1})
    bench.scheduler.roster.down("two", "gone", 0)
    first = bench.call(A)
    second, wide = bench.call(A), bench.call(A_WIDE)
    assert bench.place() == [first]
    bench.scheduler.stop(first, CallState.FAILED)  # its slot is not free yet, so that the load waits for it
    assert bench.place() == []
    bench.up("two")

    assert [where(each) for each in bench.place()] == ["two", "one"]
    assert (where(second), where(wide)) == ("two", "one")


def test_a_server_that_has_the_model_too_perhaps_with_other_options_is_not_left_idle():
    bench = Bench(slots={"one": 4, "two": 4})
    bench.up("one", loaded=("a:latest",))
    bench.up("two", loaded=("a:latest",))
    sure = where(bench.streaming(A))
    calls = [bench.call(A) for _ in range(3)]
    bench.place()

    assert where(calls[0]) == sure
    assert where(calls[1]) != sure
