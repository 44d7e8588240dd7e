"""`corral models check`: how a model edits, how many calls pay, which window it reads, and what is kept of it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from agents.codegen import EDIT_TRIALS, Verdict
from backend.cli.calibrating import Answered, Calibration, best_temperature, rows_of, with_calibration
from infrastructure.simulator import ModelSpec, SimulatorSettings
from infrastructure.storage.profiles import FormatRecord, Profile
from tests.cli.conftest import Corral, refused, serve

NOW = datetime(2026, 1, 2, tzinfo=UTC)
RIGHT = Verdict(readable=True, applied=True, right=True)
WRONG = Verdict(readable=True, applied=True, why="wrong")
MISFIT = Verdict(readable=True, why="it does not fit")
UNREADABLE = Verdict(why="no fenced block")


def answers(form: str, temperature: float, *verdicts: Verdict) -> list[Answered]:
    return [Answered(f"t{number}", form, temperature, verdict) for number, verdict in enumerate(verdicts)]


def test_answers_are_counted_by_form_and_temperature() -> None:
    rows = rows_of([*answers("whole", 0.7, RIGHT), *answers("whole", 0.2, RIGHT, WRONG, MISFIT, UNREADABLE, WRONG)])
    assert [(row.temperature, row.asked, row.readable, row.applied, row.right) for row in rows] == [
        (0.2, 5, 4, 3, 1),
        (0.7, 1, 1, 1, 1),
    ]
    assert rows[0].why == ("wrong", "it does not fit", "no fenced block")


@pytest.mark.parametrize(
    ("low", "high", "best"),
    [
        ([RIGHT] * 5, [RIGHT] * 5, 0.2),
        ([WRONG] * 5, [RIGHT] * 5, 0.7),
        ([RIGHT] * 9 + [WRONG], [RIGHT] * 10, 0.2),
        ([WRONG] * 5, [RIGHT] * 4, 0.2),
        ([RIGHT] * 4, [RIGHT] * 4, None),
        ([], [], None),
    ],
)
def test_the_lower_temperature_is_taken_unless_the_other_is_clearly_better(
    low: list[Verdict], high: list[Verdict], best: float | None
) -> None:
    assert best_temperature([*answers("whole", 0.2, *low), *answers("whole", 0.7, *high)]) == best


def test_what_was_not_found_and_what_runs_saw_stays_in_the_profile() -> None:
    known = Profile(
        model="m", digest="d", window=8192, temperature=0.7, at_once={"other": 4, "gpu": 1},
        formats={"whole": FormatRecord(asked=9, right=9, well=3, malformed=1), "function": FormatRecord(asked=2)},
    )  # fmt: skip
    found = Calibration(
        server="gpu", model="m", digest="d", rows=rows_of(answers("whole", 0.2, RIGHT, MISFIT)), planned=42,
        temperature=None, window=None, at_once=2, advice="", seconds=1.0,
    )  # fmt: skip
    kept = with_calibration(known, found, NOW)
    assert kept.formats["whole"] == FormatRecord(asked=2, readable=2, applied=1, right=1, well=3, malformed=1)
    assert kept.formats["function"] == FormatRecord(asked=2)
    assert (kept.window, kept.temperature, kept.at_once) == (8192, 0.7, {"other": 4, "gpu": 2})
    assert kept.checked == NOW


@pytest.fixture(scope="module")
def clumsy() -> Iterator[str]:
    """A server whose oracle writes no usable block, and a model that says the same whatever is asked."""
    oracle = ModelSpec(name="oracle", brain="oracle")
    mumbler = ModelSpec(name="mumbler", text="I would rather not.")
    yield from serve(
        SimulatorSettings(
            models=(oracle, mumbler), time_scale=0, num_ctx=8192, num_parallel=2, malformed={"search_replace": 1.0}
        )
    )


def test_a_check_finds_the_form_that_a_model_writes_badly_and_keeps_it(corral: Corral, clumsy: str) -> None:
    corral.server = clumsy
    done = corral("models", "check", "oracle")
    assert done.code == 0, done.err
    assert f"asking for {6 * len(EDIT_TRIALS)} small edits" in done.err
    table = {tuple(line.split()[:2]): line.split()[2:] for line in done.out.splitlines() if " 0." in line}
    count = str(len(EDIT_TRIALS))
    assert table["whole", "0.2"] == table["function", "0.7"] == [count] * 4
    assert table["search_replace", "0.2"] == [count, "0", "0", "0"]
    assert "window: 8,192 tokens read whole; temperature: 0.2" in done.out
    told = corral("models", "check", "--show", "oracle", "--json").document
    (profile,) = told["profiles"]
    assert profile["formats"]["search_replace"]["asked"] == 2 * len(EDIT_TRIALS)
    assert profile["formats"]["search_replace"]["applied"] == 0
    assert next(iter(profile["at_once"].values())) >= 1
    assert "profile of oracle:latest" in corral("models", "check", "oracle", "--show").out
    lines = corral("models").out.splitlines()
    assert [line.split()[-3] for line in lines if line.startswith("oracle")] == ["yes"]
    listed = {model["name"]: model["profile"] for model in corral("models", "--json").document}
    assert listed == {"oracle:latest": True, "mumbler:latest": False}


def test_a_check_tells_programs_what_it_found_and_kept(corral: Corral, clumsy: str) -> None:
    corral.server = clumsy
    told = corral("models", "check", "mumbler", "--json", "--quiet").document
    assert told["ok"]
    assert {row["readable"] for row in told["calibration"]["rows"]} == {0}
    assert told["profile"]["formats"]["whole"] == {
        "asked": 2 * len(EDIT_TRIALS), "readable": 0, "applied": 0, "right": 0, "well": 0, "malformed": 0,
    }  # fmt: skip


def test_without_minutes_only_the_one_short_thing_is_asked(corral: Corral, clumsy: str) -> None:
    corral.server = clumsy
    done = corral("models", "check", "oracle", "--minutes", "0")
    assert (done.code, "small edits" in done.out + done.err) == (0, False)
    assert corral("models", "check", "oracle", "--minutes", "0", "--json").document["profile"] is None
    refused(corral("models", "check", "--show", "oracle"), 2, "there is no profile of oracle:latest")
    refused(corral("models", "check", "oracle", "--minutes", "-1"), 2, "--minutes: -1 is not between 0 and 120")


def test_where_the_time_is_up_what_has_come_counts(corral: Corral) -> None:
    """An answer of this model takes longer than the whole check may."""
    slow = SimulatorSettings(
        models=(ModelSpec(name="slow", pieces=("a", " b"), loop_to=0),), decode_tokens_per_second=60, load_seconds=0
    )
    for url in serve(slow):
        corral.server = url
        done = corral("models", "check", "slow", "--minutes", "0.01")
        assert done.code == 0
        assert "--minutes gives more" in done.err
        assert "the time is up; what has come counts" in done.err


def test_a_profile_that_cannot_be_believed_is_told(corral: Corral) -> None:
    folder = corral.data / "profiles"
    folder.mkdir(parents=True)
    (folder / "strange.json").write_text('{"form": 9}')
    done = corral("models")
    assert done.code == 0
    assert "warning: the profile strange.json is ignored: another version of Corral wrote it" in done.err
