"""What the routes about runs answer.

Owns the public shape of a run. Fields are only ever added.
"""

from __future__ import annotations

from datetime import datetime

from pydantic import BaseModel, ConfigDict, JsonValue

from backend.dependencies import RUN_EXAMPLE, TASK_EXAMPLE
from infrastructure.running.xray import CallXRay
from infrastructure.storage.runs import RunRecord, RunState
from infrastructure.tasks import RunResult, TaskSpec

_SUMMARY_EXAMPLE: dict[str, JsonValue] = {
    "run": RUN_EXAMPLE,
    "task": "add --json to this CLI",
    "repo": "/home/you/project",
    "state": "finished",
    "status": "done",
    "judge": "found",
    "created": "2026-01-05T10:00:00Z",
    "started": "2026-01-05T10:00:00Z",
    "ended": "2026-01-05T10:03:21Z",
    "execution": 1,
    "reason": "",
}

_CALL_EXAMPLE: dict[str, JsonValue] = {
    "number": 2,
    "step": "planner:1",
    "ordinal": 0,
    "role": "planner",
    "model": "qwen2.5-coder:7b",
    "server": "gpu1",
    "started": "2026-01-05T10:00:04Z",
    "ended": "2026-01-05T10:00:09Z",
    "prompt_tokens": 5120,
    "completion_tokens": 210,
    "finish": "stop",
    "prompt": {
        "window": 8192,
        "budget_window": 8192,
        "estimated_tokens": 5980,
        "answer_limit": 2048,
        "cached_tokens": 640,
        "refusals": 0,
        "doubted": False,
        "queued_seconds": 0.0,
        "load_seconds": 0.0,
        "prompt_seconds": 1.4,
        "decode_seconds": 3.1,
        "sections": [{"name": "files", "tokens": 4400, "characters": 13200}],
        "trims": [
            {
                "section": "files",
                "part": "files",
                "rule": "whole pieces from the end",
                "before": 5,
                "after": 3,
                "unit": "pieces",
                "gone": ["src/old.py", "src/extra.py"],
            }
        ],
    },
}


MOST_TASK = 300
"""Characters of a task in a list, which is asked for again and again; a task may hold whole files."""


class RunSummary(BaseModel):
    """A run, in short."""

    model_config = ConfigDict(frozen=True, json_schema_extra={"example": _SUMMARY_EXAMPLE})

    run: str
    task: str
    """Its first 300 characters in a list, with an ellipsis where there are more; whole where the run is asked for."""
    repo: str
    state: RunState
    status: str
    """done · unverified · failed · budget · needs_input · cancelled · error; empty before the end."""
    judge: str
    """Whose tests judged: given · found · written · none."""
    created: datetime
    started: datetime | None
    ended: datetime | None
    execution: int
    """How many times it was begun."""
    reason: str
    """Why it waits or rests."""


class RunView(RunSummary):
    """A run with what was asked for and what came of it."""

    model_config = ConfigDict(
        frozen=True, json_schema_extra={"example": {**_SUMMARY_EXAMPLE, "request": TASK_EXAMPLE, "result": None}}
    )

    request: TaskSpec
    result: RunResult | None
    """Null while it has none."""


class RunPage(BaseModel):
    """Runs, newest first."""

    model_config = ConfigDict(frozen=True, json_schema_extra={"example": {"runs": [_SUMMARY_EXAMPLE], "next": None}})

    runs: tuple[RunSummary, ...]
    next: str | None
    """What to send as `before` for more; null at the end."""


class RunCreatedView(BaseModel):
    """The run that a task became."""

    model_config = ConfigDict(frozen=True, json_schema_extra={"example": {"run": RUN_EXAMPLE}})

    run: str


class XRayView(BaseModel):
    """The calls of a run, and what the model got in each."""

    model_config = ConfigDict(
        frozen=True, json_schema_extra={"example": {"run": RUN_EXAMPLE, "calls": [_CALL_EXAMPLE]}}
    )

    run: str
    calls: tuple[CallXRay, ...]
    """In the order in which their answers came."""


class Answer(BaseModel):
    """An answer to what a run waits for."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        json_schema_extra={"example": {"approval": "plan:1", "approved": False, "reason": "keep the old flag"}},
    )

    approval: str
    """Which question, as its event `approval.asked` names it."""
    approved: bool
    reason: str = ""
    """What the model is told."""


def summary_of(record: RunRecord) -> RunSummary:
    """A run as a list has it."""
    summary = _whole(record)
    if len(summary.task) <= MOST_TASK:
        return summary
    return summary.model_copy(update={"task": summary.task[: MOST_TASK - 1] + "…"})


def view_of(record: RunRecord) -> RunView:
    """A run with its request and result."""
    return RunView(
        **dict(_whole(record)),
        request=TaskSpec.model_validate_json(record.request_json),
        result=result_of(record),
    )


def page_of(records: tuple[RunRecord, ...], limit: int) -> RunPage:
    """A page of runs."""
    return RunPage(
        runs=tuple(map(summary_of, records)), next=records[-1].run if records and len(records) == limit else None
    )


def _whole(record: RunRecord) -> RunSummary:
    return RunSummary.model_validate(record, from_attributes=True)


def result_of(record: RunRecord) -> RunResult | None:
    """What came of a run; None while it has no result."""
    return RunResult.model_validate_json(record.result_json) if record.result_json else None
