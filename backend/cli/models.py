"""`corral models`: list, pull, check, fit."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import aclosing
from dataclasses import asdict
from typing import Annotated

from cyclopts import App, Parameter
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn
from rich.table import Table

from backend.cli.calibrating import Calibration, calibrate, with_calibration
from backend.cli.checking import Checked, check_model, document_of, findings_of
from backend.cli.checkup import look_at_memory
from backend.cli.console import Terminal, open_terminal, visible
from backend.cli.doctor import print_findings
from backend.cli.errors import ENVIRONMENT, FAILED, INTERRUPTED, Refused
from backend.cli.fitting import rows_of, wanted_lanes
from backend.cli.manual import below
from backend.cli.options import NO_OPTIONS, Common, Document, settings_of
from backend.cli.profiling import (
    document_of_check,
    has_profile,
    print_calibration,
    print_profile,
    profiled,
    profiles_of,
    stored,
)
from backend.cli.standing import Standings
from infrastructure.config.settings import ServerSettings, Settings
from infrastructure.connection_pool import OllamaConnectionPool, PoolModel
from infrastructure.pool.errors import ModelNowhere
from infrastructure.pool.fitting import Fit, judge_fit
from infrastructure.storage.profiles import Profile
from infrastructure.storage.times import utc_now
from infrastructure.transport.messages import PullProgress

models = App(
    name="models",
    help="List, pull and check models, and see which lanes fit together.",
    help_epilogue=below("models"),
)
ModelArgument = Annotated[str, Parameter(help="A lane of the settings, or a model as its server names it.")]
_MOST_MINUTES = 120
_MARKS = {"yes": ("✓", "green"), "no": ("✗", "red"), "unknown": ("?", "yellow")}


@models.default
@models.command(name="list")
def list_(*, output: Document = "text", common: Common = NO_OPTIONS) -> int:
    """List the models of all servers: size on disk, where each is, where it is in memory, what it can do."""
    terminal, settings = open_terminal(), settings_of(common)
    found = asyncio.run(_list(settings))
    known = asyncio.run(profiled(settings, terminal))
    if output != "text":
        terminal.data([asdict(model) | {"profile": has_profile(model, known)} for model in found])
    elif found:
        terminal.out.print(_listed(found, len(settings.servers), known))
    else:
        terminal.say("no server has a model; `corral models pull MODEL` gets one")
    return 0


@models.command
def pull(model: ModelArgument, /, *, output: Document = "text", common: Common = NO_OPTIONS) -> int:
    """Have a server download a model: the first that answers, or the one that --server names.

    Ctrl-C stops it, unless somebody else waits for the same model there; what has come is kept.
    """
    terminal = open_terminal()
    try:
        asyncio.run(_pull(settings_of(common), model, terminal, quiet=common.quiet))
    except KeyboardInterrupt:
        terminal.say("stopped; what has come is kept there, and the same command goes on")
        return INTERRUPTED
    if output != "text":
        terminal.data({"model": model, "status": "success"})
    else:
        terminal.print_data(f"pulled {model}; `corral models check {model}` tries it")
    return 0


@models.command
def check(
    model: ModelArgument,
    /,
    *,
    minutes: Annotated[float, Parameter(help="How long the trial may take; 0 asks the one short thing only; 5.")] = 5.0,
    show: Annotated[bool, Parameter(negative=(), help="Print the stored profile, and ask nobody.")] = False,
    output: Document = "text",
    common: Common = NO_OPTIONS,
) -> int:
    """Try a model, and keep what was found as its profile, which runs go by.

    First one short thing on each server that has it: does it answer, how fast, in which window, on a GPU? Then, on the
    first that answers, how many calls at once pay, which forms of edits it writes well, and how long a prompt it reads.
    It asks the servers directly, beside whatever an engine has under way there; a model that is not loaded gets loaded.
    """
    settings, terminal = settings_of(common), open_terminal()
    if not 0 <= minutes <= _MOST_MINUTES:
        raise Refused(
            f"--minutes: {minutes:g} is not between 0 and {_MOST_MINUTES}", "`corral models check --help` tells more."
        )
    if show:
        return _show(settings, model, terminal, text=output == "text")
    checked = asyncio.run(_check(settings, model))
    here = [each for each in checked if each.has_it]
    if not here:
        raise ModelNowhere(settings.lane_of(model).model, tuple(each.name for each in asyncio.run(_list(settings))))
    findings = [finding for each in here for finding in findings_of(each)]
    answers = any(each.fault is None for each in here)
    exit_code = 0 if answers else ENVIRONMENT
    if output == "text":
        print_findings(findings, terminal)
    tell: Callable[[str], None] = (lambda _: None) if common.quiet else terminal.say
    usable = [server for server, each in zip(settings.servers, checked, strict=True) if each.reply is not None]
    found = profile = None
    if minutes and usable:
        found, profile = asyncio.run(_try(settings, usable[0], model, minutes, tell))
    if output != "text":
        told = {"ok": answers, "exit_code": exit_code, "servers": [document_of(each) for each in here]}
        terminal.data(told | {"checks": [asdict(each) for each in findings]} | document_of_check(found, profile))
    elif found is not None:
        print_calibration(found, terminal)
        _print_kept(profile, terminal)
    return exit_code


@models.command
def fit(*, output: Document = "text", common: Common = NO_OPTIONS) -> int:
    """Say which lanes of the settings fit together into each server's memory, and what cannot be known.

    By the sizes that servers tell, and how many models each holds at once: `max_loaded_models` of the settings, or what
    the engine that runs has learned.
    """
    settings, terminal = settings_of(common), open_terminal()
    lanes = wanted_lanes(settings)
    fits = asyncio.run(_fit(settings)) if lanes else ()
    if output != "text":
        terminal.data({"servers": [asdict(each) for each in fits]})
    elif not lanes:
        terminal.say(
            "the settings have no lane and no model, so there is nothing to fit; docs/settings.md has examples"
        )
    for each in fits if output == "text" else ():
        _print_fit(each, terminal)
    return FAILED if any(each.verdict == "no" for each in fits) else 0


# ------------------------------------------------------------------------------------------------ what they do


async def _list(settings: Settings) -> tuple[PoolModel, ...]:
    async with OllamaConnectionPool(settings.servers, lanes=settings.lanes, settings=settings.pool) as pool:
        return await pool.models()


async def _pull(settings: Settings, model: str, terminal: Terminal, *, quiet: bool) -> None:
    async with (
        OllamaConnectionPool(settings.servers, lanes=settings.lanes, settings=settings.pool) as pool,
        aclosing(pool.pull(model)) as steps,
    ):
        with PullView(terminal, quiet=quiet) as view:
            async for step in steps:
                view.show(step)


async def _check(settings: Settings, model: str) -> list[Checked]:
    return await asyncio.gather(*(check_model(settings, server, model) for server in settings.servers))


async def _try(
    settings: Settings, server: ServerSettings, name: str, minutes: float, tell: Callable[[str], None]
) -> tuple[Calibration, Profile | None]:
    """Try a model and keep what was found; nothing is kept where nothing was, or of a model without a digest."""
    found = await calibrate(settings, server, name, seconds=60 * minutes, tell=tell)
    if not found.digest or not (found.rows or found.at_once or found.window):
        return found, None
    now = utc_now()
    keep = profiles_of(settings).update
    return found, await keep(found.model, found.digest, lambda known: with_calibration(known, found, now))


def _show(settings: Settings, name: str, terminal: Terminal, *, text: bool) -> int:
    found = asyncio.run(stored(settings, name, terminal))
    if not text:
        terminal.data({"profiles": found})
    for profile in found if text else ():
        print_profile(profile, terminal)
    return 0


async def _fit(settings: Settings) -> tuple[Fit, ...]:
    async with Standings(settings) as standings:
        standing = await standings.look()
    learned = {server.url: server.places for server in standing.pool.servers if standing.holder is not None}
    lanes = wanted_lanes(settings)
    return tuple(judge_fit(each, lanes) for each in await look_at_memory(settings, learned))


# ------------------------------------------------------------------------------------------------ how it looks


def _print_kept(profile: Profile | None, terminal: Terminal) -> None:
    terminal.print_data("")
    if profile is None:
        terminal.print_data("nothing was kept: nothing was found, or the server tells no digest of the model")
        return
    print_profile(profile, terminal)
    terminal.print_data("kept: runs go by it from now on (`run.profiles = false` of the settings: they do not)")


class PullView:
    """How far a download is: a bar on a terminal, a line for each step elsewhere."""

    def __init__(self, terminal: Terminal, *, quiet: bool) -> None:
        self._terminal, self._quiet = terminal, quiet
        self._said = ""
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            DownloadColumn(),
            TransferSpeedColumn(),
            TimeRemainingColumn(),
            console=terminal.err,
            transient=True,
            disable=quiet or not terminal.err.is_terminal,
        )
        self._task = self._bar.add_task("pulling", total=None)

    def __enter__(self) -> "PullView":
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def show(self, step: PullProgress) -> None:
        """A step of the download."""
        status = visible(step.status)
        if status != self._said:
            self._said = status
            self._bar.reset(self._task, description=status, total=step.total)
            if self._bar.disable and not self._quiet:
                self._terminal.say(status)
        self._bar.update(self._task, total=step.total, completed=step.completed)


def _listed(found: Sequence[PoolModel], servers: int, known: frozenset[tuple[str, str]]) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="dim")
    for title in ("model", "size", "kind", "in memory on" if servers > 1 else "in memory", "profile", "can"):
        table.add_column(title, no_wrap=True, overflow="ellipsis", justify="right" if title == "size" else "left")
    if servers > 1:
        table.add_column("on", no_wrap=True, overflow="ellipsis")
    for model in found:
        loaded = ", ".join(model.loaded_on) if servers > 1 else "yes" if model.loaded_on else ""
        cells = [
            model.name,
            f"{model.size / 1e9:.1f} GB" if model.remote_host is None else "cloud",
            f"{model.parameter_size} {model.quantization}".strip(),
            loaded or "-",
            "yes" if has_profile(model, known) else "-",
            "?" if model.capabilities is None else ", ".join(model.capabilities),
        ]
        table.add_row(*map(visible, cells if servers == 1 else [*cells, ", ".join(model.servers)]))
    return table


def _print_fit(fit: Fit, terminal: Terminal) -> None:
    mark, style = _MARKS[fit.verdict]
    terminal.print_data(f"{mark} {fit.server}: {fit.said}", style)
    for row in rows_of(fit):
        terminal.print_data(f"    {row}")
    if fit.fix:
        terminal.print_data(f"    → {fit.fix}")
