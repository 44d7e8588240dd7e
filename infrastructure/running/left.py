"""Runs that nobody has in hand: what the table says of them, and what is to become of them.

Owns the decisions, which the engine, its guests and whoever only reads share. Nothing is read or written here.
"""

from __future__ import annotations

from dataclasses import replace

from infrastructure.storage.runs import RunRecord, RunState
from infrastructure.tasks import TaskSpec

SHUT_DOWN = "the engine was shut down"
"""Why runs rest that nobody stopped; those of guests go on by themselves."""
PROCESS_ENDED = "its process ended before it did"
"""Why a run rests whose engine was killed."""
REPLAYED = "replay"
"""Who began a run that repeats another one."""
INTERRUPTED_EXIT = 130
"""How a command ends whose run was stopped at a step and can go on."""
_IN_HAND = (RunState.QUEUED, RunState.RUNNING)


def in_hand(record: RunRecord) -> bool:
    """Whether the table says that an engine has the run in hand. One that was killed could not take that back."""
    return record.state in _IN_HAND


def asks(record: RunRecord) -> bool:
    """Whether it waits for an answer, and has not ended for want of one."""
    return record.state is RunState.WAITING and not record.result_json


def as_left(record: RunRecord) -> RunRecord:
    """The run as the next engine will find it, where the last one was killed: at rest, if it was in hand."""
    return replace(record, state=RunState.INTERRUPTED, reason=PROCESS_ENDED) if in_hand(record) else record


def rests_unasked(record: RunRecord) -> bool:
    """Whether a run rests although nobody meant to stop it: its engine ended."""
    return record.state is RunState.INTERRUPTED and record.reason in (SHUT_DOWN, PROCESS_ENDED)


def passes_on(record: RunRecord) -> bool:
    """Whether a guest's run goes on by itself with the next holder; one that waits for an answer then asks again."""
    return (in_hand(record) or asks(record) or rests_unasked(record)) and is_guests(record)


def goes_on(record: RunRecord) -> bool:
    """Whether more is to come of a run: it has not come to rest, or it is a guest's and goes on by itself."""
    return in_hand(record) or asks(record) or passes_on(record)


def is_guests(record: RunRecord) -> bool:
    """Whether a run was handed over by a guest."""
    return TaskSpec.model_validate_json(record.request_json).guest
