"""`corral demo`: sample tasks solved before one's eyes, by a simulated Ollama inside this process."""

import asyncio
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from backend.bootstrap import Application, open_application
from backend.cli.console import Terminal, open_terminal
from backend.cli.destinations import writable_folder
from backend.cli.errors import FAILED, Refused
from backend.cli.progress import shown
from backend.cli.run import say_who_holds
from backend.cli.sampling import FIRST_TIME_RIGHT, DemoPlace, SampleTask, commit_samples, read_samples, write_samples
from backend.cli.verdicts import verdict
from backend.cli.watching import watch
from infrastructure.config.settings import Paths, RunSettings, ServerSettings, Settings
from infrastructure.processes import ProcessNotStarted
from infrastructure.simulator import Simulator, SimulatorSettings
from infrastructure.tasks import RunResult, TaskSpec

MODEL = "oracle"
SIMULATED = "simulated: a small program that knows the answers stands in for Ollama and its model"
_NUM_CTX = 32768
_LOAD_SECONDS = 0.5
_PREFILL = 20_000.0
_DECODE = 400.0
"""Tokens a second: fast enough not to bore, slow enough to be seen."""


def demo(
    *,
    into: Annotated[
        Path | None, Parameter(help="Keep the sample repository and the runs here; a temporary folder otherwise.")
    ] = None,
    quiet: Annotated[bool, Parameter(name=("--quiet", "-q"), help="No progress on stderr.")] = False,
) -> int:
    """Watch sample tasks being solved on a sample repository. Needs no model, no GPU and no network."""
    terminal = open_terminal()
    with _place(into) as place:
        return asyncio.run(_demo(place, terminal, quiet=quiet, kept=into is not None))


@contextmanager
def _place(into: Path | None) -> Generator[DemoPlace]:
    if into is not None:
        yield _kept(writable_folder("--into", into))
        return
    with tempfile.TemporaryDirectory(prefix="corral-demo-", ignore_cleanup_errors=True) as folder:
        yield DemoPlace(Path(folder).resolve())


def _kept(folder: Path) -> DemoPlace:
    """A place in a folder of the person's own: only what an earlier demo made is written over."""
    place = DemoPlace(folder)
    if place.repository.exists() and not place.answers.exists():
        raise Refused(f"--into: {place.repository} is there, and no demo made it", "Name another folder.")
    folder.mkdir(parents=True, exist_ok=True)
    return place


async def _demo(place: DemoPlace, terminal: Terminal, *, quiet: bool, kept: bool) -> int:
    samples = await asyncio.to_thread(read_samples)
    await asyncio.to_thread(write_samples, samples, place)
    try:
        await commit_samples(place)
    except ProcessNotStarted:
        terminal.warn("git was not found; the sample repository stays a plain folder")
    terminal.say(SIMULATED, "yellow")
    terminal.say(f"sample repository: {place.repository}")
    results: list[RunResult] = []
    async with Simulator(simulator_settings(place)) as simulator:
        settings = demo_settings(place, simulator.url)
        async with open_application(settings, verb="demo", on_wait=say_who_holds(terminal)) as app:
            for number, task in enumerate(samples.task, 1):
                terminal.say(f"\n{number} of {len(samples.task)} · {task.title}", "bold")
                result = await _one(app, task, place, terminal, quiet=quiet)
                results.append(result)
                if result.exit_code not in (0, FAILED):
                    break
    _goodbye(results, len(samples.task), place, terminal, kept=kept)
    return exit_code_of(results, len(samples.task))


def simulator_settings(place: DemoPlace) -> SimulatorSettings:
    """A server on a free loopback port that knows the answers, one of them only after a red test."""
    return SimulatorSettings(
        tasks=place.answers,
        first_time_right=FIRST_TIME_RIGHT,
        num_ctx=_NUM_CTX,
        load_seconds=_LOAD_SECONDS,
        prefill_tokens_per_second=_PREFILL,
        decode_tokens_per_second=_DECODE,
    )


def demo_settings(place: DemoPlace, url: str) -> Settings:
    """Nothing of the user's own: neither servers nor settings nor data."""
    return Settings(
        servers=(ServerSettings(url=url, name="simulated"),),
        model=MODEL,
        run=RunSettings(),
        paths=Paths(data=place.data, config=place.root / "corral.toml"),
    )


def exit_code_of(results: list[RunResult], wanted: int) -> int:
    """0 when every task is done; else the first other exit code, 1 where it would be 0."""
    if len(results) == wanted and all(result.status == "done" for result in results):
        return 0
    return next((result.exit_code for result in results if result.exit_code), FAILED)


async def _one(app: Application, task: SampleTask, place: DemoPlace, terminal: Terminal, *, quiet: bool) -> RunResult:
    tests = tuple(place.repository / test for test in task.tests)
    spec = TaskSpec(task=task.prompt, repo=place.repository, tests=tests, no_input=True, client="demo")
    run = await app.engine.start(spec)
    with shown(terminal, quiet=quiet, pulse=True) as progress:
        result = await watch(app.engine, run, progress)
    terminal.patch(result.patch)
    for line in verdict(result):
        terminal.say(line.text, line.style)
    return result


def _goodbye(results: list[RunResult], wanted: int, place: DemoPlace, terminal: Terminal, *, kept: bool) -> None:
    done = sum(result.status == "done" for result in results)
    terminal.say(f"\n{done} of {wanted} tasks done", "green" if done == wanted else "red")
    terminal.say(SIMULATED, "yellow")
    if kept:
        terminal.say(f"kept: corral runs --data {place.data}; corral apply RUN --data {place.data}")
    terminal.say("now with your own server and a model it has:")
    terminal.say(
        '  → ollama pull qwen2.5-coder:7b\n  → corral run "add a --json option" --repo . --model qwen2.5-coder:7b'
    )
    terminal.say("  → corral doctor    says what is missing")
