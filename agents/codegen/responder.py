"""The responder: answers a question in words, in the language it was asked in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from agents.answers.text import clean_text
from agents.codegen.material import TASK_BOUND, TASK_LAST, TASK_TRIM, pieces
from agents.role import Role
from agents.trimming import Rule, Trim

if TYPE_CHECKING:
    from agents.codegen.material import ListedFile, SourceFile


@dataclass(frozen=True, slots=True, kw_only=True)
class ResponderQuestion:
    """What the responder is shown. Files and listing may be empty: not every question is about a repository."""

    task: str
    listing: tuple[ListedFile, ...] = ()
    files: tuple[SourceFile, ...] = ()


def _read(text: str, question: ResponderQuestion) -> str:
    del question
    return clean_text(text).strip()


RESPONDER: Role[ResponderQuestion, str] = Role(
    name="responder",
    prompt="responder/answer",
    read=_read,
    options={"temperature": 0.3, "num_predict": 4_096},
    bounds=(TASK_BOUND, Trim(part="listing", rule=Rule.FROM_END, least=400)),
    trims=(
        Trim(part="listing", rule=Rule.FROM_END, least=40),
        *pieces("files", keep=2),
        Trim(part="listing", rule=Rule.FROM_END),
        TASK_TRIM,
        Trim(part="files", rule=Rule.FROM_END),
        TASK_LAST,
    ),
)
