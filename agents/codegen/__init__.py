"""The ten roles of code generation: for each a question, an answer, and the role itself as a constant."""

from agents.codegen.coder import CODER, CodeAnswer, CoderQuestion, options_for
from agents.codegen.debugger import DEBUGGER, DebuggerQuestion, Diagnosis
from agents.codegen.examiner import EXAMINER, Examination, ExaminerQuestion
from agents.codegen.formats import NOTHING_KNOWN, FormatCount, Measured, choose_format
from agents.codegen.intent import INTENT, Intent, IntentQuestion
from agents.codegen.material import EditFormat, ListedFile, Repair, SourceFile, TestFramework
from agents.codegen.planner import PLANNER, Plan, PlannerQuestion
from agents.codegen.reflector import REFLECTOR, Reflection, ReflectorQuestion
from agents.codegen.researcher import RESEARCHER, Research, ResearcherQuestion
from agents.codegen.responder import RESPONDER, ResponderQuestion
from agents.codegen.reviewer import REVIEWER, Review, ReviewerQuestion
from agents.codegen.tester import TESTER, TesterQuestion, is_test_path
from agents.codegen.trials import EDIT_TRIALS, EditTrial, Verdict, judge_trial

__all__ = [
    "CODER",
    "DEBUGGER",
    "EDIT_TRIALS",
    "EXAMINER",
    "INTENT",
    "NOTHING_KNOWN",
    "PLANNER",
    "REFLECTOR",
    "RESEARCHER",
    "RESPONDER",
    "REVIEWER",
    "ROLES",
    "TESTER",
    "CodeAnswer",
    "CoderQuestion",
    "DebuggerQuestion",
    "Diagnosis",
    "EditFormat",
    "EditTrial",
    "Examination",
    "ExaminerQuestion",
    "FormatCount",
    "Intent",
    "IntentQuestion",
    "ListedFile",
    "Measured",
    "Plan",
    "PlannerQuestion",
    "Reflection",
    "ReflectorQuestion",
    "Repair",
    "Research",
    "ResearcherQuestion",
    "ResponderQuestion",
    "Review",
    "ReviewerQuestion",
    "SourceFile",
    "TestFramework",
    "TesterQuestion",
    "Verdict",
    "choose_format",
    "is_test_path",
    "judge_trial",
    "options_for",
]

ROLES = (INTENT, RESEARCHER, PLANNER, TESTER, CODER, DEBUGGER, EXAMINER, REVIEWER, REFLECTOR, RESPONDER)
"""Every role, in about the order in which a run comes to them."""
