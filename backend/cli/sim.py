"""`corral sim`: a simulated Ollama server in this terminal."""

import asyncio
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter
from pydantic import ValidationError

from backend.cli.console import Terminal, open_terminal
from backend.cli.errors import Refused
from backend.cli.listening import not_listening
from infrastructure.simulator import Simulator, SimulatorSettings, read_task, run_simulator


def sim(
    *,
    host: Annotated[str, Parameter(help="Address to listen on; 127.0.0.1.")] = "127.0.0.1",
    port: Annotated[int, Parameter(help="Port to listen on; 0, the default, takes a free one.")] = 0,
    http2_port: Annotated[
        int | None, Parameter(help="Port of an HTTP/2 face (h2c) beside it; 0 takes a free one.")
    ] = None,
    tasks: Annotated[Path | None, Parameter(help="JSON Lines file of tasks that its oracle can solve.")] = None,
    first_time_right: Annotated[float, Parameter(help="Share of the tasks that need no repair; 1.")] = 1.0,
    independent: Annotated[
        bool, Parameter(negative=(), help="Draw it for each answer and not for each task, so that candidates differ.")
    ] = False,
    repair_right: Annotated[float, Parameter(help="Share of the repairs that are right; 1.")] = 1.0,
    wrong_tests: Annotated[float, Parameter(help="Share of the written tests that expect something false; 0.")] = 0.0,
    seed: Annotated[int, Parameter(help="Same seed, same answers; 0.")] = 0,
    slots: Annotated[int, Parameter(help="Calls answered at once by a model (OLLAMA_NUM_PARALLEL); 1.")] = 1,
    num_ctx: Annotated[int, Parameter(help="Window of a model in tokens; 32768.")] = 32768,
    time_scale: Annotated[float, Parameter(help="Multiplies every duration; 0 makes all instant; 1.")] = 1.0,
    server_version: Annotated[Literal["0.32.15", "0.24.0"], Parameter(help="Which Ollama it acts as.")] = "0.32.15",
) -> int:
    """Run a simulated Ollama server until Ctrl-C. Its models: oracle, echo, random, schema, embedder."""
    terminal = open_terminal()
    if tasks is not None:
        _check(tasks)
    try:
        settings = SimulatorSettings(
            host=host,
            port=port,
            http2_port=http2_port,
            tasks=tasks,
            first_time_right=first_time_right,
            independent=independent,
            repair_right=repair_right,
            wrong_tests=wrong_tests,
            seed=seed,
            num_parallel=slots,
            num_ctx=num_ctx,
            time_scale=time_scale,
            version=server_version,
        )
    except ValidationError as error:
        wrong = error.errors()[0]
        option = "--" + str(wrong["loc"][0]).replace("_", "-").replace("num-parallel", "slots")
        raise Refused(f"{option}: {wrong['msg']}", "`corral sim --help` lists the options.") from None
    listening = False

    def ready(simulator: Simulator) -> None:
        nonlocal listening
        listening = True
        _announce(simulator, terminal)

    try:
        asyncio.run(run_simulator(settings, ready=ready))
    except OSError as error:
        if listening:  # it is whoever reads this that is gone
            raise
        raise not_listening(host, port, error) from None
    return 0


def _announce(simulator: Simulator, terminal: Terminal) -> None:
    terminal.say("simulated Ollama: no model answers here", "yellow")
    terminal.raw(f"{simulator.url}\n")
    if simulator.settings.http2_port is not None:
        terminal.say(f"  → {simulator.http2_url}    the same server over HTTP/2")
    terminal.say(f'  → OLLAMA_HOST={simulator.url} corral run "…"    asks its oracle; Ctrl-C here ends it')


def _check(tasks: Path) -> None:
    try:
        lines = tasks.read_text(encoding="utf-8").split("\n")
    except OSError as error:
        raise Refused(f"{tasks}: {error.strerror}", "Name a file of tasks, one JSON object a line.") from None
    except UnicodeDecodeError:
        raise Refused(f"{tasks} is no UTF-8 text", "Name a file of tasks, one JSON object a line.") from None
    for number, line in enumerate(lines, 1):
        try:
            _ = read_task(line) if line.strip() else None
        except ValidationError as error:
            wrong = error.errors()[0]
            place = ".".join(str(part) for part in wrong["loc"])
            said = f"{place}: {wrong['msg']}" if place else wrong["msg"]
            raise Refused(
                f"line {number} of {tasks} is no task: {said}",
                'A line is like {"id": "1", "prompt": "…", "files": {}}.',
            ) from None
