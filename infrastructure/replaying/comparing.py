"""Whether a replay is the recorded run. Pure.

Owns what is compared: the result as it is stored, but for the run's id and the seconds it took; each stream of steps,
event by event; the order in which candidates ended; and that every recorded answer was asked for.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from infrastructure.events.log import Stored
from infrastructure.replaying.following import Diverged
from infrastructure.replaying.streams import Course, StreamKey, Taken, course_of, said_of
from infrastructure.running.recording import Recording
from infrastructure.tasks import RunResult

_OWN = {"run", "seconds", "gpu_seconds"}
"""What two executions of a run never share, or add up in another order."""


def difference_of(
    recording: Recording,
    diverged: Diverged | None,
    result: RunResult,
    events: Sequence[Stored],
    unused: Sequence[str],
) -> tuple[str, ...]:
    """The first difference, in lines for a person; empty where there is none.

    Args:
        recording: What is to be repeated.
        diverged: Where the replay left the recording, if it did.
        result: What came of the replay.
        events: What happened in it.
        unused: Recorded answers that were not asked for.
    """
    if diverged is not None:
        return (f"{diverged.step}: {diverged.why}", *diverged.difference)
    before, now = course_of(recording.events), course_of(events)
    found = _streams(before, now) or _endings(before, now) or _results(recording.result, result)
    if not found and unused:
        return (f"{unused[0]}: the recording has it, and the replay did not ask for it",)
    return found


def _streams(before: Course, now: Course) -> tuple[str, ...]:
    for key in sorted(before.streams.keys() | now.streams.keys()):
        old, new = _said(before.streams.get(key, ())), _said(now.streams.get(key, ()))
        if before.cut(key):
            new = new[: len(old)]  # it was broken off in the middle of a step; how far that had come is chance
        if found := _first(key, old, new):
            return found
    return ()


def _first(key: StreamKey, old: Sequence[str], new: Sequence[str]) -> tuple[str, ...]:
    for number in range(max(len(old), len(new))):
        left = old[number] if number < len(old) else "(nothing more)"
        right = new[number] if number < len(new) else "(nothing more)"
        if left != right:
            return (f"event {number + 1} of {key} differs", f"  recorded: {left}", f"  now:      {right}")
    return ()


def _said(steps: Sequence[Taken]) -> list[str]:
    return [json.dumps(said_of(event), sort_keys=True) for step in steps for event in step.events]


def _endings(before: Course, now: Course) -> tuple[str, ...]:
    if before.endings == now.endings:
        return ()
    return (
        "the candidates ended in another order",
        f"  recorded: {_told(before.endings)}",
        f"  now:      {_told(now.endings)}",
    )


def _told(endings: Sequence[tuple[int, int, str]]) -> str:
    return ", ".join(f"{number} {outcome}" for _, number, outcome in endings) or "(none)"


def _results(before: RunResult | None, now: RunResult) -> tuple[str, ...]:
    if before is None:
        return ()
    old, new = _fields(before), _fields(now)
    told = before.model_fields_set  # a recording of before says nothing of what results did not have then
    name = next((name for name in sorted(old.keys() & told) if old[name] != new[name]), None)
    if name is None:
        return ()
    left, right = (json.dumps(each.get(name), sort_keys=True) for each in (old, new))
    return (f"the result differs in {name!r}", f"  recorded: {left}", f"  now:      {right}")


def _fields(result: RunResult) -> Mapping[str, object]:
    return result.model_dump(mode="json", by_alias=True, exclude=_OWN)
