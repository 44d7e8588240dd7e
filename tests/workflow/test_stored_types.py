"""What a checkpoint holds comes back as what it was, at every step, and LangGraph warns of nothing."""

from __future__ import annotations

import dataclasses
import logging
import typing
from collections.abc import Mapping

import pytest
from langgraph.checkpoint.serde.types import TASKS
from langgraph.types import Command, Send
from pydantic import BaseModel
from typing_extensions import is_typeddict

from infrastructure.checkpoints import open_checkpointer
from infrastructure.events.catalogue import ApprovalAsked
from infrastructure.storage.blobs import MemoryBlobs
from infrastructure.workflow.graph import compile_codegen_graph
from infrastructure.workflow.state import CandidateState, CodegenState
from infrastructure.workflow.values import STORED_TYPES, Candidate, CandidateStart, FileRef, Written
from tests.workflow.scenario import RIGHT, STUB, WRONG, Scenario, code, plan, review, scripted

TESTS = (
    "import unittest\nfrom calc import add\n\n"
    "class T(unittest.TestCase):\n    def test_add(self):\n        self.assertEqual(add(1, 2), 3)\n"
)
PLAIN = (str, int, float, bool, type(None))


def strangers(value: object, path: str) -> list[str]:
    """Where a value holds a type that is not ours to store; a dict can be what is left of one."""
    if isinstance(value, PLAIN) and type(value) in PLAIN:
        return []
    if isinstance(value, list | tuple):
        return [found for number, each in enumerate(value) for found in strangers(each, f"{path}[{number}]")]
    if type(value) not in STORED_TYPES:
        return [f"{path}: {type(value).__name__}"]
    if isinstance(value, BaseModel):
        return []
    if dataclasses.is_dataclass(value):
        return [
            found
            for field in dataclasses.fields(value)
            for found in strangers(getattr(value, field.name), f"{path}.{field.name}")
        ]
    return []


def declared(hint: object) -> set[type]:
    """The classes of ours that a type hint can hold."""
    if isinstance(hint, type) and hint.__module__.startswith(("agents.", "infrastructure.")) and not is_typeddict(hint):
        inner = typing.get_type_hints(hint) if dataclasses.is_dataclass(hint) else {}
        return {hint}.union(*(declared(each) for each in inner.values()))
    return set[type]().union(*(declared(each) for each in typing.get_args(hint)))


def test_list_of_stored_types_is_what_the_states_and_the_send_can_hold() -> None:
    hints = [
        *typing.get_type_hints(CodegenState).values(),
        *typing.get_type_hints(CandidateState).values(),
        CandidateStart,
    ]
    assert set[type]().union(*(declared(hint) for hint in hints)) == set(STORED_TYPES)


@pytest.fixture
def said(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.WARNING)
    return caplog


async def test_state_and_payload_come_back_as_themselves_at_every_step(tmp_path, said, sandbox):
    """Two rounds, a repair, written tests, a review that objects and both gates: every key of the state is there."""
    source = scripted(
        coder=[code(WRONG), code(RIGHT), code(RIGHT + "# more\n")],
        tester=lambda _: code(TESTS, "test_of_plan.py"),
        reviewer=[review("no comment")],
        planner=lambda _: plan(),
    )
    path = tmp_path / "checkpoints.db"
    async with open_checkpointer(path, STORED_TYPES) as saver:
        scenario = Scenario(
            folder=tmp_path, source=source, sandbox=sandbox, test_command="",
            files={"calc.py": STUB, "test_calc.py": TESTS}, graph=compile_codegen_graph(checkpointer=saver),
        )  # fmt: skip
        await scenario.run(approve=("plan", "patch"), at_once=2)
        yes = Command(resume={"approved": True})
        await scenario.run(yes)
        await scenario.run(yes)
        end = await scenario.run(yes)
        assert end["status"] == "done"
    seen: dict[str, set[str]] = {}
    async with open_checkpointer(path, STORED_TYPES) as saver:
        checkpoints = [each async for each in saver.alist(scenario.config)]
        namespaces = {
            row[0] for row in await saver.conn.execute_fetchall("SELECT DISTINCT checkpoint_ns FROM checkpoints")
        }
        for namespace in namespaces - {""}:
            inner = {"configurable": {"thread_id": "run-1", "checkpoint_ns": namespace}}
            checkpoints += [each async for each in saver.alist(inner)]
    wrong: list[str] = []
    for each in checkpoints:
        for key, value in each.checkpoint["channel_values"].items():
            if key in CodegenState.__annotations__ or key in CandidateState.__annotations__:
                seen.setdefault(key, set()).add(type(value).__name__)
                wrong += strangers(value, key)
            wrong += [] if key != TASKS else [f for send in value for f in strangers(send.arg, "payload")]
        wrong += [found for _, key, value in each.pending_writes or () for found in written(key, value)]
    assert wrong == []
    assert len(checkpoints) > 20
    missing = (set(CodegenState.__annotations__) | set(CandidateState.__annotations__)) - set(seen)
    assert missing <= {
        "answer",
        "declined",
        "spent",
        "tests",
        "test_command",
        "examined",
        "split",
        "ruling",
        "unseen",
    }, "keys that this run does not reach"
    assert [record.getMessage() for record in said.records] == []


