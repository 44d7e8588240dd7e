"""The graph in a program of somebody's own: threads with several inputs, names of runs, gates, loops and pools."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.types import Command

from infrastructure.checkpoints import open_checkpointer
from infrastructure.config.settings import BudgetSettings, ServerSettings, Settings
from infrastructure.connection_pool import close_ollama_pool, configure_ollama_pool
from infrastructure.simulator import ModelSpec
from infrastructure.storage.blobs import MemoryBlobs
from infrastructure.workflow.budget import Stopwatch
from infrastructure.workflow.given import BadInput
from infrastructure.workflow.graph import CodegenGraph, compile_codegen_graph
from infrastructure.workflow.nodes.gates import FORM
from infrastructure.workflow.ports import ModelSource
from infrastructure.workflow.scopes import Scopes
from infrastructure.workflow.scripted import ScriptedSource
from infrastructure.workflow.standalone import build_codegen_graph
from infrastructure.workflow.values import STORED_TYPES
from tests.chat_model.clerk import clerk
from tests.workflow.scenario import CHECK, RIGHT, TASK, WRONG, Checked, Moment, code, intent, repository, scripted

OTHER = RIGHT + "\n\nTWO = 2\n"
THREAD = {"configurable": {"thread_id": "1"}}
KEPT: list[object] = []
"""What lives as long as the tests: a temporary folder goes when its graph is collected, which blocks."""


class Embedded:
    """A graph over scripts, and what it stands on."""

    def __init__(
        self,
        folder: Path,
        source: ModelSource | None = None,
        saver: BaseCheckpointSaver | None = None,
        blobs: MemoryBlobs | None = None,
        **budget: float,
    ) -> None:
        KEPT.append(self)
        self.source, self.clock, self.blobs = source or scripted(), Moment(), blobs or MemoryBlobs()
        self.scopes = Scopes(
            self._answering, self._sandbox, budget=BudgetSettings(**budget), blobs=self.blobs, clock=self.clock
        )
        self.graph: CodegenGraph = compile_codegen_graph(self.scopes, saver or InMemorySaver())
        self.given = {"task": TASK, "repo": str(repository(folder)), "test_command": CHECK}

    async def _answering(self) -> ModelSource:
        return self.source

    async def _sandbox(self) -> Checked:
        return Checked()

    async def run(self, given: object = None, /, thread: str = "1", **more: object):
        given = {**self.given, **more} if given is None else given
        return await self.graph.ainvoke(given, {"configurable": {"thread_id": thread}})

    async def values(self, thread: str = "1"):
        return (await self.graph.aget_state({"configurable": {"thread_id": thread}})).values


# ------------------------------------------------------------------------ a second input on a thread


@pytest.fixture(params=["memory", "file"])
async def saver(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[BaseCheckpointSaver]:
    if request.param == "memory":
        yield InMemorySaver()
        return
    async with open_checkpointer(tmp_path / "checkpoints.db", STORED_TYPES) as opened:
        yield opened


async def test_second_input_on_a_thread_is_a_run_of_its_own(tmp_path, saver):
    ours = Embedded(tmp_path / "repo", scripted(coder=[code(RIGHT), code(OTHER)]), saver)
    first = await ours.run()
    before = await ours.values()
    (tmp_path / "repo" / "new.py").write_text("NEW = 1\n")
    second = await ours.run({"task": "Also name two."})
    after = await ours.values()
    assert (first["status"], second["status"]) == ("done", "done")
    assert "+TWO = 2" in (await ours.blobs.get(second["patch"])).decode()
    assert "+TWO = 2" not in (await ours.blobs.get(first["patch"])).decode()
    assert after["run"] != before["run"]
    assert (after["round"], [each.number for each in after["tried"]]) == (1, [1])
    assert "new.py" in ours.source.asked("intent")[-1].messages[-1].content, "the snapshot is of now"
    assert [len(ours.source.asked(role)) for role in ("planner", "coder", "reviewer")] == [2, 2, 2]


async def test_answer_in_words_is_gone_in_the_next_run_of_its_thread(tmp_path):
    ours = Embedded(tmp_path, scripted(intent=[intent("question"), intent()]))
    assert (await ours.run())["answer"]
    second = await ours.run()
    assert set(second) == {"status", "judge", "reason", "patch", "files"}


async def test_budget_that_one_run_spent_is_not_spent_for_the_next(tmp_path):
    ours = Embedded(tmp_path, scripted(coder=[code(WRONG), code(RIGHT)]), calls=5)
    assert (await ours.run())["status"] == "budget"
    assert (await ours.run())["status"] == "done"


async def test_input_for_a_thread_that_waits_for_a_person_begins_anew_and_keeps_what_it_does_not_say(tmp_path):
    ours = Embedded(tmp_path)
    await ours.run(approve=["plan"])
    again = await ours.run({"task": "Something else"})
    assert again["__interrupt__"][0].value["approval"] == "plan:1"
    assert (await ours.values())["task"] == "Something else"
    assert (await ours.run({"task": TASK, "approve": []}))["status"] == "done"


async def test_no_to_one_run_is_no_no_to_the_next(tmp_path):
    ours = Embedded(tmp_path)
    await ours.run(approve=["plan"])
    assert (await ours.run(Command(resume=False)))["status"] == "cancelled"
    assert (await ours.run(approve=[]))["status"] == "done"


async def test_first_run_of_a_thread_takes_nothing_out_of_its_state(tmp_path):
    ours = Embedded(tmp_path)
    updates = [each async for each in ours.graph.astream(ours.given, THREAD)]
    assert set(updates[0]["take_snapshot"]) == {"run", "repo", "candidates", "repairs", "rounds", "approve"}


# ------------------------------------------------------------------------------------ a run's name


@pytest.mark.parametrize("form", ["{victim}", "../../{victim}", "a/../../b", "..", "/", "."])
async def test_name_of_a_run_is_never_a_path(tmp_path, monkeypatch, form):
    victim = tmp_path / "victim"
    (victim / "base").mkdir(parents=True)
    (victim / "base" / "precious.txt").write_text("x")
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    name = form.format(victim=victim)
    ours = Embedded(tmp_path / "repo")
    assert (await ours.run(run=name))["status"] == "done"
    assert (await ours.values())["run"] == name
    assert (victim / "base" / "precious.txt").read_text() == "x"
    assert sorted(each.name for each in tmp_path.iterdir()) == ["repo", "temporary", "victim"]
    assert len(list(temporary.iterdir())) == 1


async def test_name_that_another_run_has_is_not_taken_from_it(tmp_path):
    ours = Embedded(tmp_path / "repo")
    await ours.run(run="nightly", approve=["plan"])
    other = repository(tmp_path / "other", {"calc.py": "def add(a, b):\n    raise ValueError\n"})
    assert (await ours.run(thread="2", run="nightly", repo=str(other)))["status"] == "done"
    assert (await ours.values("1"))["run"] == "nightly"
    assert (await ours.values("2"))["run"] != "nightly"
    assert (await ours.run(Command(resume=True)))["status"] == "done"
    patch = (await ours.blobs.get((await ours.values("1"))["patch"])).decode()
    assert "-    raise NotImplementedError" in patch


async def test_name_of_a_run_that_could_not_begin_is_free_for_the_next_try(tmp_path):
    ours = Embedded(tmp_path / "repo")
    with pytest.raises(Exception, match="is not a folder"):
        await ours.run(run="nightly", repo=str(tmp_path / "nowhere"))
    await ours.run({"task": TASK, "repo": str(tmp_path / "repo")})
    assert (await ours.values())["run"] == "nightly"


# ------------------------------------------------------------------------------------------ inputs


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"candidates": 0}, "candidates=0: Input should be greater than or equal to 1, or: Input should be 'auto'"),
        ({"candidates": -3}, "candidates=-3"),
        ({"candidates": "many"}, "candidates='many'"),
        ({"repairs": -1}, "repairs=-1"),
        ({"rounds": 0}, "rounds=0"),
        ({"approve": ["plan", "deploy"]}, "Input should be 'plan' or 'patch'"),
        ({"approve": "plan"}, "approve='plan': Input should be a valid list"),
        ({"tests": "test_a.py"}, "tests='test_a.py': Input should be a valid list"),
        ({"task": ""}, "task='': Value error, it is empty"),
        ({"task": 3, "at_once": -1}, "task=3: Input should be an instance of str; at_once=-1"),
    ],
)
async def test_input_of_no_use_is_refused_by_its_name_before_anything_is_done(tmp_path, given, said):
    ours = Embedded(tmp_path)
    with pytest.raises(BadInput) as refused:
        await ours.run(**given)
    assert said in str(refused.value)
    assert ours.source.calls == []
    good = {
        name: {"task": TASK, "candidates": "auto", "at_once": 0, "repairs": 0, "rounds": 1}.get(name, [])
        for name in given
    }
    assert (await ours.run(**good))["status"] == "done", "the thread is not lost"


@pytest.mark.parametrize("given", [{"candidates": None, "tests": None}, {"repo": None}, {"run": None}])
async def test_none_is_as_if_it_had_not_been_said(tmp_path, monkeypatch, given):
    ours = Embedded(tmp_path)
    monkeypatch.chdir(tmp_path)
    assert (await ours.run(**given))["status"] == "done"


# ------------------------------------------------------------------------------------------- gates


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        (True, "done"),
        (False, "cancelled"),
        ({"approved": True}, "done"),
        ({"approved": False, "reason": "not so"}, "cancelled"),
    ],
)
async def test_gate_takes_a_bare_yes_or_no(tmp_path, answer, status):
    ours = Embedded(tmp_path)
    asked = (await ours.run(approve=["patch"]))["__interrupt__"][0].value
    assert set(asked) == {"approval", "gate", "question", "answers"}
    assert (await ours.run(Command(resume=answer)))["status"] == status


@pytest.mark.parametrize("wrong", ["yes", {"aproved": True}, {"approved": "perhaps"}, [True], 1, ""])
async def test_answer_that_is_none_is_asked_for_again_and_the_thread_goes_on(tmp_path, wrong):
    ours = Embedded(tmp_path)
    asked = (await ours.run(approve=["plan"]))["__interrupt__"][0].value
    for _ in range(2):
        again = (await ours.run(Command(resume=wrong)))["__interrupt__"][0].value
        assert again == {**asked, "problem": again["problem"]}
        assert FORM in again["problem"]
    assert (await ours.run(Command(resume={"approved": True})))["status"] == "done"


async def test_patch_that_waits_can_be_answered_by_another_graph_over_the_same_checkpoints_and_blobs(tmp_path):
    ours = Embedded(tmp_path)
    await ours.run(approve=["patch"])
    other = Embedded(tmp_path, saver=ours.graph.checkpointer, blobs=ours.blobs)
    end = await other.run(Command(resume=True))
    assert (end["status"], "+    return a + b" in (await ours.blobs.get(end["patch"])).decode()) == ("done", True)


async def test_time_in_which_a_person_thinks_spends_no_budget(tmp_path):
    ours = Embedded(tmp_path, seconds=10)
    await ours.run(approve=["plan", "patch"])
    for _ in range(2):
        ours.clock.now += 3600
        end = await ours.run(Command(resume=True))
    assert end["status"] == "done"


async def test_time_in_which_a_step_works_spends_it(tmp_path):
    ours = Embedded(tmp_path, seconds=10)

    def plan_slowly(_: object) -> str:
        ours.clock.now += 6
        return code(WRONG)

    ours.source = scripted(coder=plan_slowly)
    end = await ours.run()
    assert (end["status"], len(ours.source.asked("coder"))) == ("budget", 2)


def test_stopwatch_counts_overlapping_steps_once():
    clock = Moment()
    worked = Stopwatch(clock)
    with worked.at_work():
        clock.now += 1
        with worked.at_work():
            clock.now += 1
        assert worked() == 2
        clock.now += 1
    clock.now += 100
    assert worked() == 3


def test_stopwatch_stands_still_after_a_step_that_failed():
    clock = Moment()
    worked = Stopwatch(clock)

    def fail() -> None:
        with worked.at_work():
            clock.now += 1
            raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        fail()
    clock.now += 100
    assert worked() == 1


# --------------------------------------------------------------------------------- loops and pools


@pytest.fixture
def process() -> Iterator[None]:
    with clerk((ModelSpec(name="words", text=intent()),)) as server:
        configure_ollama_pool(Settings(servers=(ServerSettings(url=server.url),)))
        yield
        asyncio.run(close_ollama_pool())
        configure_ollama_pool(None)


def test_pool_of_the_process_may_be_closed_between_two_runs_and_between_two_loops(process, tmp_path):
    graph = build_codegen_graph(sandbox="none", budget=BudgetSettings(calls=1))
    KEPT.append(graph)
    given = {"task": "Why?", "repo": str(repository(tmp_path))}

    async def twice() -> list[str]:
        ended: list[str] = []
        for _ in range(2):
            ended.append((await graph.ainvoke(given))["status"])
            await close_ollama_pool()
        return ended

    assert asyncio.run(twice()) + asyncio.run(twice()) == ["budget"] * 4, "each time the first call was answered"


def test_run_goes_on_in_the_next_loop_with_a_pool_and_a_sandbox_of_that_one(tmp_path):
    ours = Embedded(tmp_path)

    async def scope(run: str):
        return await ours.scopes.of(run) if run else await ours.scopes.begin()

    begun = asyncio.run(scope(""))
    ours.source = ScriptedSource({})
    later = asyncio.run(scope(begun.run))
    assert later.source is ours.source is not begun.source
    assert later.sandbox is not begun.sandbox
    assert later.mapper is not begun.mapper
    assert (later.trees, later.budget, later.race) == (begun.trees, begun.budget, begun.race)


async def test_runs_of_one_loop_share_a_sandbox_although_they_begin_at_once(tmp_path):
    ours = Embedded(tmp_path)
    begun = await asyncio.gather(*(ours.scopes.begin("same") for _ in range(3)))
    assert len({id(each.sandbox) for each in begun}) == 1
    assert len({each.run for each in begun}) == len({each.trees for each in begun}) == 3
