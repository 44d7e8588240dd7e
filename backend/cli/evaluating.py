"""How an evaluation's report looks: one table of all settings, what differs between them, and what is to be minded.

Owns the words. The same lines are printed and kept as `eval.txt`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from backend.cli.batching import duration
from backend.cli.render import BAD, DIM, GOOD, WARN, Line
from infrastructure.evaluation import ArmReport, Comparison, Estimate, EvalReport

_LABEL = 26
_GAP = "  "
Cell = Callable[[ArmReport], str]


def report_lines(report: EvalReport) -> tuple[Line, ...]:
    """The report, for people."""
    tests = "hidden from the runs, which wrote their own" if report.self_tests else "given to the runs"
    lines = [
        Line(
            f"{report.set}: {report.problems:,} problems, {_many(len(report.seeds), 'seed')}"
            f" ({', '.join(map(str, report.seeds))}), tests {tests}{_of_all(report)}"
        ),
        *_table(report),
    ]
    if report.comparisons:
        lines += [Line(""), Line("against the first setting, problem by problem with the same seeds:")]
        labels = _labels(report)
        lines += [_compared(each, labels[each.arm]) for each in report.comparisons]
    return (*lines, *_minded(report))


def _labels(report: EvalReport) -> dict[str, str]:
    """The settings by what tells them apart."""
    shared = set(_shared(report))
    names = [arm.arm for arm in report.arms]
    return {name: ", ".join(part for part in name.split(", ") if part not in shared) or name for name in names}


def _shared(report: EvalReport) -> list[str]:
    """What several settings have in common; nothing of one alone, which is told whole."""
    first, *others = [arm.arm.split(", ") for arm in report.arms]
    return [part for part in first if others and all(part in other for other in others)]


def _of_all(report: EvalReport) -> str:
    shared = _shared(report)
    return f"; all with {', '.join(shared)}" if shared else ""


def _table(report: EvalReport) -> list[Line]:
    arms, labels = report.arms, _labels(report)
    rows = [(label, [cell(arm) for arm in arms]) for label, cell in _rows(arms)]
    widths = [max(len(labels[arm.arm]), *(len(cells[column]) for _, cells in rows)) for column, arm in enumerate(arms)]
    head = _row("", [labels[arm.arm] for arm in arms], widths)
    return [Line(""), Line(head, "bold"), *(Line(_row(label, cells, widths)) for label, cells in rows)]


def _row(label: str, cells: Sequence[str], widths: Sequence[int]) -> str:
    padded = [cell.ljust(width) for cell, width in zip(cells, widths, strict=True)]
    return f"{label.ljust(_LABEL)}{_GAP.join(padded)}".rstrip()


def _rows(arms: Sequence[ArmReport]) -> list[tuple[str, Cell]]:
    ks = [each.k for each in arms[0].pass_at] if arms else []
    tries = sorted({name for arm in arms for name in arm.solved_after})
    failures = list(dict.fromkeys(name for arm in arms for name in arm.failures))
    rows: list[tuple[str, Cell]] = [
        ("solved", lambda arm: _share(arm.solved)),
        ("  samples", lambda arm: f"{arm.solved_samples:,} of {arm.samples:,}"),
        ("at the first try", lambda arm: _share(arm.first_try)),
    ]
    rows += [(f"pass@{k}", partial(_pass_at, k=k)) for k in ks]
    rows += [(f"solved after {name}", partial(_solved_after, name=name)) for name in tries]
    rows += _of_selection()
    rows += _of_answers()
    rows += _of_costs()
    rows += [(f"not solved: {name}", partial(_failed, name=name)) for name in failures]
    if any(arm.missing or arm.no_verdict for arm in arms):
        rows.append(("missing, no verdict", lambda arm: f"{arm.missing:,}, {arm.no_verdict:,}"))
    return rows


def _of_selection() -> list[tuple[str, Cell]]:
    return [
        ("oracle@n", lambda arm: f"{_share(arm.selection.oracle)}, n {arm.selection.candidates:.2f}"),
        ("selector regret", lambda arm: _share(arm.selection.regret)),
        ("right candidates", lambda arm: _percent(arm.selection.right_candidates)),
        ("accepted right, wrong", lambda arm: f"{arm.trust.rightly_accepted:,}, {arm.trust.wrongly_accepted:,}"),
        ("refused wrong, right", lambda arm: f"{arm.trust.rightly_refused:,}, {arm.trust.wrongly_refused:,}"),
    ]


def _of_answers() -> list[tuple[str, Cell]]:
    return [
        ("edits applied", _applied),
        ("malformed answers", lambda arm: f"{arm.answers.malformed:,}"),
        ("truncated, stopped", lambda arm: f"{arm.answers.truncated:,}, {arm.answers.stopped:,}"),
        ("model reloads", lambda arm: f"{arm.answers.reloads:,}"),
    ]


def _of_costs() -> list[tuple[str, Cell]]:
    return [
        ("model calls", lambda arm: f"{arm.costs.model_calls:,}"),
        ("tokens", lambda arm: f"{arm.costs.prompt_tokens:,} + {arm.costs.completion_tokens:,}"),
        ("tokens a solved one", lambda arm: _maybe(arm.costs.tokens_per_solved, ",.0f")),
        ("GPU seconds", lambda arm: f"{arm.costs.gpu_seconds:,.1f}"),
        ("GPU seconds a solved one", lambda arm: _maybe(arm.costs.gpu_seconds_per_solved, ",.2f")),
        ("a run: median, p95", lambda arm: f"{arm.costs.run_seconds_median:,.1f}, {arm.costs.run_seconds_p95:,.1f} s"),
        ("time, of all runs", lambda arm: f"{duration(arm.costs.wall_seconds)}, {arm.costs.run_seconds:,.0f} s"),
    ]


def _minded(report: EvalReport) -> list[Line]:
    lines = [
        Line(f"regretted ({_labels(report)[arm.arm]}): {', '.join(arm.selection.regretted)}", DIM)
        for arm in report.arms
        if arm.selection.regretted
    ]
    if report.unfit:
        told = ", ".join(f"{problem} ({why})" for problem, why in report.unfit.items())
        lines.append(Line(f"tests that cannot judge: {told}", WARN))
    if report.arms:
        methods = sorted({arm.solved.method for arm in report.arms})
        lines.append(
            Line(
                f"intervals of 95 %: solved by {' and '.join(methods)}; pass@k and differences by bootstrap over"
                " problems, seeded",
                DIM,
            )
        )
    if report.simulated:
        lines.append(Line("simulated: the answers came from a simulated Ollama, not from a model", WARN))
    return [Line(""), *lines] if lines else []


def _compared(each: Comparison, label: str) -> Line:
    value, low, high = (100 * number for number in (each.difference.value, each.difference.low, each.difference.high))
    style = GOOD if low > 0 else BAD if high < 0 else ""
    return Line(
        f"  {label}: {value:+.1f} points (95 % interval {low:+.1f} to {high:+.1f});"
        f" of {_many(each.pairs, 'pair')} {each.better:,} better, {each.worse:,} worse",
        style,
    )


def _share(estimate: Estimate) -> str:
    value, low, high = 100 * estimate.value, 100 * estimate.low, 100 * estimate.high
    return f"{value:.1f} % ({low:.1f} to {high:.1f})"


def _pass_at(arm: ArmReport, k: int) -> str:
    return next((_share(each.estimate) for each in arm.pass_at if each.k == k), "-")


def _solved_after(arm: ArmReport, name: str) -> str:
    return f"{arm.solved_after.get(name, 0):,}"


def _failed(arm: ArmReport, name: str) -> str:
    return f"{arm.failures.get(name, 0):,}"


def _applied(arm: ArmReport) -> str:
    both = arm.answers.applied + arm.answers.rejected
    return "-" if arm.answers.apply_rate is None else f"{_percent(arm.answers.apply_rate)} of {both:,}"


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def _maybe(number: float | None, form: str) -> str:
    return "-" if number is None else format(number, form)


def _many(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"
