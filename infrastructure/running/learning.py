"""What a run takes from the profile of its coder's model, and what it adds to it when it has ended.

Owns both passages. A run knows what was known when it began, and nothing that is learned meanwhile, so that it goes on,
and is replayed, as it began.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, get_args

from agents.codegen import NOTHING_KNOWN, EditFormat, FormatCount, Measured
from infrastructure.events.catalogue import EditsApplied, EditsRejected
from infrastructure.pool.lanes import canonical
from infrastructure.storage.times import utc_now

if TYPE_CHECKING:
    from infrastructure.events.log import EventLog, Stored
    from infrastructure.ids import RunId
    from infrastructure.pool.snapshot import PoolModel
    from infrastructure.storage.profiles import Profile, Profiles

_PAGE = 1000
_FORMATS: tuple[EditFormat, ...] = get_args(EditFormat)


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What is known of a model.

    Attributes:
        digest: Of what all servers have under its name; empty where they differ, or where none has it.
        measured: What it was seen to write.
        at_once: How many calls at once pay, over all servers; 0 where that was not measured.
    """

    digest: str = ""
    measured: Measured = NOTHING_KNOWN
    at_once: int = 0


NOTHING = Known()


async def known_of(profiles: Profiles, models: Iterable[PoolModel], model: str) -> Known:
    """What is known of a model that servers hold.

    Args:
        profiles: All profiles.
        models: What there is on the servers.
        model: The one that is asked about.

    Raises:
        StorageError: the profiles cannot be read.
    """
    name = canonical(model)
    held = next((each for each in models if canonical(each.name) == name), None)
    if held is None or len(held.digests) != 1 or not held.digests[0]:
        return NOTHING
    (digest,) = held.digests
    profile = await profiles.find(name, digest)
    if profile is None:
        return Known(digest=digest)
    at_once = sum(max(1, profile.at_once[label]) for label in held.servers if label in profile.at_once)
    return Known(digest=digest, measured=measured_of(profile), at_once=at_once)


def measured_of(profile: Profile) -> Measured:
    """What a profile says of each form, from its last check and from runs: usable is what could be read and applied."""
    return Measured(
        {
            form: FormatCount(
                well=record.applied + record.well, malformed=_unusable(record.asked, record.applied) + record.malformed
            )
            for form in _FORMATS
            if (record := profile.formats.get(form)) is not None
        }
    )


async def learn(profiles: Profiles, log: EventLog, run: RunId, model: str, digest: str) -> None:
    """Add what the coder's answers in a run were like to the profile of its model.

    Raises:
        StorageError: the profile cannot be written.
    """
    stored: list[Stored] = []
    while page := await log.read(run, stored[-1].seq if stored else 0, _PAGE):
        stored += page
    counts = counts_of(stored)
    if counts:
        now = utc_now()
        await profiles.update(canonical(model), digest, lambda profile: profile.counted(counts, now))


def counts_of(events: Iterable[Stored]) -> Mapping[str, tuple[int, int]]:
    """How many answers in each form could be used, and how many could not.

    An answer that changed nothing, or whose code is wrong, says nothing of its form. A step that ran again counts as it
    ended the last time.
    """
    ended: dict[tuple[int | None, int], tuple[str, bool]] = {}
    for stored in events:
        event = stored.event
        if isinstance(event, EditsApplied):
            ended[event.candidate, event.attempt] = (event.edit_format, True)
        elif isinstance(event, EditsRejected):
            ended[event.candidate, event.attempt] = (event.malformed_as, False)
    counts: dict[str, tuple[int, int]] = {}
    for form, usable in ended.values():
        if form in _FORMATS:
            well, malformed = counts.get(form, (0, 0))
            counts[form] = (well + usable, malformed + (not usable))
    return counts


def _unusable(asked: int, applied: int) -> int:
    return max(0, asked - applied)
