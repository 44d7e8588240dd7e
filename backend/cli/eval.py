"""`corral eval`: a set of problems under one or several settings, and a report that says how sure it is."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from backend.attach.seat import Seat
from backend.bootstrap import sandbox_opener
from backend.cli.batch import MOST_AT_ONCE, UNKNOWN_SLOTS
from backend.cli.batching import show_batch
from backend.cli.console import Terminal, open_terminal
from backend.cli.destinations import writable_folder
from backend.cli.errors import INTERRUPTED, SOME_FAILED, Refused
from backend.cli.evaluating import report_lines
from backend.cli.interrupts import interruptible
from backend.cli.options import NO_OPTIONS, Common, Document
from backend.cli.render import WARN, Line
from backend.cli.run import MOST_CANDIDATES
from backend.cli.seating import SandboxOption, Wanted, check_seat, open_seat, settings_with, wanted_of
from backend.cli.tokens import Output
from infrastructure.batch import BatchError, BatchRegistry, EngineRuns, Order, Wishes
from infrastructure.batch.identity import corral_version, holders_of, prompts_sha
from infrastructure.batch.lines import replace_lines
from infrastructure.config.manager import ConfigurationManager
from infrastructure.config.settings import Candidates, Settings
from infrastructure.evaluation import (
    Arm,
    Assignment,
    EvalPlace,
    EvalReport,
    EvaluationError,
    HiddenJudge,
    Outline,
    Problem,
    arms_of,
    chosen,
    evaluate,
    open_judge,
    read_set,
    reported,
    trials_of,
)
from infrastructure.running.naming import shown
from infrastructure.sandbox import Limits
from infrastructure.storage.blobs import BlobStore
from infrastructure.workspace.threads import in_thread

MOST_SEEDS = 1_000
MOST_ROUNDS = MOST_REPAIRS = 10
_SEED_BOUND = 2**31
_NUMBERS = "numbers with commas between them, such as 1,2,4"


def eval(  # noqa: A001 - the verb's name
    problems: Annotated[
        Path | None, Parameter(help="HumanEval problems, one JSON object a line; or a folder of exercises with tests.")
    ] = None,
    /,
    *,
    out: Annotated[
        Path | None, Parameter(help="Folder for records, judgements and report; .eval/NAME when it is not given.")
    ] = None,
    report: Annotated[Path | None, Parameter(help="Only report again on such a folder; nothing is run.")] = None,
    n: Annotated[int | None, Parameter(help="Samples of each problem, with the seeds 1 to N; 1.")] = None,
    seeds: Annotated[str | None, Parameter(help="The seeds themselves, with commas: one sample each.")] = None,
    limit: Annotated[int | None, Parameter(help="Only the first so many problems.")] = None,
    only: Annotated[
        tuple[str, ...], Parameter(help="Only problems whose id has this in it; again for more.", negative_iterable=())
    ] = (),
    self_tests: Annotated[
        bool,
        Parameter(help="Hide the given tests from the runs: they write their own, and the given ones judge after."),
    ] = False,
    model: Annotated[str | None, Parameter(help="Model or lane for every role; with commas, to compare.")] = None,
    candidates: Annotated[
        str | None, Parameter(help="Solutions side by side in a run, or auto; with commas, to compare: 1,2,4.")
    ] = None,
    repairs: Annotated[str | None, Parameter(help="Tries after the first one fails; with commas, to compare.")] = None,
    rounds: Annotated[str | None, Parameter(help="Plans at most; with commas, to compare.")] = None,
    test_command: Annotated[str | None, Parameter(help="How the tests of every problem are run.")] = None,
    at_once: Annotated[int | None, Parameter(help="Runs side by side; as many as the servers have slots.")] = None,
    sandbox: SandboxOption = None,
    output: Document = "text",
    common: Common = NO_OPTIONS,
) -> int:
    """Measure how much of a set is solved, and what it costs. Killed, the same command goes on.

    A sample is solved when the given tests pass with the patch that its run delivered, judged after the run on a fresh
    copy. Where an option has several values, every combination runs on each problem with the same seeds, and is
    compared with the first one. The report is printed and kept in the folder; `--report FOLDER` makes it again.
    """
    terminal = open_terminal()
    try:
        if report is not None:
            _only_report(problems, out)
            place = EvalPlace(report.resolve())
            again = reported(place)
            _keep_table(again, place)
            return _told(again, place, terminal, output)
        if problems is None:
            raise Refused("no set of problems was named", "Type: corral eval problems.jsonl")
        arms = arms_of(
            models=tuple(each for each in (model or "").split(",") if each),
            candidates=_candidates(candidates),
            repairs=_numbers("--repairs", repairs, 0, MOST_REPAIRS),
            rounds=_numbers("--rounds", rounds, 1, MOST_ROUNDS),
        )
        settings = _without_profiles(settings_with(common, sandbox))
        kept = _chosen(problems, only, limit, test_command)
        place = EvalPlace(writable_folder("--out", out or Path(".eval", problems.resolve().stem)))
        outline = Outline(
            set=shown(problems.resolve().name),
            problems=tuple(each.id for each in kept),
            arms=arms,
            seeds=_seeds(n, seeds),
            self_tests=self_tests,
            corral=corral_version(),
            prompts=prompts_sha(),
        )
        wishes = Wishes(at_once=None if at_once is None else _within("--at-once", at_once, 1, MOST_AT_ONCE))
        work = _Work(kept, arms, outline, place, wishes, settings, terminal)
        told = partial(holders_of, models=[arm.model for arm in arms])
        wanted = replace(wanted_of(common, settings, sandbox), told=told)
        return asyncio.run(work.done(output, wanted, quiet=common.quiet))
    except (BatchError, EvaluationError) as error:
        raise Refused(str(error), error.hint, error.exit_code) from error
    except OSError as error:
        if error.filename is None or problems is None or Path(error.filename) != problems:
            raise
        raise Refused(f"{problems}: {error.strerror}", "Name a file of problems, or a folder of exercises.") from error


def _without_profiles(settings: Settings) -> Settings:
    """Samples neither take nor add what is known of a model: otherwise each would depend on those before it."""
    return settings.model_copy(update={"run": settings.run.model_copy(update={"profiles": False})})


class _Work:
    """One command's evaluation."""

    def __init__(
        self,
        problems: tuple[Problem, ...],
        arms: tuple[Arm, ...],
        outline: Outline,
        place: EvalPlace,
        wishes: Wishes,
        settings: Settings,
        terminal: Terminal,
    ) -> None:
        self._trials = trials_of(problems, arms, outline.seeds, hide_tests=outline.self_tests)
        self._outline, self._place, self._wishes = outline, place, wishes
        self._settings, self._terminal = settings, terminal
        self._stop = asyncio.Event()

    async def done(self, output: Output, wanted: Wanted, *, quiet: bool) -> int:
        """Run, judge, report; the exit code."""
        terminal = self._terminal
        async with open_seat(self._settings, "eval", terminal, wanted) as seat:
            await check_seat(seat, terminal)
            with show_batch(terminal, quiet=quiet, pulse=output == "text") as progress:

                def on_first() -> None:
                    progress.line(Line("stopping every run; Ctrl-C again ends this at once", WARN))
                    self._stop.set()

                with interruptible(on_first):
                    report = await self._evaluated(seat, progress.news)
                    await in_thread(lambda _: _keep_table(report, self._place))
            code = _told(report, self._place, terminal, output)  # before it stays for guests
            return INTERRUPTED if self._stop.is_set() and not report.complete else code

    async def _evaluated(self, seat: Seat, on_news: Callable[..., None]) -> EvalReport:
        async with self._judge(seat) as judge:
            order = Order(
                entries=tuple(trial.entry for trial in self._trials),
                place=self._place.batch,
                wishes=self._wishes,
                settings=self._settings,
                on_news=on_news,
                stop=self._stop,
            )
            assignment = Assignment(outline=self._outline, trials=self._trials, order=order, place=self._place)
            places = sum(server.slots or UNKNOWN_SLOTS for server in self._settings.servers)
            runs = EngineRuns(engine=seat, places=places)
            return await evaluate(assignment, runs, BatchRegistry(seat.directory), judge, seat.events_of)

    @asynccontextmanager
    async def _judge(self, seat: Seat) -> AsyncGenerator[HiddenJudge]:
        opener = (
            sandbox_opener(ConfigurationManager.fixed(self._settings))
            if seat.application is None
            else seat.application.open_sandbox
        )
        limits = Limits.of(self._settings.sandbox)
        async with open_judge(await opener(), limits, BlobStore(seat.directory.blobs)) as judge:
            yield judge


