"""What is written of a job: its record, its patch, and at the end the report."""

from __future__ import annotations

import hashlib
from pathlib import Path

from infrastructure.batch.identity import Params
from infrastructure.batch.lines import replace_lines
from infrastructure.batch.place import BatchPlace
from infrastructure.batch.records import Record
from infrastructure.batch.report import BatchReport, samples_of
from infrastructure.batch.runner import Ticket
from infrastructure.batch.runs import RunOutcome, verdict_of
from infrastructure.storage.directory import write_durably
from infrastructure.tasks import RunResult


def record_of(ticket: Ticket, outcome: RunOutcome, params: Params) -> Record:
    """The record of a run that is over; its patch's file and solution are filled in when they are there."""
    entry, result = ticket.entry, outcome.result
    return Record(
        **{name: getattr(result, name) for name in RunResult.model_fields},
        identity=ticket.identity,
        job_id=entry.job.id,
        task_id=entry.job.id if entry.solution else "",
        sample_index=ticket.sample,
        verdict=verdict_of(result, has_tests=entry.has_tests),
        repairs=max(0, result.attempts - 1),
        model=", ".join(outcome.models),
        host=", ".join(outcome.servers),
        params={**params, **entry.own.given()},
        prompt_sha=hashlib.sha256(entry.job.prompt.encode("utf-8", "surrogatepass")).hexdigest(),
        queue_ms=outcome.queue_ms,
        load_ms=outcome.load_ms,
        prefill_ms=outcome.prefill_ms,
        decode_ms=outcome.decode_ms,
        cache_hit=outcome.replayed,
        started_at=outcome.started,
        ended_at=outcome.ended,
        meta=entry.job.meta,
    )


def write_patch(file: Path, patch: str) -> None:
    """Write it whole, or remove what another setting left there. Blocking."""
    if patch:
        write_durably(file, patch.encode("utf-8", "surrogatepass"))
    else:
        file.unlink(missing_ok=True)


def write_report(place: BatchPlace, report: BatchReport, *, has_samples: bool) -> None:
    """Write the report, and the samples where there are HumanEval problems. Blocking."""
    replace_lines(place.report, [report.model_dump_json(indent=1).encode()])
    if has_samples:
        replace_lines(place.samples, samples_of(place.records))
    else:
        place.samples.unlink(missing_ok=True)
