"""`corral bench`: how fast a model is, and how many calls at once pay."""

import asyncio
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import asdict
from typing import Annotated

from cyclopts import Parameter
from rich.table import Table

from backend.cli.checkup import look_at
from backend.cli.console import Terminal, open_terminal, visible
from backend.cli.errors import Refused
from backend.cli.measuring import Benchmark, measure
from backend.cli.options import NO_OPTIONS, Common, Document, settings_of
from backend.cli.outside import ServerSeen, chosen_model
from infrastructure.config.settings import Settings
from infrastructure.pool.errors import ModelNowhere, NoServerAvailable
from infrastructure.pool.lanes import canonical
from infrastructure.storage.directory import DataDirectory
from infrastructure.storage.lock import holder_of
from infrastructure.transport.client import OllamaClient
from infrastructure.workflow.lanes import NoModel

_MOST = 64


def bench(
    model: Annotated[str, Parameter(help="A lane or a model; the one that a run would take.")] = "",
    /,
    *,
    most: Annotated[int, Parameter(help="Calls at once, at most: 1, 2, 4, … up to it; 8.")] = 8,
    tokens: Annotated[int, Parameter(help="Tokens of each answer; 128.")] = 128,
    output: Document = "text",
    common: Common = NO_OPTIONS,
) -> int:
    """Measure a model: reading prompts, writing, the first token, and 1, 2, 4, 8 calls at once.

    It asks the first server that has the model, or the one that --server names, past the queue: what else goes on there
    meanwhile makes it slower, and is made slower by it.
    """
    for name, value, least, greatest in (("--most", most, 1, _MOST), ("--tokens", tokens, 1, 100_000)):
        if not least <= value <= greatest:
            raise Refused(f"{name}: {value} is not between {least} and {greatest}", "`corral bench --help` tells more.")
    settings, terminal = settings_of(common), open_terminal()
    holder = holder_of(DataDirectory(settings.paths.data).lock)
    if holder is not None:
        terminal.warn(f"`corral {holder.verb}` (process {holder.pid}) may use the same servers now")
    tell: Callable[[str], None] = (lambda _: None) if common.quiet else terminal.say
    measured = asyncio.run(_bench(settings, model, most=most, tokens=tokens, tell=tell))
    if output == "text":
        _print(measured, terminal)
    else:
        terminal.data(asdict(measured))
    return 0


async def _bench(settings: Settings, model: str, *, most: int, tokens: int, tell: Callable[[str], None]) -> Benchmark:
    seen = await look_at(settings)
    name = model or settings.model or chosen_model(seen)
    if all(each.fault is not None for each in seen):
        raise NoServerAvailable({each.label: str(each.fault).removeprefix(f"{each.label}: ") for each in seen})
    if not name:
        raise NoModel
    lane = settings.lane_of(name)
    server = next((server for server, each in zip(settings.servers, seen, strict=True) if _has(each, lane.model)), None)
    if server is None:
        raise ModelNowhere(lane.model, tuple(held.name for each in seen for held in each.models))
    if not any(canonical(held.name) == canonical(lane.model) for each in seen for held in each.usable):
        raise Refused(f"{lane.model} makes vectors, it does not write", "Name a model that completes text.")
    tell(f"{lane.model} on {server.label}")
    async with aclosing(
        OllamaClient(server, limits=settings.pool.phases, allow_cloud=settings.pool.allow_cloud)
    ) as client:
        return await measure(client, lane, most=most, tokens=tokens, tell=tell)


def _has(seen: ServerSeen, model: str) -> bool:
    return any(canonical(held.name) == canonical(model) for held in seen.models)


def _print(measured: Benchmark, terminal: Terminal) -> None:
    window = f", window {measured.num_ctx:,} tokens" if measured.num_ctx else ""
    share = measured.on_gpu
    spilled = f", only {100 * share:.0f} % on the GPU" if share is not None and 0 < share < 1 else ""
    loaded = f", loaded in {measured.load_seconds:.1f} s" if measured.load_seconds >= 0.1 else ", was in memory"
    terminal.print_data(f"{measured.model} on {measured.server}{window}{loaded}{spilled}")
    terminal.print_data(
        f"writes {measured.decode_tokens_per_second:,.1f} tokens/s alone, the first after "
        f"{measured.first_token_seconds:.2f} s"
    )
    if measured.fitted:
        terminal.print_data(measured.fitted)
    reading = _table("prompt tokens", "seconds", "tokens/s")
    for each in measured.prefill:
        reading.add_row(f"{each.prompt_tokens:,}", f"{each.seconds:.2f}", f"{each.tokens_per_second:,.0f}")
    writing = _table("at once", "tokens/s in all", "each", "first token s", "worst", "waited")
    for level in measured.levels:
        writing.add_row(
            str(level.at_once),
            f"{level.total_tokens_per_second:,.1f}",
            f"{level.stream_tokens_per_second:,.1f}",
            f"{level.first_token_seconds:.2f}",
            f"{level.first_token_seconds_worst:.2f}",
            str(level.waited or "-"),
        )
    for table in (reading, writing):
        terminal.print_data("")
        terminal.out.print(table)
    terminal.print_data("")
    terminal.print_data(visible(measured.advice))


def _table(*titles: str) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="dim")
    for title in titles:
        table.add_column(title, justify="right", no_wrap=True, overflow="ellipsis")
    return table