def _keep_table(report: EvalReport, place: EvalPlace) -> None:
    replace_lines(place.table, [line.text.encode() for line in report_lines(report)])


def _told(report: EvalReport, place: EvalPlace, terminal: Terminal, output: Output) -> int:
    if output == "text":
        for line in report_lines(report):
            terminal.print_data(line.text, line.style)
    else:
        terminal.data(report)
    terminal.say(f"  → {place.report}    this report; {place.table.name} is the table")
    if not report.complete:
        terminal.say("  → the same command goes on: some samples have no verdict yet")
    return 0 if report.complete else SOME_FAILED


def _chosen(place: Path, only: tuple[str, ...], limit: int | None, test_command: str | None) -> tuple[Problem, ...]:
    if limit is not None and limit < 1:
        raise Refused(f"--limit: {limit} is not possible", "Choose 1 or more, or leave it out for all problems.")
    kept = chosen(read_set(place, test_command), only, limit)
    if not kept:
        raise Refused(f"--only: no problem of {place} has {' or '.join(only)} in its id", "Leave it out to take all.")
    return kept


def _seeds(n: int | None, seeds: str | None) -> tuple[int, ...]:
    named = _numbers("--seeds", seeds, 0, _SEED_BOUND - 1)
    if n is not None and named and n != len(named):
        raise Refused(f"--n {n} and --seeds with {len(named)} do not agree", "Give one of the two.")
    return named or tuple(range(1, 1 + _within("--n", 1 if n is None else n, 1, MOST_SEEDS)))


