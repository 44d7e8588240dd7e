"""What a person reads is kept from prompts beside it, by what those cost the streams there."""

from __future__ import annotations

import pytest

from infrastructure.pool.states import Band, CallState
from infrastructure.transport.messages import Metrics
from tests.pool.test_scheduler import A, Bench, Ticket

SECOND = 1_000_000_000


def reader(bench: Bench) -> Ticket:
    """A person who reads a stream on the server."""
    person = bench.streaming()
    person.read = True
    return person


def answered(bench: Bench, *, beside: float, tokens: int = 1000) -> None:
    """A call was answered: a thousand tokens a second of prompt, and so much time of which the server does not say."""
    ticket = bench.streaming(band=Band.BATCH)
    prompt = tokens * SECOND // 1000
    metrics = Metrics(prompt + SECOND + int(beside * SECOND), 0, tokens, prompt, 20, SECOND)
    bench.scheduler.served(ticket, metrics, metrics.total_ns / SECOND, bench.now)
    bench.scheduler.end(ticket)


def starts(bench: Bench, tokens: int) -> bool:
    """Whether a batch call with such a prompt starts now."""
    ticket = bench.call(band=Band.BATCH)
    ticket.prompt_tokens = tokens
    bench.place()
    started = ticket.state is CallState.PLACED
    if started:
        bench.scheduler.free(bench.scheduler.stop(ticket, CallState.CANCELLED))
    else:
        bench.scheduler.withdraw(ticket, CallState.CANCELLED)
    return started


@pytest.mark.parametrize(
    ("beside", "tokens", "expected"),
    [
        (0.0, 99, True),
        (0.0, 101, False),
        (0.06, 30, True),
        (0.06, 50, False),
        (0.5, 1, False),
    ],
)
def test_a_prompt_costs_a_stream_its_batch_and_what_the_server_does_before(beside: float, tokens: int, expected: bool):
    bench = Bench(slots={"one": 2})
    for _ in range(30):
        answered(bench, beside=beside)
    reader(bench)

    assert starts(bench, tokens) is expected


def test_one_long_wait_that_nobody_explains_is_soon_forgotten():
    bench = Bench(slots={"one": 2})
    answered(bench, beside=5.0)
    for _ in range(5):
        answered(bench, beside=0.0)
    reader(bench)

    assert starts(bench, 50)


def test_vectors_and_models_elsewhere_say_nothing_of_a_prompt():
    bench = Bench(slots={"one": 2})
    for _ in range(30):
        ticket = bench.streaming(band=Band.BATCH)
        bench.scheduler.served(ticket, Metrics(total_ns=9 * SECOND, prompt_tokens=1000), 9, bench.now)
        bench.scheduler.end(ticket)
    answered(bench, beside=0.0)
    reader(bench)

    assert starts(bench, 50)


def test_a_wait_for_a_slot_that_is_found_out_about_is_not_the_prompts():
    bench = Bench(slots={"one": None})
    answered(bench, beside=0.0)
    for _ in range(30):
        first, second = bench.call(band=Band.BATCH), bench.call(band=Band.BATCH)
        bench.place()
        bench.run(first)
        bench.now += 2
        bench.scheduler.served(first, Metrics(2 * SECOND, 0, 1000, SECOND, 20, SECOND), 2, bench.now)
        bench.scheduler.end(first)
        if second.state is CallState.PLACED:
            bench.run(second)
        else:
            assert bench.place() == [second]
            bench.run(second)
        waited = 2 * SECOND if second.beside else 0
        bench.now += 2
        bench.scheduler.served(second, Metrics(waited + 2 * SECOND, 0, 1000, SECOND, 20, SECOND), 4, bench.now)
        bench.scheduler.end(second)

    there = bench.scheduler.estimates.pace_on("one", A)
    assert there is not None
    assert there.aside < 0.01
