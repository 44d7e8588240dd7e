"""Evaluations: a set of problems under one or several settings, judged by tests that no run can change."""

from infrastructure.evaluation.errors import BadSet, EvaluationError, NoEvaluation
from infrastructure.evaluation.estimates import Estimate
from infrastructure.evaluation.exercises import read_set
from infrastructure.evaluation.failures import RULES, Failure, failure_of
from infrastructure.evaluation.judging import HiddenJudge, open_judge
from infrastructure.evaluation.place import EvalPlace, Outline
from infrastructure.evaluation.plan import Arm, Trial, arms_of, trials_of
from infrastructure.evaluation.problems import Problem, chosen
from infrastructure.evaluation.report import ArmReport, Comparison, EvalReport
from infrastructure.evaluation.reporting import report_on
from infrastructure.evaluation.samples import Figures, Sample, Tried, read_samples
from infrastructure.evaluation.working import Assignment, evaluate, reported

__all__ = [
    "RULES",
    "Arm",
    "ArmReport",
    "Assignment",
    "BadSet",
    "Comparison",
    "Estimate",
    "EvalPlace",
    "EvalReport",
    "EvaluationError",
    "Failure",
    "Figures",
    "HiddenJudge",
    "NoEvaluation",
    "Outline",
    "Problem",
    "Sample",
    "Trial",
    "Tried",
    "arms_of",
    "chosen",
    "evaluate",
    "failure_of",
    "open_judge",
    "read_samples",
    "read_set",
    "report_on",
    "reported",
    "trials_of",
]
