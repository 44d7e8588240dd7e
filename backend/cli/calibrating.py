"""How a model edits, and how much at once: tried on one server within some minutes, and kept as its profile.

Owns the order in which things are tried (calls at once, then edits, then the window), what is done where the time does
not suffice, and what of it goes into the profile. The edits and their judge are `agents/codegen/trials.py`.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import datetime

from agents.codegen import CODER, EDIT_TRIALS, EditFormat, EditTrial, Verdict, judge_trial
from agents.fitting import with_options
from backend.cli.measuring import measure, windows
from infrastructure.config.settings import ServerSettings, Settings
from infrastructure.connection_pool import OllamaConnectionPool
from infrastructure.local_llm import AsyncLocalLLM
from infrastructure.pool.lanes import canonical
from infrastructure.storage.profiles import FormatRecord, Profile
from infrastructure.transport.client import OllamaClient
from infrastructure.transport.errors import OllamaError

FORMATS: tuple[EditFormat, ...] = ("whole", "search_replace", "function")
TEMPERATURES = (0.2, 0.7)
"""Of a run's first candidate, and of the others."""
_MOST_AT_ONCE, _BENCH_TOKENS = 8, 64
_BENCH_SHARE = 0.35
"""Of the time, for the calls at once."""
_ANSWER_TOKENS = 1536
_FAILURES = 3
"""Failed calls after which no more are asked."""
_ENOUGH = 5
_CLEARLY = 0.1
"""How much more must be right at the higher temperature for it to be taken."""


