"""`kill -9` at each step in turn: another process goes on, asks nothing twice, and ends as if nothing had been."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from collections.abc import Mapping
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path

import pytest

from backend.bootstrap import open_application
from backend.readers import open_readers
from infrastructure.events.log import follow_file, read_file
from infrastructure.ids import RunId
from infrastructure.sessions.approvals import Approve
from infrastructure.simulator import Simulator
from infrastructure.storage.runs import RunState
from infrastructure.tasks import RunResult
from infrastructure.workflow.candidate import build_candidate_graph
from infrastructure.workflow.graph import compile_codegen_graph
from tests.engine.world import QUESTION, TASK, asked, paced, repository, settings_of, simulator

pytestmark = pytest.mark.slow

REPAIRED: Mapping[str, object] = {"task": TASK}
"""Wrong at first, then repaired."""
REPLANNED: Mapping[str, object] = {"task": TASK, "repairs": 0, "rounds": 2}
"""Wrong in two rounds."""
ANSWERED: Mapping[str, object] = {"task": QUESTION}
GATED: Mapping[str, object] = {"task": TASK, "approve": ["plan", "patch"], "no_input": True}
GATED_AT_THE_END: Mapping[str, object] = {"task": TASK, "approve": ["patch"], "no_input": True}
SPECS = {
    "responder": ANSWERED, "reflector": REPLANNED, "approve_plan": GATED, "approve_patch": GATED_AT_THE_END,
}  # fmt: skip
NODES = [*compile_codegen_graph().builder.nodes, *build_candidate_graph(None).builder.nodes]
GATES = ("approve_plan", "approve_patch")
ONLY_COMPARED = ("examiner", "ask_which")
"""Steps that only several candidates without a given judge come to; `test_question.py` breaks off there."""
DONE = [("node.completed", node) for node in NODES if node not in GATES + ONLY_COMPARED]
STARTED = [("node.started", node) for node in ("take_snapshot", "coder", "write", "run_tests", "deliver")]
ELSEWHERE = [
    ("work.candidate_ended", "coder"),
    ("work.tests_ran", "run_tests"),
    ("work.patch_delivered", "deliver"),
    ("node.waiting", "approve_plan"),
    ("node.waiting", "approve_patch"),
]


async def driven(folder: Path, server: Simulator, spec: Mapping[str, object], **more: object) -> tuple[int, list[str]]:
    """Run the driver to its end, or to its death; its exit code and what it said."""
    told = {"data": str(folder / "data"), "server": server.url, "repo": str(folder / "repo"), "spec": spec, **more}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.engine.driver", json.dumps(told),
        cwd=Path(__file__).parents[2], stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    said, _ = await process.communicate()
    return process.returncode or 0, said.decode().splitlines()


@dataclass(frozen=True)
class Unharmed:
    """The same task without any death."""

    result: RunResult
    asked: int


_UNHARMED: dict[str, Unharmed] = {}


async def unharmed(folder: Path, spec: Mapping[str, object]) -> Unharmed:
    """The reference, made once for each task."""
    key = json.dumps(spec)
    if key not in _UNHARMED:
        folder.mkdir()
        repository(folder / "repo")
        async with simulator(folder, first_time_right=0.0) as server:
            _, said = await driven(folder, server, spec)
            result = RunResult.model_validate_json(said[-1].removeprefix("result "))
            _UNHARMED[key] = Unharmed(result, asked(server))
    return _UNHARMED[key]


def outside(folder: Path) -> dict[str, bytes]:
    """Everything but what the engine keeps."""
    return {
        str(path): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and folder / "data" not in path.parents and "__pycache__" not in path.parts
    }


@pytest.mark.parametrize(("kind", "node"), DONE + STARTED + ELSEWHERE)
async def test_run_that_is_killed_goes_on_in_another_process_and_ends_the_same(tmp_path, kind, node):
    spec = SPECS.get(node, REPAIRED)
    expected = await unharmed(tmp_path / "unharmed", spec)
    folder = tmp_path / "killed"
    folder.mkdir()
    repository(folder / "repo")
    async with simulator(folder, first_time_right=0.0) as server:
        before = outside(folder)
        code, said = await driven(folder, server, spec, kill=[kind, node])
        assert code == -signal.SIGKILL, said
        async with open_application(settings_of(folder, [server])) as app:
            run = (await app.runs.list())[0].run
            record = await app.runs.get(run)
            assert (record.state, record.reason) == (RunState.INTERRUPTED, "its process ended before it did")
            told = [stored async for stored in app.engine.follow(run)]
            assert told[-1].event.kind == "run.interrupted"
            await app.engine.resume(run, no_input=True)
            result = await app.engine.result(run)
            await check(app, run, result, expected)
        assert asked(server) == expected.asked, "nothing that was recorded is asked again"
        assert outside(folder) == before
        left = [path.name for path in (folder / "data" / "trees" / run).glob("candidate*")]
        assert left == [], "throw-away trees are gone"


async def check(app, run: RunId, result: RunResult, expected: Unharmed) -> None:
    alike = {"run": "", "seconds": 0.0, "gpu_seconds": 0.0}
    assert result.model_copy(update=alike) == expected.result.model_copy(update=alike)
    record = await app.runs.get(run)
    assert record.execution == 2
    assert record.state is (RunState.WAITING if result.status == "needs_input" else RunState.FINISHED)
    events = await app.log.read(run, 0, 1000)
    assert [stored.seq for stored in events] == list(range(1, len(events) + 1))
    executions = [stored.execution for stored in events]
    assert executions == sorted(executions)
    assert set(executions) == {0, 1, 2}
    starts = [stored.event.resumed for stored in events if stored.event.kind == "run.started"]
    assert starts == [False, True]
    assert events[-1].event.kind == ("run.interrupted" if result.status == "needs_input" else "run.finished")


@pytest.mark.parametrize(
    ("state", "told", "last"),
    [
        ("finished", {"spec": ANSWERED}, "run.finished"),
        ("interrupted", {"spec": ANSWERED, "interrupt": True}, "run.interrupted"),
        ("waiting", {"spec": {"task": TASK, "approve": ["plan"]}}, "approval.asked"),
        ("waiting", {"spec": {"task": TASK, "approve": ["plan"], "no_input": True}}, "run.interrupted"),
    ],
)
async def test_run_that_is_killed_by_the_commit_that_moves_it_has_its_last_event_and_its_question(
    tmp_path, state, told, last
):
    repository(tmp_path / "repo")
    async with simulator(tmp_path) as server:
        code, _ = await driven(tmp_path, server, kill_when=state, **told)
        assert code == -signal.SIGKILL
        async with open_readers(settings_of(tmp_path, [server])) as readers:
            (record,) = await readers.runs.list()
            events = await read_file(readers.database, record.run)
        assert (record.state, events[-1].event.kind) == (state, last)
        async with open_application(settings_of(tmp_path, [server])) as app:
            assert len(await app.log.read(record.run)) == len(events), "there is nothing to put right"
            pending = await app.approvals.pending(record.run)
            assert len(pending) == (1 if state == "waiting" else 0)
            for approval in pending:
                await app.approvals.decide(approval.id, Approve(), by="page", nonce=approval.nonce)
                assert (await app.engine.result(record.run)).status == "done"


async def test_answer_that_was_being_spoken_is_asked_for_once_more(tmp_path):
    """Killed between the question and its answer: that one call is lost, and no other."""
    expected = await unharmed(tmp_path / "unharmed", REPAIRED)
    folder = tmp_path / "killed"
    folder.mkdir()
    repository(folder / "repo")
    async with paced(folder, first_time_right=0.0) as server:
        code, _ = await driven(folder, server, REPAIRED, kill=["call.text", "debugger"])
        assert code == -signal.SIGKILL
        async with open_application(settings_of(folder, [server])) as app:
            run = (await app.runs.list())[0].run
            await app.engine.resume(run)
            await check(app, run, await app.engine.result(run), expected)
        assert asked(server) == expected.asked + 1


async def test_run_that_waits_for_a_person_when_its_process_is_killed_can_be_answered(tmp_path):
    spec = {"task": TASK, "approve": ["patch"]}
    repository(tmp_path / "repo")
    async with simulator(tmp_path) as server:
        told = {"data": str(tmp_path / "data"), "server": server.url, "repo": str(tmp_path / "repo"), "spec": spec}
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tests.engine.driver", json.dumps(told),
            cwd=Path(__file__).parents[2], stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        assert process.stdout is not None
        run = RunId((await process.stdout.readline()).decode().split()[1])
        from_outside = settings_of(tmp_path, [server])
        await waiting(from_outside, run)
        process.kill()
        await process.wait()
        async with open_application(from_outside) as app:
            assert (await app.runs.get(run)).state is RunState.WAITING
            await app.engine.answer(run, "patch:1", True)
            assert (await app.engine.result(run)).status == "done"


async def waiting(settings, run: RunId) -> None:
    """Follow a run of another process until it asks."""
    async with open_readers(settings) as readers, aclosing(follow_file(readers.database, run)) as events:
        async for stored in events:
            if stored.event.kind == "approval.asked":
                return


@pytest.mark.usefixtures("executed")
@pytest.mark.parametrize("text", [TASK, QUESTION])
async def test_nothing_but_the_server_is_ever_connected_to(tmp_path, monkeypatch, text):
    """Whatever the environment says of tracing: the task's text stays on this machine."""
    called: list[bytes] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        called.append(await reader.readline())
        writer.close()

    listener = await asyncio.start_server(answer, "127.0.0.1", 0)
    elsewhere = f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}"
    for name, value in {
        "LANGSMITH_TRACING": "true", "LANGCHAIN_TRACING_V2": "true", "LANGSMITH_API_KEY": "key",
        "LANGSMITH_ENDPOINT": elsewhere, "LANGCHAIN_ENDPOINT": elsewhere,
        "HTTP_PROXY": elsewhere, "ALL_PROXY": elsewhere,
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    repository(tmp_path / "repo")
    async with listener, simulator(tmp_path) as server:
        code, said = await driven(tmp_path, server, {"task": text}, connections=True)
        assert code == 0
        assert said[-1].startswith("result ")
        connected = {line for line in said if line.startswith("connect ")}
        assert connected == {f"connect 127.0.0.1:{server.port}"}
        assert {line for line in said if line.startswith("lookup ")} <= {"lookup 127.0.0.1"}
    assert called == []
