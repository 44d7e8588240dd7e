"""Batches: a file of jobs in, one record a job and sample out, whatever happens in between."""

from infrastructure.batch.engine_runs import EngineRuns
from infrastructure.batch.errors import BadJobs, BatchError, BatchStopped, FolderInUse, UnreadableLine
from infrastructure.batch.identity import Wishes
from infrastructure.batch.jobs import Entry, HumanEvalProblem, Job, Own, read_jobs
from infrastructure.batch.place import BatchPlace
from infrastructure.batch.records import Record, read_records
from infrastructure.batch.registry import BatchRegistry, BatchView, UnknownBatch
from infrastructure.batch.report import BatchReport, PassAt
from infrastructure.batch.runner import Began, Ended, News, Rested, Retried, Waiting, WentOn
from infrastructure.batch.runs import KnownRun, RunOutcome, Runs
from infrastructure.batch.tally import Tally
from infrastructure.batch.working import Opened, Order, work_on

__all__ = [
    "BadJobs",
    "BatchError",
    "BatchPlace",
    "BatchRegistry",
    "BatchReport",
    "BatchStopped",
    "BatchView",
    "Began",
    "Ended",
    "EngineRuns",
    "Entry",
    "FolderInUse",
    "HumanEvalProblem",
    "Job",
    "KnownRun",
    "News",
    "Opened",
    "Order",
    "Own",
    "PassAt",
    "Record",
    "Rested",
    "Retried",
    "RunOutcome",
    "Runs",
    "Tally",
    "UnknownBatch",
    "UnreadableLine",
    "Waiting",
    "WentOn",
    "Wishes",
    "read_jobs",
    "read_records",
    "work_on",
]
