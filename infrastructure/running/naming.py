"""What a task may name. Apart from the rest of admission, since a guest asks it too, and has no engine to import."""

from __future__ import annotations

from infrastructure.running.errors import TaskRefused
from infrastructure.tasks import TaskSpec

RENAME = "Rename it, or work on a copy whose whole path is UTF-8."


def fault_of(word: str) -> str:
    """Why a name or word cannot be written down: `is not UTF-8`, and how it can be shown. Empty where it can."""
    try:
        word.encode()
    except UnicodeEncodeError:
        return f"is not UTF-8: {shown(word)}"
    return ""


def shown(word: str) -> str:
    """The word, with signs for the bytes that are not UTF-8."""
    return word.encode("utf-8", "backslashreplace").decode()


def check_names(spec: TaskSpec) -> None:
    """Refuse what cannot be written down: the system allows names in any bytes, the engine's tables hold UTF-8.

    Raises:
        TaskRefused: a name or a word is not UTF-8.
    """
    for what, said in (("the folder", spec.repo), *(("the test file", test) for test in spec.tests)):
        _check_word(f"the path of {what}", str(said), RENAME)
    for what, word in (("task", spec.task), ("test command", spec.test_command), ("model", spec.model)):
        _check_word(f"the {what}", word or "", "Say it in UTF-8.")


def _check_word(what: str, word: str, hint: str) -> None:
    if fault := fault_of(word):
        raise TaskRefused(f"{what} {fault}", hint)
