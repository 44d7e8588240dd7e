"""What a run takes from the profile of its model, what it adds to it, and that it is replayed as it began."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from agents.codegen import FormatCount
from infrastructure.events.catalogue import CandidateStarted, EditsApplied, EditsRejected
from infrastructure.events.log import Stored
from infrastructure.pool.snapshot import PoolModel
from infrastructure.replaying import play
from infrastructure.running.learning import NOTHING, counts_of, known_of
from infrastructure.running.setups import RunSetup
from infrastructure.storage.profiles import FormatRecord, Profile, Profiles
from tests.engine.world import World, simulator, world
from tests.replaying.conftest import recording_of

NOW = datetime(2026, 1, 2, tzinfo=UTC)
BAD_WHOLE = {"whole": FormatRecord(asked=7, readable=2, applied=1), "search_replace": FormatRecord(asked=7, applied=7)}


async def digest_of(ours: World) -> str:
    (model,) = await ours.app.pool.models()
    return model.digests[0]


def profiles_of(ours: World) -> Profiles:
    return Profiles(ours.app.directory.profiles)


async def know(ours: World, **known: object) -> Profile:
    """Keep a profile of the oracle."""
    digest = await digest_of(ours)
    return await profiles_of(ours).update("oracle:latest", digest, lambda each: each.model_copy(update=known))


async def learned(ours: World) -> Profile | None:
    return await profiles_of(ours).find("oracle:latest", await digest_of(ours))


async def setup_of(ours: World, run: str) -> RunSetup:
    return RunSetup.model_validate_json((await ours.app.recordings.of_run(run)).setup_json)


async def test_run_adds_what_it_saw_to_a_profile_that_is_not_there_yet(tmp_path):
    async with world(tmp_path) as ours:
        assert (await ours.run()).status == "done"
        profile = await learned(ours)
        assert profile is not None
        assert profile.formats == {"whole": FormatRecord(well=1)}
        assert profile.learned is not None
        await ours.run()
        assert (await learned(ours)).formats == {"whole": FormatRecord(well=2)}


async def test_form_that_a_model_writes_badly_is_counted_and_left_in_the_next_run(tmp_path):
    """All whole files of this oracle are unusable; the candidate's second answer comes in the other form."""
    async with world(tmp_path, simulator(tmp_path, malformed={"whole": 1.0})) as ours:
        for _ in range(5):
            assert (await ours.run()).status == "done"
            assert [each.malformed_as for each in ours.events(EditsRejected)] == ["whole"]
        assert (await learned(ours)).formats == {
            "whole": FormatRecord(malformed=5),
            "search_replace": FormatRecord(well=5),
        }
        run = await ours.start()
        await ours.end_of(run)
        assert ours.events(EditsRejected) == []
        assert [each.edit_format for each in ours.events(EditsApplied)] == ["search_replace"]
        assert (await setup_of(ours, run)).formats["whole"] == FormatCount(well=0, malformed=5)


async def test_run_with_a_profile_is_replayed_to_the_last_byte_whatever_was_learned_since(tmp_path):
    async with world(tmp_path, simulator(tmp_path, first_time_right=0.0)) as ours:
        await know(ours, formats=BAD_WHOLE, at_once={"gpu0": 2})
        run = await ours.start(candidates="auto")
        await ours.end_of(run)
        assert {each.edit_format for each in ours.events(EditsApplied)} == {"search_replace"}
        assert len(ours.events(CandidateStarted)) == 2
        await know(ours, formats={}, at_once={})
        recording = await recording_of(ours, run)
        assert (recording.setup.at_once, recording.setup.measured.share("whole")) == (2, 1 / 7)
        replayed = await play(recording)
        assert replayed.difference == ()
        assert replayed.calls == len(recording.calls)
        other = recording.setup.model_copy(update={"formats": {}})
        assert not (await play(replace(recording, setup=other))).equal, "the profile decides what is asked"


@pytest.mark.parametrize(("at_once", "tried"), [(1, 1), (3, 3), (20, 8)])
async def test_auto_tries_as_many_as_the_profile_says_and_no_more_than_eight(tmp_path, at_once, tried):
    async with world(tmp_path, simulator(tmp_path, first_time_right=0.0), repairs=0, rounds=1) as ours:
        await know(ours, at_once={"gpu0": at_once})
        await ours.run(candidates="auto")
        assert len(ours.events(CandidateStarted)) == tried


