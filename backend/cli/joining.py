"""A chat's way to the engine: held by this process, or at the door of whoever holds it.

Owns the change between the two. Where a holder goes, the next one is asked, or this process holds the engine from then
on.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from backend.attach.guest import Guest, HolderGone
from backend.attach.seat import LOOK_SECONDS
from backend.cli.console import Terminal
from backend.cli.errors import ENVIRONMENT, Refused
from backend.cli.hosting import Host, host_of
from backend.cli.seating import Wanted, check_servers, open_seat
from backend.cli.visiting import host_at
from backend.security.token import open_keys
from infrastructure.config.settings import Settings
from infrastructure.storage.directory import DataDirectory
from infrastructure.storage.lock import Holder

PATIENCE = 10.0
"""Seconds for which a holder may answer nothing: it has yet to open its door, or to end."""


async def at_the_engine(
    settings: Settings,
    verb: str,
    terminal: Terminal,
    wanted: Wanted,
    talk: Callable[[Host], Awaitable[int]],
    gone: Callable[[str], None],
) -> int:
    """Talk over the engine, whoever holds it; once more where its holder goes meanwhile.

    Args:
        settings: All of them.
        verb: What the person ran.
        terminal: Where it is told whose guest this is.
        wanted: What the command line wants of a holder.
        talk: What is done with the engine; what it gives is the result.
        gone: Told that a holder, in words, went while this was its guest; raises where that is the end.

    Raises:
        Refused: the holder does not answer, or asks other servers than the wanted ones.
    """
    loop = asyncio.get_running_loop()
    reached_at = loop.time()
    while True:
        try:
            async with open_seat(settings, verb, terminal, refuse=_Held) as seat:
                assert seat.application is not None, "a guest is none here"
                return await talk(host_of(seat.application))
        except _Held as held:
            who, holder = held.who, held.holder
        try:
            host = await _answering(holder, settings, wanted)
        except HolderGone as error:
            if loop.time() - reached_at > PATIENCE:
                raise _no_answer(who, holder) from error
            await asyncio.sleep(LOOK_SECONDS)
            continue
        terminal.say(f"the engine is held by {who}; this joins it as a guest")
        try:
            return await talk(host)
        except HolderGone:
            gone(who)
            reached_at = loop.time()


class _Held(Exception):
    """The engine is held by another process."""

    def __init__(self, who: str, holder: Holder) -> None:
        super().__init__(who)
        self.who, self.holder = who, holder


async def _answering(holder: Holder, settings: Settings, wanted: Wanted) -> Host:
    """The engine at its holder's.

    Raises:
        HolderGone: it does not answer, or not yet.
        Refused: it asks other servers than the wanted ones.
    """
    if not holder.address:
        raise HolderGone("it has no door yet")
    keys = await asyncio.to_thread(open_keys, DataDirectory(settings.paths.data).token)
    guest = Guest(holder.address, keys.token)
    if wanted.servers:
        check_servers(wanted, holder, await guest.servers())
    host = host_at(guest)
    await host.turns.agents()
    return host


def _no_answer(who: str, holder: Holder) -> Refused:
    where = f" at {holder.address}" if holder.address else ""
    hint = "End it, or take another --data for sessions of their own."
    return Refused(f"the engine is held by {who}, which does not answer{where}", hint, ENVIRONMENT)
