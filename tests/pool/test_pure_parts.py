"""The pool's small decisions: lanes, refusals, figures, bounds, failures."""

from __future__ import annotations

import pytest

from infrastructure.config.settings import LaneSettings
from infrastructure.pool.calls import Call
from infrastructure.pool.errand import answer_bound, default_bound
from infrastructure.pool.errors import ModelNowhere, NoServerAvailable, PoolError
from infrastructure.pool.failures import after_failure, is_down, may_try_elsewhere, trips
from infrastructure.pool.figures import Figures
from infrastructure.pool.lanes import Lane, LaneBook, canonical, lane_of
from infrastructure.pool.refusal import Found, refusal
from infrastructure.pool.retries import RetryBudget
from infrastructure.pool.states import Band, Health
from infrastructure.transport.errors import (
    ContextExceeded,
    ModelNotFound,
    NotAuthorized,
    OllamaError,
    Phase,
    PhaseTimeout,
    ServerBusy,
    ServerFailed,
    ServerUnreachable,
    StreamBroken,
    UnreadableAnswer,
)
from infrastructure.transport.messages import Metrics

LANE = Lane("a:latest")


# --------------------------------------------------------------------------------------------- lanes
@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("words", "words:latest"),
        ("Words:7B", "words:7b"),
        ("registry.ollama.ai/library/words", "words:latest"),
        ("library/words:1", "words:1"),
        ("me/words", "me/words:latest"),
        ("host:5000/me/words", "host:5000/me/words:latest"),
        ("hf.co/me/words:q4", "hf.co/me/words:q4"),
    ],
)
def test_a_model_has_one_canonical_name(name: str, expected: str):
    assert canonical(name) == expected


def test_a_lane_is_the_model_with_the_load_options_that_are_set():
    settings = LaneSettings(model="Words", num_ctx=2048, shift=False, keep_alive=-1)

    lane = lane_of(settings, {"temperature": 0.1, "num_batch": 64})

    assert lane == Lane("words:latest", (("num_batch", 64), ("num_ctx", 2048)), shift=False)
    assert lane.options == {"num_batch": 64, "num_ctx": 2048}
    assert lane.num_ctx == 2048
    assert str(lane) == "words:latest (num_batch=64, num_ctx=2048, shift=False)"


def test_a_lane_is_found_by_its_name_or_its_model_and_needs_no_entry():
    book = LaneBook({"coder": LaneSettings(model="qwen", num_ctx=8192)})

    assert book.settings("coder").num_ctx == book.settings("qwen:latest").num_ctx == 8192
    assert book.settings("other") == LaneSettings(model="other")


def test_the_rest_of_a_calls_options_is_its_own():
    lane, rest = LaneBook({}).split(LaneSettings(model="a"), {"num_ctx": 64, "temperature": 0})

    assert (lane.options, rest) == ({"num_ctx": 64}, {"temperature": 0})


def test_a_call_takes_its_band_by_word_and_refuses_a_deadline_that_has_passed():
    assert Call(band="batch").band is Band.BATCH
    with pytest.raises(ValueError, match="hurry"):
        Call(band="hurry")
    for deadline in (0, -1, float("nan")):
        with pytest.raises(ValueError, match="deadline"):
            Call(deadline=deadline)


# ------------------------------------------------------------------------------------------ refusals
UP_A = Found("up", Health.UP, ("a:latest",))
UP_B = Found("other", Health.UP, ("b:latest",))
DOWN = Found("down", Health.DOWN, None, ServerUnreachable("refused", server="down"))
DOWN_A = Found("lost", Health.DOWN, ("a:latest",), ServerUnreachable("refused"))
DRAINED_A = Found("drained", Health.UP, ("a:latest",), draining=True)
DRAINED_B = Found("drained", Health.UP, ("b:latest",), draining=True)
LOCKED = Found("locked", Health.DOWN, None, NotAuthorized(401))


@pytest.mark.parametrize(
    ("servers", "error"),
    [
        ((), NoServerAvailable),
        ((DOWN,), NoServerAvailable),
        ((DOWN, LOCKED), NoServerAvailable),
        ((LOCKED,), NotAuthorized),
        ((UP_B,), ModelNowhere),
        ((UP_B, DOWN), ModelNowhere),
        ((UP_B, DOWN_A), NoServerAvailable),
        ((UP_B, DRAINED_A), NoServerAvailable),
        ((DRAINED_A,), NoServerAvailable),
        ((UP_B, DRAINED_B), ModelNowhere),
    ],
)
def test_the_refusal_says_what_is_wrong(servers: tuple[Found, ...], error: type[OllamaError]):
    assert type(refusal("a:latest", servers)) is error


def test_a_missing_model_names_what_is_there_and_who_could_not_be_asked():
    error = refusal("a:latest", (UP_B, DOWN))

    assert isinstance(error, ModelNotFound)
    assert isinstance(error, PoolError)
    assert (error.model, error.hint, error.available) == ("a", "ollama pull a", ("b:latest",))
    assert str(error) == (
        "No server has 'a' (get it with `ollama pull a`). Models there: b:latest; not reachable: down"
    )


def test_no_server_names_each_and_its_reason_once():
    error = refusal("a:latest", (DOWN, LOCKED))

    assert isinstance(error, NoServerAvailable)
    assert error.servers["down"] == "The server cannot be reached: refused"


def test_a_drained_server_is_named_as_drained_and_not_as_one_that_cannot_be_reached():
    error = refusal("a:latest", (UP_B, DRAINED_A))
    assert str(error) == "No Ollama server is available: drained: drained"
    assert "calls again" in error.hint
    assert str(refusal("c", (UP_A, DRAINED_B))) == (
        "No server has 'c' (get it with `ollama pull c`). Models there: a:latest, b:latest"
    )


