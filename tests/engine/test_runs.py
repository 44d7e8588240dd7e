"""How a run ends, through every part there is: engine, graph, pool, wire, sandbox, disk."""

from __future__ import annotations

import asyncio

import pytest

from infrastructure.config.settings import BudgetSettings
from infrastructure.events.catalogue import CallCompleted, RunFinished
from infrastructure.events.catalogue import TestsRan as Ran
from infrastructure.running.errors import RunIsOver, TaskRefused
from infrastructure.simulator import Break
from infrastructure.storage.runs import RunState
from infrastructure.tasks import TaskSpec
from infrastructure.workspace.errors import NotADirectory
from tests.engine.world import QUESTION, STUB, TASK, simulator, task, world


async def test_right_answer_is_done_with_patch_tests_and_counts(tmp_path):
    async with world(tmp_path) as ours:
        result = await ours.run()
        assert (result.status, result.judge, result.exit_code, result.error) == ("done", "found", 0, None)
        assert result.files == ("calc.py",)
        assert "+    return a + b" in result.patch
        assert (result.tests.passed, result.tests.failed, result.attempts, result.candidates) == (1, 0, 1, 1)
        assert result.model_calls == ours.simulators[0].truth.requests[-1].number + 1
        assert result.prompt_tokens > 0
        assert result.completion_tokens > 0
        assert result.simulated
        record = await ours.record(result.run)
        assert (record.state, record.status, record.execution) == (RunState.FINISHED, "done", 1)
        assert (ours.repo / "calc.py").read_text() == STUB


async def test_red_answer_is_repaired(tmp_path):
    async with world(tmp_path, simulator(tmp_path, first_time_right=0.0)) as ours:
        result = await ours.run()
        assert (result.status, result.attempts) == ("done", 2)
        red = [len(event.failing) for event in ours.events(Ran) if event.suite == "judge"]
        assert red == [1, 1, 0]


async def test_answer_that_stays_wrong_is_failed_with_its_best_patch(tmp_path):
    server = simulator(tmp_path, task(always_broken=True))
    async with world(tmp_path, server, repairs=1, rounds=2) as ours:
        result = await ours.run()
        assert (result.status, result.exit_code, result.candidates) == ("failed", 1, 2)
        assert "+    return a - b" in result.patch
        assert result.tests.failed == 1
        assert result.reason
        assert [(each.test, each.says) for each in result.red] == [
            ("test_calc.py::T::test_add", "AssertionError: -1 != 3"),
            ("test_of_plan.py::T::test_add", "AssertionError: -1 != 3"),
        ]
        (finished,) = ours.events(RunFinished)
        assert (finished.red, finished.red_total) == (result.red, 2)


async def test_run_in_which_no_patch_was_tried_names_what_was_red_before(tmp_path):
    server = simulator(tmp_path, task(always_broken=True, **{"break": Break.GARBAGE}))
    async with world(tmp_path, server, repairs=0, rounds=1) as ours:
        result = await ours.run()
        assert (result.status, result.patch) == ("failed", "")
        assert [each.test for each in result.red] == ["test_calc.py::T::test_add"]
        assert result.red[0].says.startswith("NotImplementedError")


async def test_result_names_twenty_red_tests_and_says_how_many_there_are(tmp_path):
    one = "    def test_{0:02}(self):\n        self.assertEqual(add(1, {0}), 1 + {0})\n"
    tests = "".join(one.format(number) for number in range(1, 31))
    async with world(tmp_path, simulator(tmp_path, task(always_broken=True)), repairs=0, rounds=1) as ours:
        head = "import unittest\nfrom calc import add\n\n\nclass T(unittest.TestCase):\n"
        (ours.repo / "test_calc.py").write_text(head + tests)
        result = await ours.run()
        assert (len(result.red), result.red_total) == (20, 31)
        assert result.red[0].test.endswith("test_01")


async def test_run_that_is_done_names_nothing_red_and_the_time_of_its_servers(tmp_path):
    async with world(tmp_path, simulator(tmp_path, first_time_right=0.0)) as ours:
        result = await ours.run()
        assert (result.status, result.red, result.red_total) == ("done", (), 0)
        spent = [call.load_seconds + call.prompt_seconds + call.decode_seconds for call in ours.events(CallCompleted)]
        assert result.gpu_seconds == pytest.approx(sum(spent), abs=0.001)


@pytest.mark.parametrize("way", [each for each in Break if each is not Break.WRONG])
async def test_every_way_to_answer_wrongly_is_failed_with_a_reason_and_no_error(tmp_path, way):
    server = simulator(tmp_path, task(always_broken=True, **{"break": way}))
    async with world(tmp_path, server, repairs=0, rounds=1) as ours:
        result = await ours.run()
        if way is Break.HALF_FENCE:
            assert result.status in ("failed", "done"), "a last block without its end may be whole all the same"
        else:
            assert (result.status, result.exit_code) == ("failed", 1)
        assert result.error is None
        assert result.reason
        assert (ours.repo / "calc.py").read_text() == STUB