@dataclass(frozen=True, slots=True)
class Answered:
    """One edit that was asked for, and how far the answer got."""

    trial: str
    edit_format: EditFormat
    temperature: float
    verdict: Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """The answers in one form at one temperature."""

    edit_format: EditFormat
    temperature: float
    asked: int
    readable: int
    applied: int
    right: int
    why: tuple[str, ...] = ()
    """Why some were not, each reason once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """What was found; None for what the time did not suffice for, or what could not be measured."""

    server: str
    model: str
    digest: str
    rows: tuple[Row, ...]
    planned: int
    """Edits that would have been asked for with time enough."""
    temperature: float | None
    window: int | None
    at_once: int | None
    advice: str
    seconds: float


@dataclass(slots=True)
class _Found:
    answers: list[Answered] = field(default_factory=list[Answered])
    window: int | None = None
    at_once: int | None = None
    advice: str = ""


async def calibrate(
    settings: Settings, server: ServerSettings, name: str, *, seconds: float, tell: Callable[[str], None]
) -> Calibration:
    """Try a model on a server.

    Args:
        settings: Lanes and limits.
        server: The server.
        name: A lane or a model.
        seconds: All of it may take that long; what has come by then counts.
        tell: Told what goes on.

    Raises:
        OllamaError: the server has no such model, or call after call failed.
    """
    lane, began, found = settings.lane_of(name), time.monotonic(), _Found()

    def left() -> float:
        return max(0.0, seconds - (time.monotonic() - began))

    async with (
        OllamaConnectionPool((server,), lanes=settings.lanes, settings=settings.pool) as pool,
        aclosing(OllamaClient(server, limits=settings.pool.phases, allow_cloud=settings.pool.allow_cloud)) as client,
    ):
        digest = await _digest(client, lane.model)
        try:
            async with asyncio.timeout(_BENCH_SHARE * left()):
                bench = await measure(client, lane, most=_MOST_AT_ONCE, tokens=_BENCH_TOKENS, tell=tell)
                found.at_once, found.advice = bench.advice_at_once, bench.advice
        except TimeoutError:
            tell("calls at once: not enough time to measure them; --minutes gives more")
        try:
            async with asyncio.timeout(left()):
                await _edits(AsyncLocalLLM(name, pool=pool), found, tell)
                await _window(client, settings, name, found, tell)
        except TimeoutError:
            tell("the time is up; what has come counts")
    return Calibration(
        server=server.label,
        model=canonical(lane.model),
        digest=digest,
        rows=rows_of(found.answers),
        planned=len(_plan()),
        temperature=best_temperature(found.answers),
        window=found.window,
        at_once=found.at_once,
        advice=found.advice,
        seconds=time.monotonic() - began,
    )


def with_calibration(profile: Profile, calibration: Calibration, now: datetime) -> Profile:
    """The profile with what was found; what was not found stays as it was, and so do the counts of runs."""
    formats = dict(profile.formats)
    for form in FORMATS:
        rows = [row for row in calibration.rows if row.edit_format == form]
        if rows:
            known = formats.get(form, FormatRecord())
            figures = {
                name: sum(getattr(row, name) for row in rows) for name in ("asked", "readable", "applied", "right")
            }
            formats[form] = known.model_copy(update=figures)
    at_once = {} if calibration.at_once is None else {calibration.server: calibration.at_once}
    return profile.model_copy(
        update={
            "formats": formats,
            "window": calibration.window or profile.window,
            "temperature": profile.temperature if calibration.temperature is None else calibration.temperature,
            "at_once": {**profile.at_once, **at_once},
            "checked": now,
        }
    )


def rows_of(answers: Sequence[Answered]) -> tuple[Row, ...]:
    """The answers counted, by form and temperature; only of those that were asked."""
    rows: list[Row] = []
    for temperature in TEMPERATURES:
        for form in FORMATS:
            verdicts = [a.verdict for a in answers if (a.edit_format, a.temperature) == (form, temperature)]
            if verdicts:
                rows.append(
                    Row(
                        edit_format=form,
                        temperature=temperature,
                        asked=len(verdicts),
                        readable=sum(verdict.readable for verdict in verdicts),
                        applied=sum(verdict.applied for verdict in verdicts),
                        right=sum(verdict.right for verdict in verdicts),
                        why=tuple(dict.fromkeys(verdict.why for verdict in verdicts if verdict.why)),
                    )
                )
    return tuple(rows)


def best_temperature(answers: Sequence[Answered]) -> float | None:
    """The lowest, unless clearly more is right at a higher one; None where too few were asked to say."""
    best: tuple[float, float] | None = None
    for temperature in TEMPERATURES:
        right = [answer.verdict.right for answer in answers if answer.temperature == temperature]
        if len(right) < _ENOUGH:
            continue
        share = sum(right) / len(right)
        if best is None or share > best[1] + _CLEARLY:
            best = (temperature, share)
    return None if best is None else best[0]


async def _digest(client: OllamaClient, model: str) -> str:
    wanted = canonical(model)
    return next((each.digest for each in await client.tags() if canonical(each.name) == wanted), "")


def _plan() -> list[tuple[EditTrial, EditFormat, float]]:
    """The lower temperature first, the forms in turn: what the time cuts off takes as much from each."""
    return [(trial, form, temperature) for temperature in TEMPERATURES for trial in EDIT_TRIALS for form in FORMATS]


async def _edits(model: AsyncLocalLLM, found: _Found, tell: Callable[[str], None]) -> None:
    plan = _plan()
    coming = iter(plan)
    failures: list[OllamaError] = []
    tell(f"asking for {len(plan)} small edits, {found.at_once or 1} at once")

    async def ask_on() -> None:
        for trial, form, temperature in coming:
            options = {"temperature": temperature, "num_predict": _ANSWER_TOKENS}
            try:
                answer = await model.answer(with_options(CODER.question(trial.question(form)), options))
            except OllamaError as error:
                failures.append(error)
                if len(failures) >= _FAILURES:
                    return
                continue
            found.answers.append(Answered(trial.name, form, temperature, judge_trial(trial, form, answer)))

    await asyncio.gather(*(ask_on() for _ in range(found.at_once or 1)))
    if failures and not found.answers:
        raise failures[0]
    if failures:
        tell(f"{len(failures)} calls failed and are not counted: {failures[0]}")


async def _window(
    client: OllamaClient, settings: Settings, name: str, found: _Found, tell: Callable[[str], None]
) -> None:
    lane = settings.lane_of(name)
    here = next((each for each in await client.ps() if canonical(each.name) == canonical(lane.model)), None)
    window = (here.context_length if here else None) or lane.num_ctx
    if window is None:
        return
    async with aclosing(windows(client, lane, window, tell=tell)) as tried:
        async for size in tried:
            found.window = size
