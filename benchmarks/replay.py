"""Fifty runs of every kind, recorded and replayed: `python -m benchmarks.replay`.

The runs go over a simulated Ollama: different tasks, wrong first answers, answers in every broken form, one to three
candidates with losers stopped in the middle, questions, tests as the task, budgets of calls and tokens, servers that
fail, test commands that do not start, approvals given, refused and left open, runs that are cancelled, interrupted, and
gone on with. Then the simulator is stopped and the repositories are removed. From there on the process may connect
nowhere, look no name up, and start no program but git. Each run is replayed from the data directory and again from an
exported file, and every second one once more after its trees have gone, from what `corral clean` keeps.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from backend.bootstrap import Application, open_application
from backend.readers import open_readers
from backend.retention import Cleaning, clean_up
from backend.store import open_store
from infrastructure.config.settings import Paths, PoolSettings, RunSettings, ServerSettings, Settings
from infrastructure.events.log import read_file
from infrastructure.ids import RunId
from infrastructure.replaying import Recording, Replayed, play, read_recording, replay_file, write_recording
from infrastructure.simulator import Fault, FaultKind, ModelSpec, Simulator, SimulatorSettings
from infrastructure.storage.runs import RunState
from infrastructure.storage.times import utc_now
from infrastructure.tasks import TaskSpec

STUB = "def add(a, b):\n    raise NotImplementedError\n"
RIGHT = "def add(a, b):\n    return a + b\n"
WRONG = "def add(a, b):\n    return a - b\n"
TESTS = (
    "import unittest\nfrom calc import add\n\n\n"
    "class T(unittest.TestCase):\n    def test_add(self):\n        self.assertEqual(add(1, 2), 3)\n"
)
LONG = RIGHT + "".join(f"# line {number} of a comment that takes its time\n" for number in range(60))
TASK = "Implement add in calc.py"
TASKS: Mapping[str, Mapping[str, object]] = {
    "add": {
        "prompt": TASK,
        "files": {"calc.py": RIGHT},
        "broken": {"calc.py": WRONG},
        "tests": {"test_plan.py": TESTS},
    },
    "long": {
        "prompt": f"{TASK}, with a long comment",
        "files": {"calc.py": LONG},
        "broken": {"calc.py": WRONG},
        "tests": {"test_plan.py": TESTS},
    },
    "two": {
        "prompt": "Implement add in calc.py and use it in total.py",
        "files": {
            "calc.py": RIGHT,
            "total.py": "from calc import add\n\n\ndef total(a, b, c):\n    return add(add(a, b), c)\n",
        },
        "broken": {"calc.py": WRONG},
        "tests": {"test_plan.py": TESTS},
    },
    "never": {
        "prompt": "Implement add in calc.py, which is beyond this model",
        "files": {"calc.py": RIGHT},
        "broken": {"calc.py": WRONG},
        "always_broken": True,
    },
    "tests": {
        "prompt": "Write tests for times in calc2.py",
        "kind": "tests",
        "files": {"test_times.py": TESTS.replace("calc", "calc2").replace("add(1, 2), 3", "add(1, 1), 2")},
    },
    "ask": {"prompt": "What is in calc.py?", "kind": "question", "answer": "A stub of add."},
}
BREAKS = ("syntax", "missing", "garbage", "nothing", "half-fence", "endless-line", "path-escape")
SPEEDS = (150, 400, 900)
"""Tokens a second of a simulated model, so that candidates meet each other at different places."""

Act = Callable[[Application, RunId], Awaitable[None]]


@dataclass(frozen=True, kw_only=True)
class Kind:
    """One of the fifty.

    Attributes:
        name: For the table.
        task: Which task, by its name.
        spec: More of the task.
        server: More of the simulator's settings.
        act: What is done to the run before it ends.
    """

    name: str
    task: str = "add"
    spec: Mapping[str, object] = field(default_factory=dict)
    server: Mapping[str, object] = field(default_factory=dict)
    act: Act | None = None
    fault: Fault | None = None
    answer: str = ""
    """In which broken form the first answer comes."""
    given: bool = False
    """Whether it is judged by a test file from outside the repository."""


@dataclass(frozen=True)
class Recorded:
    """A run that is there."""

    kind: Kind
    run: RunId
    data: Path


def paced(number: int) -> Mapping[str, object]:
    """A server whose tokens take their time."""
    return {"time_scale": 1, "decode_tokens_per_second": SPEEDS[number % 3], "prefill_tokens_per_second": 1e6}


def kinds() -> Iterator[Kind]:
    """The fifty."""
    wrong = {"first_time_right": 0.0}
    for task in ("add", "long", "two", "tests", "ask", "never"):
        yield Kind(name=f"{task}, right at once", task=task, server={"first_time_right": 1.0})
    for task in ("add", "two", "never"):
        yield Kind(name=f"{task}, wrong at first", task=task, server=wrong)
    yield Kind(name="a test file from outside", given=True, server=wrong)
    yield Kind(name="three plans", task="never", spec={"rounds": 3, "repairs": 0})
    for answer in BREAKS:
        yield Kind(name=f"first answer: {answer}", server=wrong, answer=answer)
    for count in (2, 3):
        yield Kind(name=f"{count} candidates, none good", task="never", spec={"candidates": count, "repairs": 0})
        for number in range(4):
            share = {"first_time_right": 0.0} if number % 2 else {"first_time_right": 1.0}
            server = {**paced(number), **share, "seed": number}
            yield Kind(name=f"{count} candidates race {number}", task="long", spec={"candidates": count}, server=server)
    for calls in (1, 2, 3, 5, 6):
        budget = {"calls": calls}
        yield Kind(name=f"budget of {calls} calls", spec={"budget": budget, "candidates": 1 + calls % 3}, server=wrong)
    for tokens in (1500, 4000):
        yield Kind(
            name=f"budget of {tokens} tokens", spec={"budget": {"tokens": tokens}, "candidates": 2}, server=wrong
        )
    yield Kind(name="budget of time", task="long", spec={"budget": {"seconds": 1}}, server={**paced(0)})
    yield Kind(name="a server that fails", fault=Fault(kind=FaultKind.ERROR))
    yield Kind(name="a server that breaks off", fault=Fault(kind=FaultKind.DROP, after_chunks=2))
    yield Kind(name="a test command that is not there", spec={"test_command": "no-such-command"})
    yield Kind(
        name="a plan and a patch approved", spec={"approve": ("plan", "patch")}, act=approving(plan=True, patch=True)
    )
    yield Kind(name="a plan refused", spec={"approve": ("plan",)}, act=approving(plan=False))
    yield Kind(name="a patch refused", spec={"approve": ("patch",)}, act=approving(patch=False))
    yield Kind(name="nobody to ask", spec={"approve": ("plan",), "no_input": True})
    for node in ("planner", "write", "run_tests"):
        for again in (True, False):
            name = f"{'interrupted and gone on with' if again else 'cancelled'} in {node}"
            yield Kind(
                name=name,
                task="long",
                spec={"candidates": 2},
                server={**paced(1), **wrong},
                act=interrupted(node) if again else cancelled(node),
            )
    yield Kind(
        name="interrupted twice", task="long", server={**paced(2), **wrong}, act=interrupted("write", "debugger")
    )
    yield Kind(name="interrupted and left", task="long", server={**paced(1)}, act=left("write"))


def approving(**answers: bool) -> Act:
    """Answer the gates as they come."""

    async def act(app: Application, run: RunId) -> None:
        async for stored in app.engine.follow(run):
            if stored.event.kind == "approval.asked":
                await app.engine.answer(run, stored.event.approval, answers[stored.event.gate], "said so")

    return act


async def until(app: Application, run: RunId, node: str, after: int) -> int:
    """Follow a run until a step begins."""
    async for stored in app.engine.follow(run, after):
        if stored.event.kind == "node.started" and stored.event.node == node:
            return stored.seq
    return after


def interrupted(*nodes: str) -> Act:
    """Interrupt a run in these steps, and go on with it each time."""

    async def act(app: Application, run: RunId) -> None:
        after = 0
        for node in nodes:
            after = await until(app, run, node, after)
            await app.engine.interrupt(run, "for a while")
            with contextlib.suppress(Exception):  # it may have come to its end before
                await app.engine.resume(run)

    return act


def cancelled(node: str) -> Act:
    """Cancel a run in a step."""

    async def act(app: Application, run: RunId) -> None:
        await until(app, run, node, 0)
        with contextlib.suppress(Exception):
            await app.engine.cancel(run)

    return act


def left(node: str) -> Act:
    """Interrupt a run in a step, and leave it."""

    async def act(app: Application, run: RunId) -> None:
        await until(app, run, node, 0)
        await app.engine.interrupt(run, "left")

    return act


async def record(kind: Kind, folder: Path) -> Recorded:
    """Run one, whole."""
    folder.mkdir(parents=True)
    repository = folder / "repo"
    repository.mkdir()
    (repository / "calc.py").write_text(STUB)
    (repository / "calc2.py").write_text(RIGHT)
    if kind.task != "tests":
        (repository / "test_calc.py").write_text(TESTS)
    told = {**TASKS[kind.task], "id": kind.task, **({"break": kind.answer} if kind.answer else {})}
    (folder / "tasks.jsonl").write_text(json.dumps(told) + "\n")
    server = {"time_scale": 0.0, "num_parallel": 4, "num_ctx": 32768, "load_seconds": 0.0, **kind.server}
    model = ModelSpec(name="oracle", brain="oracle", fault=kind.fault)
    async with Simulator(SimulatorSettings(tasks=folder / "tasks.jsonl", models=(model,), **server)) as simulator:
        settings = Settings(
            servers=(ServerSettings(url=simulator.url, slots=4, name="gpu"),),
            model="oracle",
            paths=Paths(data=folder / "data"),
            run=RunSettings(repairs=1, rounds=2),
            pool=PoolSettings(retry_down_seconds=0.05),
        )
        async with open_application(settings) as app:
            told = {"task": TASKS[kind.task]["prompt"], "repo": repository, "tests": given(kind, folder), **kind.spec}
            spec = TaskSpec.model_validate(told)
            run = await app.engine.start(spec)
            if kind.act is not None:
                await kind.act(app, run)
            await app.engine.result(run)
    shutil.rmtree(repository)
    (folder / "test_given.py").unlink(missing_ok=True)
    return Recorded(kind, run, folder / "data")


def given(kind: Kind, folder: Path) -> list[Path]:
    """The test file from outside, where there is one."""
    if not kind.given:
        return []
    (folder / "test_given.py").write_text(TESTS)
    return [folder / "test_given.py"]


async def recording_of(recorded: Recorded) -> Recording:
    """What is there of a run."""
    async with open_readers(Settings(paths=Paths(data=recorded.data))) as readers:
        return await read_recording(
            await readers.runs.get(recorded.run),
            calls=readers.calls,
            recordings=readers.recordings,
            blobs=readers.blobs,
            events=lambda run, after: read_file(readers.database, run, after),
            tree=readers.directory.tree(recorded.run),
        )


async def without_trees(recorded: Recorded) -> None:
    """Remove the trees of a run, as `corral clean` does."""
    async with open_store(Settings(paths=Paths(data=recorded.data)), verb="clean") as store:
        await clean_up(store, Cleaning(trees=(recorded.run,), text_before=utc_now(), runs=(), events_before=utc_now()))


class Locked:
    """From `lock` on the process may connect nowhere, look no name up, and start no program but git."""

    def __init__(self) -> None:
        self.locked = False
        self.refused: list[str] = []
        self.programs: Counter[str] = Counter()
        sys.addaudithook(self._hook)

    def lock(self) -> None:
        self.locked = True

    def _hook(self, name: str, arguments: tuple[object, ...]) -> None:
        if not self.locked:
            return
        if name in ("socket.connect", "socket.sendto", "socket.sendmsg", "socket.getaddrinfo", "socket.bind"):
            self.refused.append(f"{name} {arguments[1:]}")
            raise RuntimeError(f"a replay used the network: {name} {arguments[1:]}")
        if name in ("subprocess.Popen", "os.posix_spawn", "os.exec"):
            program = Path(str(arguments[0])).name
            self.programs[program] += 1
            if program != "git":
                self.refused.append(f"{name} {program}")
                raise RuntimeError(f"a replay started {program}")


async def measure(only: int) -> int:
    """Record, lock, replay; how many were not equal."""
    locked = Locked()
    with tempfile.TemporaryDirectory(prefix="corral-") as name:
        folder = Path(name)
        began = time.monotonic()
        recorded: list[Recorded] = []
        for number, kind in enumerate(list(kinds())[:only]):
            recorded.append(await record(kind, folder / str(number)))
            print(f"recorded {number + 1}: {kind.name}", file=sys.stderr)
        print(f"{len(recorded)} runs recorded in {time.monotonic() - began:.0f} s; the simulator is stopped\n")
        locked.lock()
        unequal = 0
        for number, each in enumerate(recorded):
            unequal += not await replay(each, number, folder)
    programs = ", ".join(f"{name} {count}×" for name, count in sorted(locked.programs.items())) or "none"
    print(f"\n{len(recorded) - unequal} of {len(recorded)} equal to the last byte")
    print(f"connections and look-ups: {len(locked.refused)}; programs started: {programs}")
    return unequal + len(locked.refused)


async def replay(recorded: Recorded, number: int, folder: Path) -> bool:
    """Replay a run from the data directory and from a file, and print a line."""
    recording = await recording_of(recorded)
    began = time.monotonic()
    replayed = [await play(recording)]
    seconds = time.monotonic() - began
    file = folder / f"{number}.jsonl"
    await write_recording(recording, file)
    replayed.append(await replay_file(file))
    if number % 2 and recording.state == RunState.FINISHED:
        await without_trees(recorded)
        replayed.append(await play(await recording_of(recorded)))
    return report(number, recorded, recording, replayed, seconds, file.stat().st_size)


def report(
    number: int, recorded: Recorded, recording: Recording, replayed: list[Replayed], seconds: float, size: int
) -> bool:
    """One line of the table."""
    first = replayed[0]
    status = recording.result.status if recording.result is not None else recording.state
    equal = all(each.equal for each in replayed)
    lost = sum(each.event.kind == "work.candidate_ended" and each.event.outcome == "lost" for each in recording.events)
    executions = max(each.execution for each in recording.events)
    used = f"{len(recording.calls):3} calls {len(recording.tools):3} tools {first.compared:4} events"
    took = f"{lost} lost {executions} executions {size / 1000:6.0f} kB {seconds:5.2f} s"
    word = "equal" if equal else "DIFFERS"
    print(f"{number + 1:3} {recorded.kind.name:42} {status:12} {used} {took}  {word} ×{len(replayed)}")
    for each in replayed:
        for line in each.difference:
            print(f"      {line}")
    return equal


def main() -> None:
    """Measure, and end with 1 where a replay was not equal."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", type=int, default=1000, help="only the first so many kinds")
    sys.exit(1 if asyncio.run(measure(parser.parse_args().only)) else 0)


if __name__ == "__main__":
    main()
