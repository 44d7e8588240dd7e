"""A result as a verdict, and the commands that make sense after it.

Owns the words, and how much a patch may be trusted that is offered. Pure: from a result to lines.
"""

from __future__ import annotations

from collections.abc import Sequence

from backend.cli.render import BAD, DIM, STATUS_STYLES, WARN, Line, counted, named, shortened
from infrastructure.events.catalogue import RedTest
from infrastructure.tasks import RunResult

_DOUBTS = {
    "unverified": "no given test shows that this patch is right",
    "failed": "this patch did not pass",
    "budget": "the budget ran out before this patch passed",
    "error": "the run broke off before this patch was finished",
    "cancelled": "the run was cancelled",
    "needs_input": "nobody has said yes to this patch",
}


def verdict(result: RunResult, *, interrupted: bool = False) -> tuple[Line, ...]:
    """How a run ended, or that it was interrupted and can go on; and what it took. An error is said once."""
    broke = _error(result)
    if broke and result.status == "error":
        lines = [*broke, Line(_took(result), DIM)]
    else:
        word = "interrupted" if interrupted else result.status
        lines = [Line(f"{word}{_because(result)}", STATUS_STYLES.get(result.status, BAD))]
        if result.status == "unverified":
            lines.append(
                Line("warning: no given test shows that this is right; read the patch before you use it", WARN)
            )
        lines += [*still_red(result.red, result.red_total), Line(_took(result), DIM), *broke]
    lines += _reviewed(result)
    if result.answered_test:
        lines.append(Line("your answer as a test, kept with the run and not in the patch:"))
        lines += [Line(f"  {line}", DIM) for line in result.answered_test.splitlines()]
    if result.simulated:
        lines.append(Line("simulated: the answers came from a simulated Ollama, not from a model", WARN))
    return tuple(lines)


def still_red(red: Sequence[RedTest], total: int) -> list[Line]:
    """The tests that are still red, a line each, and how many more there are."""
    if not red:
        return []
    lines = [Line("still red:", BAD)]
    lines += [Line(f"  {each.test}{f': {shortened(each.says)}' if each.says else ''}", BAD) for each in red]
    return [*lines, Line(f"  and {total - len(red)} more", BAD)] if total > len(red) else lines


def next_steps(result: RunResult, again: str = "", *, applied: bool = False) -> tuple[Line, ...]:
    """Commands that make sense after this run; `again` are options that they need.

    Only a patch that is done is simply offered: what becomes of another is for whoever has read it.
    """
    if not result.run:
        return ()
    if result.status == "needs_input":
        return answers(result.run, again, waiting=result.reason)
    lines: list[Line] = []
    if result.status in ("failed", "error", "budget"):
        lines.append(step("show", result.run, again, "shows what was tried"))
    if result.patch and not applied:
        lines += _to_apply(result, again)
    return tuple(lines)


def answers(run: str, again: str = "", *, waiting: str = "") -> tuple[Line, ...]:
    """Commands that answer what a run waits for; `waiting` says what that is."""
    if "behaviour:" in waiting:
        return (
            step("resume", run, f'{again} --yes --reason "…"', "says which answer is right"),
            step("resume", run, f"{again} --no", "says that none of them is"),
            step("resume", run, again, "at a terminal, asks you"),
        )
    return (
        step("resume", run, f"{again} --yes", "says yes, and goes on"),
        step("resume", run, f'{again} --no --reason "…"', "says no, which ends it"),
        step("resume", run, again, "at a terminal, asks you"),
    )


def doubt(result: RunResult) -> str:
    """Why a patch must be read before it is used, by the status of its run; empty where it need not."""
    if result.status == "cancelled" and result.reason:
        return result.reason
    return _DOUBTS.get(result.status, "")


def step(verb: str, run: str, again: str, why: str) -> Line:
    """A command to type next."""
    return Line(f"  → corral {verb} {run}{again}    {why}")


def _because(result: RunResult) -> str:
    return f": {shortened(result.reason)}" if result.reason else ""


def _reviewed(result: RunResult) -> list[Line]:
    """What was said of the patch: a line for each file, what to look at, what a static check found."""
    review = result.review
    if review is None or not result.patch:
        return []
    unread = [Line("not reviewed: what the reviewer said could not be read", WARN)]
    return [
        *(unread if review.verdict == "unread" else ()),
        *(Line(f"  {each.path}: {shortened(each.summary)}", DIM) for each in review.files),
        *(Line(f"  objection: {shortened(each)}", WARN) for each in review.objections),
        *(Line(f"  risk: {shortened(each)}") for each in review.risks),
        *(
            Line(f"  static check: {each.path}:{each.line}: {each.text} ({each.rule})", WARN)
            for each in review.findings
        ),
    ]


def _error(result: RunResult) -> list[Line]:
    if result.error is None:
        return []
    hint = [Line(f"  → {result.error.hint}")] if result.error.hint else []
    return [Line(f"error: {result.error.message}", BAD), *hint]


def _to_apply(result: RunResult, again: str) -> list[Line]:
    why = doubt(result)
    if not why:
        return [step("apply", result.run, again, "puts the patch into the folder")]
    told = [] if result.status == "unverified" else [Line(f"caution: {why}", WARN)]  # its verdict has said so
    return [*told, step("apply", result.run, again, "puts it into the folder all the same; read it first")]


def _took(result: RunResult) -> str:
    tests = result.tests
    judged = counted(tests.passed, tests.failed, tests.errors, tests.skipped)
    parts = [f"tests ({result.judge}): {judged}"] if judged else []
    if result.files:
        parts.append(f"files: {named(result.files)}")
    if result.attempts:
        parts.append(f"{result.attempts} {'try' if result.attempts == 1 else 'tries'}")
    parts.append(f"{result.model_calls} model {'call' if result.model_calls == 1 else 'calls'}")
    parts.append(f"{result.prompt_tokens:,} + {result.completion_tokens:,} tokens")
    parts.append(f"{result.seconds:.1f} s")
    if result.gpu_seconds:
        parts.append(f"{result.gpu_seconds:.1f} GPU s")
    return " · ".join(parts)
