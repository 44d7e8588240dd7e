"""What a task may name. Apart from the rest of admission, since a guest asks it too, and has no engine to import."""

from __future__ import annotations

from infrastructure.running.errors import TaskRefused
from infrastructure.tasks import TaskSpec


def check_names(spec: TaskSpec) -> None:
    """Refuse what cannot be written down: the system allows names in any bytes, the engine's tables hold UTF-8.

    Raises:
        TaskRefused: a name or a word is not UTF-8.
    """
    hint = "Rename it, or work on a copy whose whole path is UTF-8."
    for what, said in (("the folder", spec.repo), *(("the test file", test) for test in spec.tests)):
        _check_word(f"the path of {what}", str(said), hint)
    for what, word in (("task", spec.task), ("test command", spec.test_command), ("model", spec.model)):
        _check_word(f"the {what}", word or "", "Say it in UTF-8.")


def _check_word(what: str, word: str, hint: str) -> None:
    try:
        word.encode()
    except UnicodeEncodeError:
        shown = word.encode("utf-8", "backslashreplace").decode()
        raise TaskRefused(f"{what} is not UTF-8: {shown}", hint) from None