@pytest.mark.parametrize("way", [Break.GARBAGE, Break.NOTHING, Break.PATH_ESCAPE, Break.SYNTAX])
async def test_useless_first_answer_does_not_end_the_run(tmp_path, way):
    server = simulator(tmp_path, task(**{"break": way}), first_time_right=0.0)
    async with world(tmp_path, server, repairs=2, rounds=2) as ours:
        result = await ours.run()
        assert result.error is None
        assert result.status in ("done", "failed")
        assert result.reason


async def test_question_is_answered(tmp_path):
    async with world(tmp_path) as ours:
        result = await ours.run(QUESTION)
        assert (result.status, result.exit_code, result.answer, result.patch) == ("done", 0, "A stub of add.", "")


@pytest.mark.parametrize("calls", [1, 3, 5])
async def test_spent_budget_exits_with_four_and_keeps_the_best(tmp_path, calls):
    server = simulator(tmp_path, first_time_right=0.0)
    async with world(tmp_path, server) as ours:
        result = await ours.run(budget=BudgetSettings(calls=calls))
        assert (result.status, result.exit_code, result.model_calls) == ("budget", 4, calls)
        assert bool(result.patch) is (calls >= 4)
        assert ours.kinds().count("run.budget_spent") == 1
        written = ("test_of_plan.py::T::test_add",) if calls >= 4 else ()
        assert tuple(each.test for each in result.red) == ("test_calc.py::T::test_add", *written)


async def test_several_candidates_race_and_one_wins(tmp_path):
    async with world(tmp_path) as ours:
        result = await ours.run(candidates=3)
        assert (result.status, result.candidates) == ("done", 3)


async def test_tasks_side_by_side_have_results_in_the_order_of_the_tasks(tmp_path):
    async with world(tmp_path) as ours:
        specs = [TaskSpec(task=text, repo=ours.repo) for text in (TASK, QUESTION, TASK)]
        results = await ours.engine.execute_parallel(specs)
        assert [bool(result.answer) for result in results] == [False, True, False]
        assert all(result.status == "done" for result in results)
        assert ours.engine.manage_resources().live == ()


# ------------------------------------------------------------------------------------ not taken at all


async def test_task_that_cannot_be_taken_starts_nothing(tmp_path):
    async with world(tmp_path) as ours:
        with pytest.raises(TaskRefused, match="empty"):
            await ours.start("  \n")
        with pytest.raises(TaskRefused, match="no test file"):
            await ours.start(tests=(tmp_path / "nowhere.py",))
        with pytest.raises(TaskRefused, match="cannot be read"):
            await ours.start(test_command="echo 'open")
        with pytest.raises(TaskRefused, match="bytes long"):
            await ours.start("x" * (70 << 10))
        assert await ours.app.runs.list() == ()
        ours.repo = tmp_path / "nowhere"
        with pytest.raises(NotADirectory):
            await ours.start()


@pytest.mark.parametrize(
    ("more", "what"),
    [
        ({"repo": "caf\udce9"}, "the path of the folder"),
        ({"tests": ("caf\udce9.py",)}, "the path of the test file"),
        ({"test_command": "run \udce9"}, "the test command"),
        ({"model": "\udce9"}, "the model"),
    ],
)
async def test_name_that_is_not_utf8_is_refused_in_words(tmp_path, more, what):
    """The system allows any bytes; Python shows those that are no text as halves of characters."""
    async with world(tmp_path) as ours:
        for name in (more.get("repo"), *more.get("tests", ())):
            if name:
                await asyncio.to_thread((tmp_path / name).mkdir)
        told = {key: tmp_path / value if key == "repo" else value for key, value in more.items()}
        spec = TaskSpec.model_validate({"task": TASK, "repo": ours.repo, **told})
        with pytest.raises(TaskRefused, match=f"{what}.* is not UTF-8: .*udce9") as refused:
            await ours.engine.start(spec)
        assert refused.value.hint
        assert str(refused.value).isprintable()
        assert await ours.app.runs.list() == ()


async def test_test_command_that_does_not_exist_is_the_users_mistake(tmp_path):
    async with world(tmp_path) as ours:
        result = await ours.run(test_command="no-such-program --all")
        assert (result.status, result.exit_code) == ("error", 2)
        assert result.error.error_class == "TestCommandNotStarted"
        assert result.error.hint
        assert ours.kinds()[-1] == "run.finished"


async def test_server_that_always_fails_is_an_error_with_a_hint(tmp_path):
    async with world(tmp_path) as ours:
        run = await ours.start()
        await ours.simulators[0].stop()
        result = await ours.end_of(run)
        if result.status != "done":
            assert (result.status, result.exit_code) == ("error", 3)
            assert result.error.hint
        assert ours.kinds()[-1] == "run.finished"


async def test_run_that_is_over_stays_over(tmp_path):
    async with world(tmp_path) as ours:
        result = await ours.run()
        with pytest.raises(RunIsOver):
            await ours.engine.resume(result.run)
        with pytest.raises(RunIsOver):
            await ours.engine.cancel(result.run)
        await ours.engine.interrupt(result.run, "too late")
        assert await ours.engine.result(result.run) == result
        assert [stored async for stored in ours.engine.follow(result.run)] == ours.seen
