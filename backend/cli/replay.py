"""`corral replay`: a run repeated from its recording, exported as a file, or gone on with another way."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from backend.cli.changing import changed_spec, read_changes
from backend.cli.console import Terminal, open_terminal
from backend.cli.destinations import STDOUT, writable_file
from backend.cli.errors import FAILED, Refused
from backend.cli.options import NO_OPTIONS, Common, OutputOption, again, settings_of
from backend.cli.outcome import Delivery, document_of
from backend.cli.progress import Progress, shown
from backend.cli.reading import open_run
from backend.cli.run import say_who_holds
from backend.cli.seating import Wanted, check_seat, open_seat, wanted_of
from backend.cli.seeing import Watched, see_through
from backend.cli.tokens import Output
from backend.cli.verdicts import verdict
from backend.store import open_store
from infrastructure.config.settings import Settings
from infrastructure.events.log import read_file
from infrastructure.replaying import Recording, Replayed, keep_replay, load_recording, play, write_recording
from infrastructure.running.forking import prefix_of
from infrastructure.running.reading import read_recording
from infrastructure.running.recovery import task_of
from infrastructure.tasks import TaskSpec


@dataclass(frozen=True, slots=True)
class _Asked:
    """What is to be repeated: a run by its id, or a file by its path."""

    name: str
    is_file: bool


def replay(
    run: Annotated[str, Parameter(help="The run's id, or its beginning; or a file that --export wrote.")],
    /,
    *,
    step: Annotated[
        str | None,
        Parameter(
            name="--from", help="Take what was recorded up to this step, and go on live; `show RUN --steps` lists them."
        ),
    ] = None,
    change: Annotated[
        tuple[str, ...],
        Parameter(name="--set", help="With --from: what is other from there on, KEY=VALUE.", negative_iterable=()),
    ] = (),
    export: Annotated[str | None, Parameter(help="Write the recording to this file, and repeat nothing.")] = None,
    keep: Annotated[
        bool, Parameter(help="Keep the repetition as a run of its own, for `corral show` and `follow`.")
    ] = False,
    output: OutputOption = "text",
    common: Common = NO_OPTIONS,
) -> int:
    """Repeat a run to the last byte: no model is asked, no test is run, nothing leaves the machine.

    What comes of it is compared with the recording; the first difference is said, with exit code 1. With --from it is a
    new run that begins as the old one did, and is live from a step on: with another model, task, temperature.
    """
    terminal, asked = open_terminal(), _Asked(run, _is_file(run))
    if step is None and change:
        raise Refused("--set: nothing is live in a replay", "Name the step from which on it is: --from STEP.")
    if step is not None:
        if export is not None or keep:
            raise Refused("--from begins a new run", "Leave out --export and --keep; it is kept as any run is.")
        if asked.is_file:
            raise Refused(f"--from: {run} is a file", "Only a run of this data directory can go another way.")
        return asyncio.run(
            _go_on(asked, step, change, common, Watched(terminal, output, Delivery(again=again(common))))
        )
    if export == STDOUT:
        raise Refused("--export: a recording is a file, not a stream", "Name a file.")
    if export is not None:
        writable_file("--export", export)
        return asyncio.run(_export(asked, export, common, terminal))
    return asyncio.run(_replay(asked, common, terminal, output, keep=keep))


async def _replay(asked: _Asked, common: Common, terminal: Terminal, output: Output, *, keep: bool) -> int:
    recording = await _recording(asked, common)
    replayed = await play(recording)
    with shown(terminal, quiet=common.quiet or output != "text") as progress:
        _show(replayed, progress)
    if output == "ndjson":
        for stored in replayed.events:
            terminal.data(document_of(stored))
    if keep:
        await _keep(recording, replayed, settings_of(common), terminal)
    if output == "text":
        _print(replayed, terminal)
    else:
        terminal.data(_document(replayed))
    return 0 if replayed.equal else FAILED


async def _export(asked: _Asked, file: str, common: Common, terminal: Terminal) -> int:
    recording = await _recording(asked, common)
    await write_recording(recording, Path(file))
    terminal.say(f"the recording of {recording.run} is in {file}; it holds the run's files, questions and answers")
    return 0


async def _go_on(asked: _Asked, step: str, change: Sequence[str], common: Common, watched: Watched) -> int:
    changes = read_changes(change)
    settings = settings_of(common)
    async with open_run(settings, asked.name) as (_, record):
        before = task_of(record)
    recording = await _recording(asked, common)
    prefix_of(recording, step)  # refused before anything is begun
    spec = changed_spec(before, recording.run, step, changes).model_copy(
        update={"no_input": not watched.terminal.interactive, "guest": False}
    )
    return await _begin(spec, settings, wanted_of(common, settings), watched)


async def _begin(spec: TaskSpec, settings: Settings, wanted: Wanted, watched: Watched) -> int:
    async with open_seat(settings, "replay", watched.terminal, wanted) as seat:
        await check_seat(seat, watched.terminal)
        return await see_through(seat, await seat.start(spec), watched)


async def _recording(asked: _Asked, common: Common) -> Recording:
    """The recording of a run, or of a file."""
    if asked.is_file:
        try:
            return await load_recording(Path(asked.name))
        except OSError as error:
            raise Refused(
                f"{asked.name} cannot be read: {error.strerror}", "Name a run, or a file of --export."
            ) from None
    async with open_run(settings_of(common), asked.name) as (readers, record):
        return await read_recording(
            record,
            calls=readers.calls,
            recordings=readers.recordings,
            blobs=readers.blobs,
            events=lambda run, after: read_file(readers.database, run, after),
            tree=readers.directory.tree(record.run),
        )


async def _keep(recording: Recording, replayed: Replayed, settings: Settings, terminal: Terminal) -> None:
    async with open_store(settings, verb="replay", on_wait=say_who_holds(terminal)) as store:
        await keep_replay(recording, replayed, runs=store.runs, log=store.log, recordings=store.recordings)
    terminal.say(f"kept: corral show {replayed.run}")


def _is_file(asked: str) -> bool:
    """Whether a run's name is a path: ids have no slash and no such ending."""
    return "/" in asked or asked.endswith(".jsonl") or Path(asked).is_file()


def _show(replayed: Replayed, progress: Progress) -> None:
    for stored in replayed.events:
        progress.event(stored.event)


def _print(replayed: Replayed, terminal: Terminal) -> None:
    counts = f"{replayed.calls} questions, {replayed.tools} uses of tools, {replayed.compared} events"
    if replayed.equal:
        terminal.print_data(f"replay of {replayed.original}: equal to the last byte ({counts})", "green")
    else:
        terminal.print_data(f"replay of {replayed.original}: it differs", "red")
        for line in replayed.difference:
            terminal.print_data(line)
    if replayed.result is not None:
        for line in verdict(replayed.result):
            terminal.say(line.text, line.style)


def _document(replayed: Replayed) -> dict[str, object]:
    return {
        "replay_of": replayed.original,
        "run": replayed.run,
        "equal": replayed.equal,
        "difference": list(replayed.difference),
        "questions": replayed.calls,
        "tools": replayed.tools,
        "events": replayed.compared,
        "result": replayed.result,
    }
