"""Reading model text: files, edits and control JSON out of whatever a model writes.

All of it is pure, bounded and linear, and raises nothing but `UnusableAnswer`.
"""

from agents.answers.changes import (
    Change,
    DeleteAnswer,
    EditAnswer,
    FileAnswer,
    FunctionAnswer,
    HunkAnswer,
    render_changes,
)
from agents.answers.control import Answer, read_control, schema_of
from agents.answers.edits import Applied, Rejected, apply_edits
from agents.answers.files import read_files
from agents.answers.paths import is_safe_path, safe_path
from agents.answers.text import clean_text, without_thinking

__all__ = [
    "Answer",
    "Applied",
    "Change",
    "DeleteAnswer",
    "EditAnswer",
    "FileAnswer",
    "FunctionAnswer",
    "HunkAnswer",
    "Rejected",
    "apply_edits",
    "clean_text",
    "is_safe_path",
    "read_control",
    "read_files",
    "render_changes",
    "safe_path",
    "schema_of",
    "without_thinking",
]
