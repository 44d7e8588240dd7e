"""`corral top`: the pool as it is now, again and again."""

import asyncio
from typing import Annotated

from cyclopts import Parameter
from pydantic import TypeAdapter
from rich.live import Live

from backend.cli.console import Terminal, open_terminal
from backend.cli.dashboard import Dashboard
from backend.cli.errors import Refused
from backend.cli.interrupts import interruptible
from backend.cli.keys import quits
from backend.cli.options import NO_OPTIONS, Common, Document, settings_of
from backend.cli.seating import Wanted, check_servers, wanted_of
from backend.cli.standing import Standing, Standings
from infrastructure.config.settings import Settings
from infrastructure.pool.snapshot import PoolSnapshot

_SNAPSHOT = TypeAdapter(PoolSnapshot)
_QUICKEST = 0.1


def top(
    *,
    once: Annotated[bool, Parameter(help="Print the tables once, and end.")] = False,
    every: Annotated[float, Parameter(help="Seconds between two looks; 1.")] = 1.0,
    output: Document = "text",
    common: Common = NO_OPTIONS,
) -> int:
    """Watch servers, lanes, slots, the queue and the calls in hand; q or Ctrl-C ends it.

    It shows the engine that runs now, whichever command holds it; where none runs, what the servers say themselves. In
    a pipe it prints once. In the column `busy`, `1/2+` means one call, two known to run side by side, more to be tried.
    """
    if every < _QUICKEST:
        raise Refused(f"--every: {every:g} is too often", f"Give it at least {_QUICKEST:g} seconds.")
    settings = settings_of(common)
    wanted, once = wanted_of(common, settings), once or output != "text"
    asyncio.run(_top(settings, wanted, open_terminal(), once=once, every=every, output=output))
    return 0


async def _top(
    settings: Settings, wanted: Wanted, terminal: Terminal, *, once: bool, every: float, output: str
) -> None:
    async with Standings(settings) as standings:
        standing = await standings.look()
        if standing.holder is not None:
            check_servers(wanted, standing.holder, {server.url for server in standing.pool.servers})
        if output != "text":
            terminal.data(document(standing))
        elif once or not terminal.out.is_terminal:
            terminal.out.print(Dashboard(standing))
        else:
            await _watch(standings, standing, terminal, every)


async def _watch(standings: Standings, standing: Standing, terminal: Terminal, every: float) -> None:
    over = asyncio.Event()
    with (
        interruptible(over.set),
        quits(over.set),
        Live(Dashboard(standing), console=terminal.out, screen=True, auto_refresh=False) as live,
    ):
        live.refresh()
        ending = asyncio.create_task(over.wait())
        try:
            while not (await asyncio.wait([ending], timeout=every))[0]:
                looking = asyncio.create_task(standings.look())
                try:
                    await asyncio.wait([ending, looking], return_when=asyncio.FIRST_COMPLETED)
                    if looking.done():
                        live.update(Dashboard(looking.result()), refresh=True)
                finally:
                    looking.cancel()
        finally:
            ending.cancel()


def document(standing: Standing) -> dict[str, object]:
    """A standing for programs."""
    holder = standing.holder
    return {
        "from": "servers" if holder is None else "engine",
        "engine": None if holder is None else {"verb": holder.verb, "pid": holder.pid, "address": holder.address},
        "pool": _SNAPSHOT.dump_python(standing.pool, mode="json"),
    }
