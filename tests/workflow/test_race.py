"""The race between candidates: the first to pass makes the others lose."""

from __future__ import annotations

import asyncio

import pytest

from infrastructure.events.catalogue import CandidateEnded, Event
from infrastructure.workflow.race import NEVER_IDLE, PASSED_FIRST, Lost, Place, Race
from infrastructure.workflow.scripted import ScriptedSource
from tests.workflow.scenario import RIGHT, ROLES, WRONG, Scenario, code


class Runner:
    """Work that goes on until it is told to pass, and says when it was stopped."""

    def __init__(self) -> None:
        self.began, self.go, self.stopped = asyncio.Event(), asyncio.Event(), False

    async def work(self) -> str:
        self.began.set()
        try:
            await self.go.wait()
        except asyncio.CancelledError:
            self.stopped = True
            raise
        return "passed"


def place(number: int, round_number: int = 1, *, first: int = 1, optional: bool = False) -> Place:
    return Place(round=round_number, number=number, first=first, optional=optional)


async def test_winner_stops_the_others_of_its_round_only():
    race, runners = Race(), [Runner() for _ in range(4)]
    rounds = [1, 1, 1, 2]
    tasks = [
        asyncio.create_task(race.run(place(number, its, first=1 if its == 1 else 4), runner.work()))
        for number, (its, runner) in enumerate(zip(rounds, runners, strict=True), 1)
    ]
    for runner in runners:
        await runner.began.wait()
    runners[1].go.set()
    assert await tasks[1] == "passed"
    assert race.won(1, 2)
    assert await tasks[0] == Lost(PASSED_FIRST)
    assert await tasks[2] == Lost(PASSED_FIRST)
    assert [runner.stopped for runner in runners] == [True, False, True, False]
    runners[3].go.set()
    assert await tasks[3] == "passed"
    assert race.winner_of(1) == 2
    assert race.winner_of(2) is None


async def test_second_to_pass_is_told_that_it_lost():
    race = Race()
    assert race.won(1, 7)
    assert not race.won(1, 8)
    assert race.won(1, 7), "saying it again changes nothing"


async def test_candidate_that_comes_too_late_does_not_begin():
    race, runner = Race(), Runner()
    race.won(1, 1)
    assert await race.run(place(2), runner.work()) == Lost(PASSED_FIRST)
    assert not runner.began.is_set()


async def test_resumed_race_remembers_its_winner_who_may_run_again():
    race, late, winner = Race({1: 2}), Runner(), Runner()
    winner.go.set()
    assert await race.run(place(1), late.work()) == Lost(PASSED_FIRST)
    assert await race.run(place(2), winner.work()) == "passed"
    assert race.won(1, 2)
    assert not race.won(1, 1)


async def test_cancellation_from_outside_stops_the_work_and_goes_on_up():
    race, runner = Race(), Runner()
    task = asyncio.create_task(race.run(place(1), runner.work()))
    await runner.began.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert runner.stopped


async def test_cancellation_from_outside_of_a_loser_is_not_taken_for_its_defeat():
    race, runner = Race(), Runner()
    task = asyncio.create_task(race.run(place(1), runner.work()))
    await runner.began.wait()
    race.won(1, 2)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_error_of_a_candidate_goes_on_up():
    async def broken() -> None:
        raise LookupError("a blob is gone")

    with pytest.raises(LookupError):
        await Race().run(place(1), broken())


async def test_a_candidate_leads_when_all_before_it_have_ended_in_whatever_order():
    race, runners = Race(), [Runner() for _ in range(3)]
    tasks = [asyncio.create_task(race.run(place(number), each.work())) for number, each in enumerate(runners, 1)]
    for runner in runners:
        await runner.began.wait()
    leads = [race.leads(place(number)) for number in (1, 2, 3)]
    assert [each.is_set() for each in leads] == [True, False, False]
    runners[1].go.set()
    await tasks[1]
    assert not leads[2].is_set(), "the first one runs still"
    runners[0].go.set()
    await tasks[0]
    assert leads[2].is_set()
    runners[2].go.set()
    await tasks[2]


async def test_resumed_race_knows_who_had_ended():
    race = Race(ended={1, 2})
    assert race.leads(place(3)).is_set()
    assert not race.leads(place(5)).is_set()
    assert race.leads(place(4, 2, first=4)).is_set(), "another round has a first one of its own"


async def test_optional_candidate_that_has_found_no_slot_is_given_up_when_its_turn_comes():
    race, runners = Race(), [Runner() for _ in range(3)]
    places = [place(number, optional=True) for number in (1, 2, 3)]
    tasks = [asyncio.create_task(race.run(its, each.work())) for its, each in zip(places, runners, strict=True)]
    for runner in runners:
        await runner.began.wait()
    race.begins(places[2])
    runners[0].go.set()
    assert await tasks[0] == "passed"
    assert await tasks[1] == Lost(NEVER_IDLE)
    assert not tasks[2].done(), "it was found a slot"
    runners[2].go.set()
    assert await tasks[2] == "passed"


class Held(ScriptedSource):
    """A scripted source whose coders wait until a test lets them go, and who say when they are stopped."""

    def __init__(self, answers: list[str]) -> None:
        super().__init__(ROLES)
        self._answers = answers
        self.begun: list[int] = []
        self.all_began = asyncio.Event()
        self.go = [asyncio.Event() for _ in answers]
        self.stopped: list[int] = []

    async def ask(self, role, question, call, on_delta, watch):
        if role != "coder":
            return await super().ask(role, question, call, on_delta, watch)
        mine = len(self.begun)
        self.begun.append(mine)
        if len(self.begun) == len(self.go):
            self.all_began.set()
        try:
            await self.go[mine].wait()
        except asyncio.CancelledError:
            self.stopped.append(mine)
            raise
        self.models["coder"] = ScriptedSource({"coder": [self._answers[mine]]}).models["coder"]
        return await super().ask(role, question, call, on_delta, watch)


async def test_first_green_candidate_wins_and_the_others_model_calls_are_stopped(tmp_path):
    source = Held([code(RIGHT)] * 3)
    scenario = Scenario(folder=tmp_path, source=source)
    run = asyncio.create_task(scenario.run(candidates=3))
    await source.all_began.wait()
    source.go[1].set()
    end = await run
    assert end["status"] == "done"
    outcomes = [each.outcome for each in end["tried"]]
    assert sorted(outcomes) == ["done", "lost", "lost"]
    assert sorted(source.stopped) == [0, 2]
    assert {event.outcome for event in scenario.of(CandidateEnded)} == {"done", "lost"}
    assert end["chosen"].outcome == "done"


async def test_red_candidate_does_not_stop_the_others(tmp_path):
    source = Held([code(WRONG), code(RIGHT)])

    def then(event: Event) -> None:
        if isinstance(event, CandidateEnded):
            source.go[1].set()

    scenario = Scenario(folder=tmp_path, source=source, on_event=then)
    run = asyncio.create_task(scenario.run(candidates=2, repairs=0))
    await source.all_began.wait()
    source.go[0].set()
    end = await run
    assert sorted(each.outcome for each in end["tried"]) == ["done", "failed"]
    assert source.stopped == []


async def test_stopping_a_run_from_outside_stops_every_candidate(tmp_path):
    source = Held([code(RIGHT)] * 2)
    scenario = Scenario(folder=tmp_path, source=source)
    run = asyncio.create_task(scenario.run(candidates=2))
    await source.all_began.wait()
    run.cancel()
    with pytest.raises(asyncio.CancelledError):
        await run
    assert sorted(source.stopped) == [0, 1]
    assert not (tmp_path / "trees" / "candidate-1").exists()
