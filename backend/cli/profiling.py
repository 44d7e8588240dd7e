"""How a model's profile, and the check that makes one, are shown.

Owns the tables, the documents for programs, and which stored profiles a name means.
"""

from __future__ import annotations

from dataclasses import asdict

from rich.table import Table

from backend.cli.calibrating import FORMATS, Calibration
from backend.cli.console import Terminal, visible
from backend.cli.errors import Refused
from infrastructure.config.settings import Settings
from infrastructure.connection_pool import PoolModel
from infrastructure.pool.lanes import canonical
from infrastructure.running.learning import measured_of
from infrastructure.storage.directory import DataDirectory
from infrastructure.storage.profiles import FormatRecord, Profile, Profiles


def profiles_of(settings: Settings) -> Profiles:
    """The profiles of the data directory."""
    return Profiles(DataDirectory(settings.paths.data).profiles)


async def stored(settings: Settings, name: str, terminal: Terminal) -> tuple[Profile, ...]:
    """The profiles of a lane or a model: one for each digest that was seen under its name.

    Raises:
        Refused: there is none.
    """
    model = canonical(settings.lane_of(name).model)
    looked = await profiles_of(settings).look()
    for each in looked.ignored:
        terminal.warn(each)
    found = tuple(profile for profile in looked.profiles if profile.model == model)
    if not found:
        raise Refused(f"there is no profile of {model}", f"`corral models check {name}` makes one.")
    return found


async def profiled(settings: Settings, terminal: Terminal) -> frozenset[tuple[str, str]]:
    """Name and digest of every model that has a profile; what is passed over is said."""
    looked = await profiles_of(settings).look()
    for each in looked.ignored:
        terminal.warn(each)
    return frozenset((profile.model, profile.digest) for profile in looked.profiles)


def has_profile(model: PoolModel, known: frozenset[tuple[str, str]]) -> bool:
    """Whether something is known of what the servers have under the name."""
    return any((canonical(model.name), digest) in known for digest in model.digests)


def print_calibration(found: Calibration, terminal: Terminal) -> None:
    """What a check found."""
    asked = sum(row.asked for row in found.rows)
    cut = "" if asked == found.planned else f" of {found.planned}, then the time was up; --minutes gives more"
    terminal.print_data("")
    terminal.print_data(f"{asked} small edits{cut}, and how far the answers got:")
    table = _table("form", "temperature", "answered", "readable", "applied", "right")
    for row in found.rows:
        figures = (row.asked, row.readable, row.applied, row.right)
        table.add_row(row.edit_format, f"{row.temperature:g}", *map(str, figures))
    terminal.out.print(table)
    for row in found.rows:
        for why in row.why[:2]:
            terminal.print_data(f"  {row.edit_format} at {row.temperature:g}: {why}", "dim")
    if found.advice:
        terminal.print_data(found.advice)


def print_profile(profile: Profile, terminal: Terminal) -> None:
    """What is stored of a model."""
    times = [
        f"{said} {when:%Y-%m-%d %H:%M} UTC"
        for said, when in (("checked", profile.checked), ("added to by a run", profile.learned))
        if when is not None
    ]
    terminal.print_data(f"profile of {profile.model} ({profile.digest[:12]}): {', '.join(times) or 'never checked'}")
    measured = measured_of(profile)
    table = _table("form", "checked", "right", "in runs", "usable")
    for form in FORMATS:
        record = profile.formats.get(form, FormatRecord())
        count = measured.counts.get(form)
        total = 0 if count is None else count.well + count.malformed
        usable = "-" if count is None or not total else f"{100 * count.well / total:.0f} %"
        table.add_row(form, str(record.asked), str(record.right), str(record.well + record.malformed), usable)
    terminal.out.print(table)
    window = "not tried" if profile.window is None else f"{profile.window:,} tokens read whole"
    temperature = "not known" if profile.temperature is None else f"{profile.temperature:g}"
    at_once = ", ".join(f"{number} on {server}" for server, number in sorted(profile.at_once.items()))
    terminal.print_data(
        f"window: {window}; temperature: {temperature}; calls at once that pay: {at_once or 'not known'}"
    )


def document_of_check(found: Calibration | None, profile: Profile | None) -> dict[str, object]:
    """The same for programs; None where nothing was tried."""
    return {"calibration": None if found is None else asdict(found), "profile": profile}


def _table(first: str, *titles: str) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="dim")
    table.add_column(visible(first), no_wrap=True)
    for title in titles:
        table.add_column(title, justify="right", no_wrap=True, overflow="ellipsis")
    return table