def _candidates(text: str | None) -> tuple[Candidates, ...]:
    """Numbers, and `auto` among them, in the order in which they were named."""
    words = [word.strip() for word in (text or "").split(",")] if text is not None else []
    if words.count("auto") > 1:
        raise Refused(f"--candidates: {text!r} names auto twice", "Name each once.")
    numbers = [word for word in words if word != "auto"]
    known = iter(_numbers("--candidates", ",".join(numbers), 1, MOST_CANDIDATES) if numbers else ())
    return tuple("auto" if word == "auto" else next(known) for word in words)


def _numbers(option: str, text: str | None, least: int, most: int) -> tuple[int, ...]:
    if text is None:
        return ()
    try:
        numbers = tuple(int(each) for each in text.split(","))
    except ValueError:
        raise Refused(f"{option}: {text!r} are no {_NUMBERS}", f"Type: {option} 1,2,4") from None
    if len(set(numbers)) < len(numbers):
        raise Refused(f"{option}: {text!r} names a number twice", "Name each once.")
    return tuple(_within(option, number, least, most) for number in numbers)


def _within(option: str, number: int, least: int, most: int) -> int:
    if not least <= number <= most:
        raise Refused(f"{option}: {number} is not possible", f"Choose {least} to {most}.")
    return number


def _only_report(problems: Path | None, out: Path | None) -> None:
    if problems is not None or out is not None:
        raise Refused("--report goes with neither a set nor --out", "Type: corral eval --report FOLDER")
