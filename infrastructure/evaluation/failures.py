"""Why a sample is not solved, by rules that anybody can check against its line. Pure.

Owns the classes and their order: the first that fits is taken, so that `wrong logic`, the model's own, is what is left.
"""

from __future__ import annotations

from enum import StrEnum

from infrastructure.evaluation.samples import Sample, Tried
from infrastructure.evaluation.tracing import CONTEXT_ERRORS


class Failure(StrEnum):
    """What kept a problem from being solved."""

    CONTEXT = "context"
    """A prompt or an answer outgrew its window or its bound, and nothing usable came after it."""
    ENVIRONMENT = "environment"
    """The run ended in an error or was stopped, or the set's tests cannot be run here."""
    BAD_TEST = "bad test"
    """The set's own tests cannot judge, or tests that the run wrote failed a candidate that was right."""
    SELECTION = "selection"
    """A candidate was right and not failed, and another was chosen."""
    BUDGET = "budget"
    """Calls, tokens or seconds ran out."""
    FORMAT = "format"
    """No answer of a coder could be applied."""
    TOOL = "tool"
    """The last test run of the best candidate did not come to its end."""
    WRONG_LOGIC = "wrong logic"
    """Everything worked, and the code is wrong."""


RULES: tuple[tuple[Failure, str], ...] = (
    (Failure.CONTEXT, "the run ended because prompt and answer outgrew the window"),
    (Failure.ENVIRONMENT, "the run has another error or was stopped, or the set's tests cannot be run on the stub"),
    (Failure.BAD_TEST, "the set's tests are green on the stub, or fail the set's own solution"),
    (Failure.BAD_TEST, "a candidate passes the given tests, and the run failed it"),
    (Failure.SELECTION, "a candidate passes the given tests, and another one was chosen"),
    (Failure.BUDGET, "the run ended since a budget was spent"),
    (Failure.CONTEXT, "no candidate has a patch, and the last answer of one was cut off"),
    (Failure.FORMAT, "no candidate has a patch, and answers were rejected"),
    (Failure.TOOL, "the last test run of the chosen candidate did not come to its end"),
    (Failure.WRONG_LOGIC, "everything else"),
)
"""Each class with what makes it, in the order in which they are asked."""

_STOPPED = frozenset({"error", "cancelled", "needs_input"})


def failure_of(sample: Sample) -> Failure | None:
    """Why it is not solved; None where it is."""
    if sample.solved:
        return None
    return _outside(sample) or _selecting(sample) or _inside(sample)


def has_verdict(sample: Sample) -> bool:
    """Whether the sample says anything of the setting: not where the environment failed."""
    return failure_of(sample) is not Failure.ENVIRONMENT


def _outside(sample: Sample) -> Failure | None:
    if sample.error_class in CONTEXT_ERRORS:
        return Failure.CONTEXT
    if sample.status in _STOPPED or sample.fit == "not runnable":
        return Failure.ENVIRONMENT
    return None if sample.fit == "fit" else Failure.BAD_TEST


def _selecting(sample: Sample) -> Failure | None:
    right = [each for each in sample.tried if each.passes]
    if not right:
        return None
    return Failure.BAD_TEST if all(each.outcome == "failed" for each in right) else Failure.SELECTION


def _inside(sample: Sample) -> Failure:
    if sample.status == "budget":
        return Failure.BUDGET
    if not any(each.patch for each in sample.tried):
        if any(each.cut for each in sample.tried):
            return Failure.CONTEXT
        if sample.figures.rejected:
            return Failure.FORMAT
    chosen = _chosen(sample)
    return Failure.TOOL if chosen is not None and chosen.crashed else Failure.WRONG_LOGIC


def _chosen(sample: Sample) -> Tried | None:
    return next((each for each in sample.tried if each.patch and each.patch == sample.chosen), None)
