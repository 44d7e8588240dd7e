"""The pool as a few tables on a terminal: servers, lanes, the queue, the calls in hand.

Owns what is shown and how it is cut: a narrow terminal has fewer columns, never broken lines.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from rich.console import Console, ConsoleOptions, Group, RenderResult
from rich.table import Table
from rich.text import Text

from backend.cli.console import visible
from infrastructure.pool.breakers import BreakerState
from infrastructure.pool.states import Health

if TYPE_CHECKING:
    from backend.cli.standing import Standing
    from infrastructure.pool.snapshot import CallSnapshot, LaneSnapshot, LoadedSnapshot, PoolSnapshot, ServerSnapshot

_WIDE, _MIDDLE = 110, 76
_HEALTH = {Health.UP: "green", Health.DOWN: "red", Health.UNKNOWN: "yellow"}
_CALLS_ROWS = 20


@dataclass(frozen=True, slots=True)
class Column:
    """A column, and the narrowest terminal that has it."""

    title: str
    room: int = 0
    side: Literal["left", "right"] = "left"
    share: int | None = None
    """How much of the room that is left it takes; None: as much as it needs."""


_SERVERS = (
    Column("server", share=2),
    Column("state"),
    Column("calls", side="right"),
    Column("places", _MIDDLE, side="right"),
    Column("in memory", share=3),
)
_LANES = (
    Column("lane", share=3),
    Column("server", share=2),
    Column("busy", side="right"),
    Column("wait", side="right"),
    Column("memory", _MIDDLE),
    Column("prompt/s", _MIDDLE, side="right"),
    Column("answer/s", side="right"),
    Column("first s", _WIDE, side="right"),
    Column("load s", _WIDE, side="right"),
)
_CALLS = (
    Column("call", _MIDDLE, side="right"),
    Column("client", share=1),
    Column("band", _MIDDLE),
    Column("model", share=2),
    Column("state"),
    Column("server", _WIDE, share=1),
    Column("s", side="right"),
    Column("tokens", side="right"),
)


@dataclass(frozen=True, slots=True)
class Dashboard:
    """A standing, as it is drawn."""

    standing: Standing

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Draw it for the width there is."""
        pool, width = self.standing.pool, options.max_width
        parts: list[Table | Text] = [*_head(self.standing), _table(_SERVERS, map(_server, pool.servers), width)]
        lanes = [_lane(pool, server, lane) for server in pool.servers for lane in server.lanes]
        if lanes:
            parts += [Text(""), _table(_LANES, lanes, width)]
        if pool.in_hand:
            parts += [Text(""), _table(_CALLS, map(_call, pool.in_hand[:_CALLS_ROWS]), width)]
            more = sum(pool.queued.values()) + sum(pool.in_flight.values()) - min(len(pool.in_hand), _CALLS_ROWS)
            if more > 0:
                parts.append(_line(f"and {more} more", "dim"))
        yield Group(*parts)


def _head(standing: Standing) -> tuple[Text, ...]:
    pool, holder = standing.pool, standing.holder
    if holder is None:
        return (_line("no engine runs; this is what the servers say themselves", "bold"),)
    calls, waiting = pool.calls, sum(pool.queued.values())
    bands = ", ".join(f"{count} {band}" for band, count in pool.queued.items() if count)
    state = "  drains" if pool.draining else ""
    oldest = f" ({bands}; the oldest for {_seconds(pool.oldest_wait_seconds)} s)" if waiting else ""
    return (
        _line(f"engine of `corral {holder.verb}` (process {holder.pid}){state}", "bold"),
        _line(f"waiting {waiting}{oldest} · in flight {sum(pool.in_flight.values())}"),
        _line(
            f"done {calls.done:,} · failed {calls.failed:,} · cancelled {calls.cancelled:,} · pre-empted "
            f"{calls.preempted:,} · loads {pool.loads:,} · reloads not ours {pool.reloads:,}",
            "dim",
        ),
    )


def _server(server: ServerSnapshot) -> Sequence[str | Text]:
    drains = server.draining and server.health is Health.UP
    state = Text("drains" if drains else server.health.value, style="yellow" if drains else _HEALTH[server.health])
    places = "?" if server.places is None else f"{server.places}{'' if server.places_given else ' learned'}"
    if server.health is Health.DOWN:
        held = server.reason.removeprefix(f"{server.label}: ")
    else:
        coming = [] if server.loading is None else [f"loads {server.loading}"]
        held = ", ".join([*coming, *map(_loaded, server.loaded)]) or "nothing"
    return server.label, state, str(server.in_flight), places, held


def _loaded(model: LoadedSnapshot) -> str:
    window = f", {model.context_length:,} tokens" if model.context_length else ""
    share = 100 * model.size_vram // max(1, model.size)
    spilled = "" if model.size_vram >= model.size else f", {share} % on the GPU" if share else ", on the CPU"
    return f"{model.model} ({model.size / 1e9:.1f} GB{spilled}{window})"


def _lane(pool: PoolSnapshot, server: ServerSnapshot, lane: LaneSnapshot) -> Sequence[str | Text]:
    memory = "loading" if lane.loading else "yes" if lane.resident else "no"
    if lane.breaker is not BreakerState.CLOSED:
        memory = f"breaker {lane.breaker}"
    figures = lane.figures
    prompt = lane.prompt_tokens_per_second or figures.prompt_tokens_per_second
    return (
        lane.lane,
        server.label,
        f"{lane.busy + lane.cancelling}/{lane.slots}{'' if lane.settled else '+'}",
        str(pool.waiting.get(lane.lane, 0)),
        memory,
        _rate(prompt),
        _rate(figures.decode_tokens_per_second),
        _seconds(figures.first_byte_seconds) if figures.calls else "-",
        _seconds(lane.load_seconds),
    )


def _call(call: CallSnapshot) -> Sequence[str | Text]:
    return (
        str(call.number),
        call.client,
        call.band.value,
        call.model,
        call.state.value,
        call.server or "-",
        _seconds(call.seconds),
        f"{call.prompt_tokens:,}+{call.answer_tokens:,}",
    )


def _table(columns: Sequence[Column], rows: Iterable[Sequence[str | Text]], width: int) -> Table:
    shown = [place for place, column in enumerate(columns) if column.room <= width]
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="dim", width=width)
    for place in shown:
        column = columns[place]
        table.add_column(
            column.title,
            justify=column.side,
            ratio=column.share,
            no_wrap=True,
            overflow="ellipsis",
            min_width=4 if column.share else None,
        )
    for row in rows:
        table.add_row(*(_cell(row[place]) for place in shown))
    return table


def _cell(value: str | Text) -> Text:
    return value if isinstance(value, Text) else Text(visible(value))


def _line(text: str, style: str = "") -> Text:
    return Text(visible(text), style=style, no_wrap=True, overflow="ellipsis")


def _rate(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 else f"{value:.1f}" if value else "-"


def _seconds(value: float) -> str:
    return f"{value:.1f}" if value < 100 else f"{value:,.0f}"
