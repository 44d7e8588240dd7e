"""The intent role: what is wanted, in which language, and how one would know that it is there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field

from agents.answers.control import Answer, Text, Texts, Word, control_reader
from agents.codegen.material import TASK_BOUND, TASK_LAST, TASK_TRIM
from agents.role import Role
from agents.trimming import Rule, Trim

if TYPE_CHECKING:
    from agents.codegen.material import ListedFile
    from agents.model import JsonObject


@dataclass(frozen=True, slots=True, kw_only=True)
class IntentQuestion:
    """What the intent role is shown. The listing may be empty."""

    task: str
    listing: tuple[ListedFile, ...] = ()


class Intent(Answer):
    """What a task asks for."""

    summary: Text = Field(description="the task in one or two sentences")
    kind: Annotated[Literal["code", "question", "tests"], Word] = Field(
        description="code: files must change. tests: only tests are to be written. question: an answer in words"
    )
    language: Text = Field(default="", description="programming language of the result, or an empty string")
    acceptance: Texts = Field(
        default_factory=list, description="up to five checks that hold when the task is done, one sentence each"
    )

    EXAMPLE: ClassVar[JsonObject] = {
        "summary": "Add a --json option to the report command so that it prints its rows as JSON.",
        "kind": "code",
        "language": "Python",
        "acceptance": ["report --json prints one JSON array", "report without --json prints what it did before"],
    }


INTENT: Role[IntentQuestion, Intent] = Role(
    name="intent",
    prompt="intent/classify",
    read=control_reader(Intent),
    schema=Intent,
    options={"temperature": 0.0, "num_predict": 1_024},
    bounds=(TASK_BOUND, Trim(part="listing", rule=Rule.FROM_END, least=200)),
    trims=(Trim(part="listing", rule=Rule.FROM_END), TASK_TRIM, TASK_LAST),
)
