"""Records: what came of each job's sample, one line each.

Owns the form of a line and the file of lines. A line is appended when its run is over; readers take the last one of an
identity, and `settle` leaves exactly one of each.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from infrastructure.batch.lines import JsonLines, read_lines, read_models, replace_lines
from infrastructure.batch.place import BatchPlace
from infrastructure.batch.runs import FINAL, Verdict
from infrastructure.tasks import RunResult, Status


class Record(RunResult):
    """A run's result with what a batch adds. Times are in milliseconds, over all the run's calls."""

    identity: str
    job_id: str
    task_id: str = ""
    """The HumanEval problem; empty for other jobs."""
    sample_index: int = 0
    verdict: Verdict | None = None
    """None: an error of the environment, or cancelled; the next command runs it again."""
    repairs: int = 0
    """Tries of the chosen candidate after the first."""
    patch_file: str = ""
    """The patch's file, from the batch's folder; empty when there is no patch."""
    solution: str | None = None
    """A HumanEval problem's file as it is with the patch."""
    model: str = ""
    host: str = ""
    """The servers that answered."""
    params: dict[str, JsonValue] = Field(default_factory=dict[str, JsonValue])
    prompt_sha: str = ""
    """Of the job's own text."""
    queue_ms: int = 0
    load_ms: int = 0
    prefill_ms: int = 0
    decode_ms: int = 0
    cache_hit: bool = False
    """Whether answers that were recorded before a crash were used."""
    started_at: datetime | None = None
    ended_at: datetime | None = None
    meta: dict[str, JsonValue] = Field(default_factory=dict[str, JsonValue])

    def line(self) -> bytes:
        """As it is stored."""
        return self.model_dump_json(by_alias=True).encode()


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What of a record is kept in memory: enough to go on and to count."""

    identity: str
    job: str
    sample: int
    run: str
    status: Status
    verdict: Verdict | None
    attempts: int
    model_calls: int
    prompt_tokens: int
    completion_tokens: int
    seconds: float
    error_class: str = ""
    simulated: bool = False

    @property
    def final(self) -> bool:
        """Whether it has a verdict."""
        return self.status in FINAL


def told_of(record: Record) -> Told:
    """The part of a record that is kept in memory."""
    return Told(
        identity=record.identity,
        job=record.job_id,
        sample=record.sample_index,
        run=record.run,
        status=record.status,
        verdict=record.verdict,
        attempts=record.attempts,
        model_calls=record.model_calls,
        prompt_tokens=record.prompt_tokens,
        completion_tokens=record.completion_tokens,
        seconds=record.seconds,
        error_class=record.error.error_class if record.error else "",
        simulated=record.simulated,
    )


def read_records(path: Path) -> Iterator[Record]:
    """The records of a file, a superseded line of an identity included. Blocking.

    Raises:
        UnreadableLine: a line is none.
    """
    return read_models(path, Record)


class _Line(BaseModel):
    """What settling needs of a line, whoever wrote it."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    identity: str
    patch_file: str = ""


class RecordFile:
    """The records of a batch that is being worked on. Every method blocks; threads may share it."""

    def __init__(self, place: BatchPlace) -> None:
        self._place = place
        self._file = JsonLines(place.records)
        self.cut = self._file.cut
        """Bytes of a last line that a killed command did not finish."""

    def load(self) -> dict[str, Told]:
        """The last record of each identity."""
        return {record.identity: told_of(record) for record in read_records(self._place.records)}

    def add(self, record: Record) -> None:
        """Keep a record; it is on disk when this returns."""
        self._file.append(record.line())

    def settle(self, identities: Sequence[str]) -> None:
        """Leave one line for each of these identities that has one, in their order; move the others away.

        Files of patches that only the others name are removed: whoever takes all of `patches/` takes what is in the
        records. The others' own lines keep theirs.
        """
        order = {identity: place for place, identity in enumerate(identities)}
        lines = [_Line.model_validate_json(line) for line in read_lines(self._place.records)]
        known = [line.identity for line in lines]
        last = {identity: number for number, identity in enumerate(known)}
        kept = sorted((identity for identity in last if identity in order), key=order.__getitem__)
        if known == kept:
            return
        if strange := sorted(number for identity, number in last.items() if identity not in order):
            self._move_away(strange)
            self._remove({lines[each].patch_file for each in strange} - {lines[last[each]].patch_file for each in kept})
        self._file.close()
        replace_lines(self._place.records, _picked(self._place.records, [last[identity] for identity in kept]))
        self._file = JsonLines(self._place.records)

    def close(self) -> None:
        """Close. Idempotent."""
        self._file.close()

    def _remove(self, patches: Iterable[str]) -> None:
        for patch in patches:
            if name := Path(patch).name:
                (self._place.patches / name).unlink(missing_ok=True)

    def _move_away(self, numbers: Sequence[int]) -> None:
        """Append lines of jobs or settings that are no longer asked for; a kill may leave them in both files."""
        wanted = set(numbers)
        away = JsonLines(self._place.superseded)
        try:
            for number, line in enumerate(read_lines(self._place.records)):
                if number in wanted:
                    away.append(line)
        finally:
            away.close()


def _picked(path: Path, numbers: Sequence[int]) -> Iterator[bytes]:
    """Lines of a file by number, in the order given, without holding the file in memory."""
    starts = _starts(path)
    with path.open("rb") as file:
        for number in numbers:
            file.seek(starts[number])
            yield file.readline().rstrip(b"\n")


def _starts(path: Path) -> Mapping[int, int]:
    starts: dict[int, int] = {}
    at = 0
    for number, line in enumerate(read_lines(path)):
        starts[number] = at
        at += len(line) + 1
    return starts