# ------------------------------------------------------------------------------------------ failures
@pytest.mark.parametrize(
    ("error", "first_byte_seen", "moves", "moved"),
    [
        (ServerUnreachable(), False, 0, True),
        (ServerUnreachable(), False, 5, True),
        (PhaseTimeout(Phase.CONNECT), False, 5, True),
        (ServerFailed(502), False, 5, True),
        (ServerFailed(500), False, 0, True),
        (ServerFailed(500), False, 1, False),
        (ServerBusy(), False, 0, True),
        (ServerBusy(), False, 5, True),
        (ModelNotFound("m"), False, 5, True),
        (ServerUnreachable(), True, 0, False),
        (PhaseTimeout(Phase.FIRST_BYTE), False, 0, False),
        (ContextExceeded(), False, 0, False),
        (StreamBroken(), False, 0, True),
        (StreamBroken(), False, 1, False),
        (StreamBroken(), True, 0, False),
    ],
)
def test_a_failed_call_moves_only_where_that_cannot_repeat_an_answer(
    error: OllamaError, first_byte_seen: bool, moves: int, moved: bool
):
    assert may_try_elsewhere(error, first_byte_seen=first_byte_seen, moves=moves, budget=RetryBudget()) is moved


@pytest.mark.parametrize(
    ("error", "down"),
    [
        (ServerUnreachable(), True),
        (ServerFailed(502), True),
        (ServerFailed(500), False),
        (NotAuthorized(401), True),
        (ServerBusy(), False),
        (ModelNotFound("a"), False),
    ],
)
def test_a_server_that_fails_at_once_must_not_attract_every_call(error: OllamaError, down: bool):
    assert is_down(error) is down


def test_a_server_that_was_answering_is_not_down_for_what_it_said_in_the_end():
    assert is_down(UnreadableAnswer("a page", foreign=True))
    assert not is_down(UnreadableAnswer("a page", foreign=True), answering=True)
    assert not is_down(UnreadableAnswer("2 vectors for 3 texts"))
    assert trips(UnreadableAnswer("2 vectors for 3 texts"))
    assert is_down(ServerUnreachable(), answering=True)


def test_the_error_of_the_last_attempt_stays_unless_the_refusal_says_more():
    none, nowhere, busy = NoServerAvailable({}), ModelNowhere("a", ()), ServerBusy()

    assert after_failure(busy, none) is busy
    assert after_failure(ServerUnreachable(), none) is none
    assert after_failure(ModelNotFound("a"), nowhere) is nowhere


# ------------------------------------------------------------------------------------------- figures
def test_the_first_estimate_is_the_general_one_and_then_the_largest_seen_with_a_margin():
    figures = Figures()
    assert figures.estimate("m", 3000, 1) == 1008

    figures.learn("m", 1000, 1, 208)
    assert figures.estimate("m", 3000, 1) == pytest.approx(668, abs=1)
    figures.learn("m", 1000, 1, 108)
    assert figures.estimate("m", 3000, 1) == pytest.approx(668, abs=1)
    assert figures.estimate("other", 3000, 1) == 1008


def test_a_short_prompt_teaches_nothing():
    figures = Figures()
    figures.learn("m", 20, 1, 40)

    assert figures.estimate("m", 3000, 1) == 1008


def test_figures_are_running_averages_of_the_phases():
    figures = Figures()
    figures.served("s", LANE, Metrics(10**9, 2 * 10**8, 100, 10**8, 50, 5 * 10**8), 0.3)
    first = figures.of("s", LANE)
    assert (first.calls, first.load_seconds, first.decode_tokens_per_second) == (1, 0.2, 100)
    assert first.server_wait_seconds == pytest.approx(0.2)

    figures.served("s", LANE, Metrics(10**9, 0, 100, 10**8, 50, 25 * 10**7), 0.3)
    figures.failed("s", LANE)
    second = figures.of("s", LANE)
    assert second.decode_tokens_per_second == pytest.approx(120)
    assert (second.calls, second.failures, second.load_seconds) == (2, 1, 0.2)
    assert figures.by_server("s") == {LANE: second}
    assert figures.by_server("other") == {}


# -------------------------------------------------------------------------------------------- bounds
@pytest.mark.parametrize(
    ("wanted", "estimate", "window", "expected"),
    [
        (4096, 100, None, 4096),
        (-1, 100, None, 4096),
        (500, 100, 8192, 500),
        (4096, 1000, 4096, 3096),
        (-1, 1000, 4096, 3096),
        (4096, 5000, 4096, 512),
        (-1, 5000, 4096, 512),
        (10, 5000, 4096, 10),
    ],
)
def test_an_answer_is_bounded_by_what_is_wanted_and_what_fits(
    wanted: int, estimate: int, window: int | None, expected: int
):
    assert answer_bound(wanted, estimate, window, 4096) == expected


@pytest.mark.parametrize(
    ("estimate", "window", "longest", "expected"),
    [
        (0, None, 4096, 4096),
        (500, None, 4096, 3596),
        (2500, None, 4096, 2048),
        (9000, None, 4096, 2048),
        (9000, None, 300, 300),
        (500, 32768, 4096, 4096),
        (500, 4096, 4096, 3596),
        (4090, 4096, 4096, 512),
    ],
)
def test_an_answer_that_nobody_bounds_fits_into_the_smallest_window_until_the_window_is_known(
    estimate: int, window: int | None, longest: int, expected: int
):
    assert default_bound(estimate, window, longest) == expected
