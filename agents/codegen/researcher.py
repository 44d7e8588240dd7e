"""The researcher: which files of the workspace matter for a task."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from agents.answers.control import Answer, Text, Texts, control_reader
from agents.codegen.material import CONTROL_OPTIONS, TASK_BOUND, TASK_LAST, TASK_TRIM, ListedFile
from agents.role import Role
from agents.trimming import Rule, Trim

if TYPE_CHECKING:
    from agents.model import JsonObject


@dataclass(frozen=True, slots=True, kw_only=True)
class ResearcherQuestion:
    """What the researcher is shown.

    Attributes:
        task: The user's words.
        summary: The intent's summary.
        listing: Files of the workspace.
        readme: The head of the README, or empty.
        map: The files that the task may be about, each with signatures of what it defines; or empty.
    """

    task: str
    summary: str
    listing: tuple[ListedFile, ...]
    readme: str = ""
    map: str = ""


class Research(Answer):
    """Where to look. Paths are the model's words: whoever opens one checks it against the listing."""

    notes: Text = Field(default="", description="why these files, in one to three sentences")
    files: Texts = Field(description="paths from the listing that must be read or changed, most important first")

    EXAMPLE: ClassVar[JsonObject] = {
        "notes": "The command is defined in app/report.py and its rows come from app/store.py.",
        "files": ["app/report.py", "app/store.py", "tests/test_report.py"],
    }


RESEARCHER: Role[ResearcherQuestion, Research] = Role(
    name="researcher",
    prompt="researcher/select",
    read=control_reader(Research),
    schema=Research,
    options=CONTROL_OPTIONS,
    bounds=(
        TASK_BOUND,
        Trim(part="listing", rule=Rule.FROM_END, least=400),
        Trim(part="readme", rule=Rule.MIDDLE, least=3_000),
    ),
    trims=(
        Trim(part="readme", rule=Rule.MIDDLE),
        Trim(part="map", rule=Rule.MIDDLE, least=1_200),
        Trim(part="listing", rule=Rule.FROM_END, least=60),
        Trim(part="summary", rule=Rule.MIDDLE, least=400),
        TASK_TRIM,
        Trim(part="map", rule=Rule.MIDDLE),
        Trim(part="listing", rule=Rule.FROM_END),
        TASK_LAST,
    ),
)
