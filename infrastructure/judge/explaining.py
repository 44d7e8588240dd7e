"""Why tests could not be run at all, in one line, and what a person can do about it. Pure.

Owns the advice. Tests that are merely red need none: the roles mend those. What no change of the code can mend is a
dependency that is not installed, an option whose plugin is missing, a file that the interpreter cannot read.
"""

import re
from collections.abc import Collection
from pathlib import PurePosixPath

from infrastructure.judge.discovery import TestPlan
from infrastructure.judge.interpreters import known_interpreter
from infrastructure.judge.reports import TestReport, error_line, uncollected_text

_UNREADABLE = re.compile(r"\b(Syntax|Indentation|Tab)Error\b")
_UNFETCHED = re.compile(
    r"--offline was specified|attempting to make an HTTP request|no matching package named"
    r"|GOPROXY=off|no required module provides package|Cannot find (module|package) '[^./]"
)
_OFFLINE = (
    "a dependency is missing, and tests have no network: fetch it first"
    " (npm ci, go mod download, cargo fetch), or vendor it"
)
_MISSING = re.compile(r"ModuleNotFoundError: No module named '([^'.]+)([^']*)'")


def explained(report: TestReport, plan: TestPlan, files: Collection[str]) -> str:
    """What kept the tests from running, with what to do; empty where they ran, be they red or green.

    Args:
        report: Of the untouched snapshot.
        plan: How they were run.
        files: The snapshot's files, to tell a dependency from the project's own modules.
    """
    line = _first_error(report, plan)
    advice = _advice(line, report.output, plan, files)
    if not advice and report.crashed is not None:
        return ""  # the event of the run itself says as much
    return f"{line}; {advice}" if advice else line


def _first_error(report: TestReport, plan: TestPlan) -> str:
    if report.crashed is not None:
        return report.crashed
    if plan.framework != "command":
        why = uncollected_text(report)
        return f"{plan.framework}: {why}" if why else ""
    line = error_line(report.output) if report.red else ""
    return f"{plan.command}: {line}" if _MISSING.search(line) else ""


def _advice(line: str, report_text: str, plan: TestPlan, files: Collection[str]) -> str:
    missing = _MISSING.search(line)
    if missing is not None:
        # A module of the project's own may be what the task is about.
        return "" if _is_own(missing[1], files) else _environment_advice(plan)
    if "package 'junit'" in report_text:
        return "to tell its tests apart node 20 or newer is needed"
    if _UNFETCHED.search(report_text):
        return _OFFLINE
    if "unrecognized arguments" in line:
        return f"a plugin of pytest's may be missing beside {plan.interpreter}"
    if _UNREADABLE.search(line):
        return f"mend the file, or name a newer Python in --test-command: the tests run on {plan.interpreter}"
    return ""


def _environment_advice(plan: TestPlan) -> str:
    if known_interpreter(plan.interpreter).own:
        return "make an environment with it in .venv, or name one in --test-command: the tests run on Corral's own"
    return f"install it where the tests run ({plan.interpreter}), or name another environment in --test-command"


def _is_own(module: str, files: Collection[str]) -> bool:
    paths = [PurePosixPath(path) for path in files]
    return any(path.name == f"{module}.py" or module in path.parts[:-1] for path in paths)