async def test_run_that_goes_on_knows_what_it_knew_when_it_began(tmp_path):
    async with world(tmp_path) as ours:
        await know(ours, formats=BAD_WHOLE)
        run = await ours.start(approve=("plan",))
        await ours.until(run, "approval.asked")
        before = await setup_of(ours, run)
        await know(ours, formats={})
        await ours.engine.answer(run, "plan:1", True)
        assert (await ours.end_of(run)).status == "done"
        assert [each.edit_format for each in ours.events(EditsApplied)] == ["search_replace"]
        assert await setup_of(ours, run) == before


async def test_settings_can_leave_profiles_alone(tmp_path):
    async with world(tmp_path, profiles=False) as ours:
        kept = await know(ours, formats=BAD_WHOLE)
        await ours.run()
        assert [each.edit_format for each in ours.events(EditsApplied)] == ["whole"]
        assert await learned(ours) == kept


@pytest.mark.parametrize("settings", [True, False])
async def test_task_can_say_otherwise_than_the_settings_of_profiles(tmp_path, settings):
    async with world(tmp_path, profiles=settings) as ours:
        kept = await know(ours, formats=BAD_WHOLE)
        await ours.run(profiles=not settings)
        assert [each.edit_format for each in ours.events(EditsApplied)] == ["whole" if settings else "search_replace"]
        assert (await learned(ours) == kept) is settings


async def test_damaged_profile_is_no_fault_of_a_runs(tmp_path, caplog):
    async with world(tmp_path) as ours:
        await know(ours)
        profiles_of(ours).path_of("oracle:latest", await digest_of(ours)).write_text('{"form": 7}')
        assert (await ours.run()).status == "done"
        assert "is ignored" in caplog.text
        assert (await learned(ours)).formats == {"whole": FormatRecord(well=1)}


def pool_model(*digests: str, servers: tuple[str, ...] = ("a", "b")) -> PoolModel:
    return PoolModel(
        name="m:latest", size=1, family="f", parameter_size="7B", quantization="Q4", capabilities=None,
        servers=servers, loaded_on=(), digests=digests,
    )  # fmt: skip


async def test_calls_at_once_of_all_servers_that_hold_the_model_count_together(tmp_path):
    profiles = Profiles(tmp_path)
    await profiles.update("m:latest", "d", lambda each: each.model_copy(update={"at_once": {"a": 2, "b": 1, "c": 9}}))
    assert (await known_of(profiles, [pool_model("d")], "M")).at_once == 3
    assert (await known_of(profiles, [pool_model("d", servers=("z",))], "m")).at_once == 0
    assert (await known_of(profiles, [pool_model("e")], "m")).digest == "e"
    assert await known_of(profiles, [pool_model("d", "e")], "m") == NOTHING, "which one answers is not known"
    assert await known_of(profiles, [], "m") == NOTHING


def stored(execution: int, event: EditsApplied | EditsRejected) -> Stored:
    return Stored(run="r", seq=execution, at=NOW, execution=execution, event=event)


def test_step_that_ran_again_counts_once_and_other_faults_say_nothing_of_the_form():
    def applied(candidate: int, attempt: int, form: str) -> EditsApplied:
        return EditsApplied(node="apply", candidate=candidate, attempt=attempt, files=(), edit_format=form)

    def rejected(candidate: int, attempt: int, form: str) -> EditsRejected:
        return EditsRejected(node="write", candidate=candidate, attempt=attempt, reason="so", malformed_as=form)

    told = [
        stored(1, rejected(1, 1, "whole")), stored(1, rejected(1, 2, "")), stored(1, applied(2, 1, "function")),
        stored(2, rejected(1, 1, "whole")), stored(2, applied(1, 2, "search_replace")), stored(2, applied(3, 1, "")),
        stored(2, applied(4, 1, "a form of later")),
    ]  # fmt: skip
    assert counts_of(told) == {"whole": (0, 1), "function": (1, 0), "search_replace": (1, 0)}
