"""`corral doctor`: what is right here, what is not, and what to type about it."""

import asyncio
from collections.abc import Sequence
from dataclasses import asdict

from backend.cli.checkup import examine
from backend.cli.console import Terminal, open_terminal
from backend.cli.errors import ENVIRONMENT
from backend.cli.findings import Finding
from backend.cli.options import NO_OPTIONS, Common, Document, config_file, load

_MARKS = {"good": ("✓", "green"), "warning": ("!", "yellow"), "bad": ("✗", "red")}


def doctor(*, output: Document = "text", common: Common = NO_OPTIONS) -> int:
    """Check Python, settings, disk, git, sandbox, servers and models; exit 3 when something is missing.

    Each line says what was looked at and what was found; where that is not well, the line below says what to do.
    """
    findings = asyncio.run(examine(load(common), config_file(common)))
    exit_code = ENVIRONMENT if any(finding.state == "bad" for finding in findings) else 0
    terminal = open_terminal()
    if output == "text":
        print_findings(findings, terminal)
        _sum_up(findings, terminal)
    else:
        terminal.data({"ok": exit_code == 0, "exit_code": exit_code, "checks": [asdict(each) for each in findings]})
    return exit_code


def print_findings(findings: Sequence[Finding], terminal: Terminal) -> None:
    """A line for each finding, and below it its table, and what is to be done."""
    for finding in findings:
        mark, style = _MARKS[finding.state]
        terminal.print_data(f"{mark} {finding.name}: {finding.said}", style)
        for row in finding.rows:
            terminal.print_data(f"    {row}")
        if finding.fix:
            terminal.print_data(f"    → {finding.fix}")


def _sum_up(findings: Sequence[Finding], terminal: Terminal) -> None:
    wrong = sum(finding.state == "bad" for finding in findings)
    if wrong:
        terminal.print_data(f"not ready: mend what is marked {_MARKS['bad'][0]} ({wrong}) before a run can succeed")
    else:
        terminal.print_data('ready: corral run "…" --repo FOLDER')
