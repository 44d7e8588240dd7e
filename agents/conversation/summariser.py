"""The summariser: what was said, in a few lines, so that a conversation goes on in a small window."""

from __future__ import annotations

from dataclasses import dataclass

from agents.answers.text import clean_text
from agents.errors import UnusableAnswer
from agents.role import Role
from agents.trimming import Rule, Trim

SUMMARY_KEEP = 6_000
"""Characters of either end of a summary that is kept, whatever a model wrote."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SummaryQuestion:
    """What the summariser is shown: the summary before, and the messages since, as text."""

    older: str
    before: str = ""


def _read(text: str, question: SummaryQuestion) -> str:
    del question
    said = clean_text(text).strip()
    if not said:
        raise UnusableAnswer("the summary is empty", "Write the summary as plain lines.")
    return said


SUMMARISER: Role[SummaryQuestion, str] = Role(
    name="summariser",
    prompt="summariser/compact",
    read=_read,
    options={"temperature": 0.2, "num_predict": 1_024},
    trims=(
        Trim(part="older", rule=Rule.MIDDLE, least=4_000),
        Trim(part="before", rule=Rule.MIDDLE, least=1_000),
        Trim(part="older", rule=Rule.MIDDLE, least=400),
        Trim(part="before", rule=Rule.MIDDLE, least=200),
    ),
)
