"""The judge: which tests there are, running them where no attempt can reach them, and what their outcome means."""

from infrastructure.judge.discovery import TestPlan, dump_plan, judge_files, load_plan, plan_tests, plan_written
from infrastructure.judge.errors import TestCommandNotStarted
from infrastructure.judge.reports import Counts, TestOutcome, TestReport, dump_report, failing_text, load_report
from infrastructure.judge.runner import run_tests
from infrastructure.judge.verdict import Verdict, judge, turned_green

__all__ = [
    "Counts",
    "TestCommandNotStarted",
    "TestOutcome",
    "TestPlan",
    "TestReport",
    "Verdict",
    "dump_plan",
    "dump_report",
    "failing_text",
    "judge",
    "judge_files",
    "load_plan",
    "load_report",
    "plan_tests",
    "plan_written",
    "run_tests",
    "turned_green",
]
