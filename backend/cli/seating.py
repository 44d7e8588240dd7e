"""A command's seat at the engine, and what the person is told of it.

Owns the words: whose guest this is, why a holder stays, and that no sandbox holds the code which a model writes.
"""

from collections.abc import Callable, Generator, Mapping, Set
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Annotated, Literal, TypeAlias

from cyclopts import Parameter

from backend.attach.guest import Guest
from backend.attach.seat import Seat
from backend.cli.console import Terminal
from backend.cli.errors import Refused
from backend.cli.interrupts import interruptible
from backend.cli.options import Common, load
from infrastructure.config.settings import Settings
from infrastructure.events.catalogue import Event, TestsRan
from infrastructure.sandbox import Level
from infrastructure.storage.lock import Holder

LevelName: TypeAlias = Literal["auto", "bubblewrap", "landlock", "none"]
SandboxOption = Annotated[
    LevelName | None,
    Parameter(
        help="What holds the code that a model writes; `none` lets it do all that you can do. When unset, what the"
        " settings say (`sandbox.level`)."
    ),
]
UNHELD = "no sandbox (level none): code that a model wrote runs with your own rights on your own files"


def settings_with(common: Common, sandbox: LevelName | None) -> Settings:
    """All settings, with what the command line says of the sandbox."""
    return load(common, {"sandbox.level": sandbox}).settings


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the command line says and only whoever holds the engine can go by.

    Attributes:
        sandbox: The level of --sandbox.
        servers: The addresses of --server, as the settings write them.
        told: What of any settings is written beside each result, though no task carries it; asked of ours and of the
            holder's. None where nothing is written.
    """

    sandbox: LevelName | None = None
    servers: frozenset[str] = frozenset()
    told: Callable[[Settings], Mapping[str, object]] | None = None


NOTHING_WANTED = Wanted()


def wanted_of(common: Common, settings: Settings, sandbox: LevelName | None = None) -> Wanted:
    """What these options want of a holder."""
    return Wanted(sandbox, frozenset(server.url for server in settings.servers) if common.server else frozenset())


def check_servers(wanted: Wanted, holder: Holder, theirs: Set[str]) -> None:
    """Return where whoever holds the engine asks the servers that were asked for, and no others.

    Raises:
        Refused: it has others.
    """
    if wanted.servers and wanted.servers != theirs:
        raise _not_its_guest(f"--server: the engine is held by {held_by(holder)}, which asks {_listed(theirs)}")


def check_told(wanted: Wanted, holder: Holder, ours: Settings, theirs: Settings | None) -> None:
    """Return where results that the holder makes are what would be told of them.

    Raises:
        Refused: it goes by other settings.
    """
    if wanted.told is None:
        return
    if theirs is None:
        raise _not_its_guest(f"the engine is held by {held_by(holder)}, which is another version")
    mine, other = wanted.told(ours), wanted.told(theirs)
    if differ := [name for name in mine if mine[name] != other.get(name)]:
        words = f"{', '.join(differ)}: the engine is held by {held_by(holder)}"
        raise Refused(
            f"{words}, which has other values; records would tell of what was not used",
            "Take its settings, end that command first, or take another --data for an engine of your own.",
        )


def held_by(holder: Holder) -> str:
    """Who holds the engine, in words."""
    return f"`corral {holder.verb}` (process {holder.pid})"


def open_seat(
    settings: Settings,
    verb: str,
    terminal: Terminal,
    wanted: Wanted = NOTHING_WANTED,
    refuse: Callable[[str, Holder], Exception] | None = None,
) -> Seat:
    """A seat at the engine that tells the person where it is.

    Args:
        settings: All of them.
        verb: What the person ran.
        terminal: Where it is told.
        wanted: What was asked for on the command line. Only a holder can choose a sandbox, so entering the seat as a
            guest raises `Refused` then; `check_seat` does where the holder asks other servers, or results would be told
            wrongly.
        refuse: Says why this cannot be a guest, given who holds the engine in words; None where it can.
    """

    def on_guest(holder: Holder) -> None:
        who = held_by(holder)
        if refuse is not None:
            raise refuse(who, holder)
        if wanted.sandbox is not None:
            raise _not_its_guest(f"--sandbox: the engine is held by {who}, whose settings rule")
        terminal.say(f"the engine is held by {who}; this joins it as a guest")

    async def on_admission(holder: Holder, guest: Guest) -> None:
        if wanted.servers:
            check_servers(wanted, holder, await guest.servers())
        if wanted.told is not None:
            check_told(wanted, holder, settings, await guest.settings())

    @contextmanager
    def on_stay(runs: int, leave: Callable[[], None]) -> Generator[None]:
        others = "another command's run goes" if runs == 1 else f"{runs} runs of other commands go"

        def hand_over() -> None:
            terminal.say("handing over", "yellow")
            leave()

        with interruptible(hand_over):  # before it is said: who reads it may press Ctrl-C at once
            terminal.say(f"staying, since {others} on in this process; Ctrl-C hands over to the others", "yellow")
            yield

    return Seat(
        settings,
        verb=verb,
        on_guest=on_guest,
        on_admission=on_admission if wanted.servers or wanted.told is not None else None,
        on_hold=lambda: terminal.say("the holder is gone; this process holds the engine now"),
        on_stay=on_stay,
    )


async def check_seat(seat: Seat, terminal: Terminal) -> None:
    """Before a run is begun: open the sandbox, and say so where it holds nothing. A guest has none, but a holder.

    Raises:
        NoSandbox: the wanted one is not available.
        Refused: the holder asks other servers than the wanted ones, or goes by other settings than would be told.
    """
    await seat.admit()
    if seat.application is not None:
        sandbox = await seat.application.open_sandbox()
        if sandbox.level is Level.NONE:
            terminal.warn(UNHELD)


def _not_its_guest(why: str) -> Refused:
    return Refused(why, "Leave it out, end that command first, or take another --data for an engine of your own.")


def _listed(servers: Set[str]) -> str:
    return ", ".join(sorted(servers)) or "none"


class UnheldGuest:
    """Warns a guest, once, that its host runs tests without a sandbox: the first test run tells."""

    def __init__(self, seat: Seat, terminal: Terminal) -> None:
        self._terminal = terminal
        self._told = seat.application is not None  # as its holder it was told before

    def see(self, event: Event) -> None:
        """Take an event in."""
        if isinstance(event, TestsRan) and event.sandbox == Level.NONE and not self._told:
            self._told = True
            self._terminal.warn(UNHELD)