async def test_question_about_split_candidates_is_answered_in_another_process(tmp_path, said, sandbox):
    """Its gate closes with the process; what the candidates do, and the answer, come back from the disk."""
    by_number = [code(RIGHT), code(RIGHT.replace("a + b", "a or b"))]
    calls = '{"file": "calc.py", "calls": ["add(0, 2)", "add(1, 2)"]}'
    source = scripted(coder=by_number, examiner=lambda _: calls)
    path, blobs = tmp_path / "checkpoints.db", MemoryBlobs()
    for given in (None, Command(resume={"approved": True, "reason": "3"})):
        async with open_checkpointer(path, STORED_TYPES) as saver:
            scenario = Scenario(
                folder=tmp_path, source=source, sandbox=sandbox, test_command="", files={"calc.py": STUB},
                graph=compile_codegen_graph(checkpointer=saver), may_ask=True, blobs=blobs,
            )  # fmt: skip
            end = await scenario.run(given, candidates=2, rounds=1)
            wrong = [found for key, value in end.items() if not key.startswith("__") for found in strangers(value, key)]
            assert wrong == []
    assert scenario.of(ApprovalAsked)[0].answers in {("3", "1"), ("1", "3")}
    assert (end["status"], end["ruling"].answer, "a + b" in await scenario.patch(end)) == ("unverified", "3", True)
    assert [record.getMessage() for record in said.records] == []


def written(key: str, value: object) -> list[str]:
    if isinstance(value, Send):
        return strangers(value.arg, f"send to {value.node}")
    if key.startswith(("__", "branch:")):
        return []
    return strangers(value, f"write of {key}")


async def test_send_comes_back_with_its_payload(tmp_path, said):
    """A payload's own type, and those within, are only in the list: the state's schema does not name it."""
    source = scripted()
    async with open_checkpointer(tmp_path / "c.db", STORED_TYPES) as saver:
        scenario = Scenario(folder=tmp_path, source=source, graph=compile_codegen_graph(checkpointer=saver))
        await scenario.run(candidates=2)
    async with open_checkpointer(tmp_path / "c.db", STORED_TYPES) as saver:
        starts = [
            send.arg
            for each in [each async for each in saver.alist(scenario.config)]
            for send in each.checkpoint["channel_values"].get(TASKS, ())
        ]
    assert sorted(start.number for start in starts) == [1, 2]
    assert all(isinstance(start, CandidateStart) for start in starts)
    assert said.records == []


async def test_type_that_is_not_in_the_list_is_noticed_here(tmp_path, said):
    """The test above can fail: without one type of the list, its values come back as plain data."""
    fewer = tuple(kind for kind in STORED_TYPES if kind is not Candidate)
    async with open_checkpointer(tmp_path / "c.db", fewer) as saver:
        scenario = Scenario(folder=tmp_path, source=scripted(), graph=compile_codegen_graph(checkpointer=saver))
        end: Mapping[str, object] = await scenario.run()
    assert strangers(end["tried"], "tried") != []
    assert said.records != []


def test_strangers_are_found_at_any_depth():
    assert strangers([Written(round=1, files=(FileRef("a", None),), plan="", report="")], "x") == []
    assert strangers([Written(round=1, files=({"path": "a"},), plan="", report="")], "x") == ["x[0].files[0]: dict"]
