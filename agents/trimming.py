"""How a question is made smaller: part by part, each by its own rule.

Owns the rules, and what is told of a part that was cut. Pure: a cut question is a new one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Any, TypeAlias, cast

from pydantic import BaseModel

from agents.prompting import excerpt

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

NAMED = 20
"""At most so many pieces that were left out are named."""
_NAME_LENGTH = 80

Least: TypeAlias = "int | Callable[[Any], int]"


class Rule(StrEnum):
    """How a part gets smaller."""

    FROM_END = "whole pieces from the end"
    OLDEST = "oldest pieces first"
    MIDDLE = "head and tail"
    """Of a text, or of each of several texts: both ends stay, and how much is missing between them is said."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trim:
    """One step in which a question may be made smaller.

    Attributes:
        part: The field, by its path in the question: `files`, `repair.failing`. A list of pieces, or a text; where it
            is None or empty there is nothing to cut.
        rule: How.
        least: What always stays: pieces, or characters (of each text). Or a function of the question that says so.
        section: The section of the prompt that gets smaller; the last word of the path when empty.
    """

    part: str
    rule: Rule
    least: Least = 0
    section: str = ""

    def least_of(self, question: object) -> int:
        """What always stays of this very question."""
        return self.least(question) if callable(self.least) else self.least

    @property
    def where(self) -> str:
        """The section that gets smaller."""
        return self.section or self.part.rpartition(".")[2]


@dataclass(frozen=True, slots=True, kw_only=True)
class Trimmed:
    """A part that was cut.

    Attributes:
        section: Of the prompt.
        part: The field.
        rule: By which rule.
        before: Pieces, or characters (of the longest text).
        after: The same, of what is left.
        unit: "pieces" or "characters".
        gone: Names of pieces that were left out, at most `NAMED` of them.
    """

    section: str
    part: str
    rule: Rule
    before: int
    after: int
    unit: str
    gone: tuple[str, ...] = ()


def size_of(question: object, trim: Trim) -> int:
    """How much there is of a part, in the unit of the rule."""
    value = value_of(question, trim.part)
    if value is None:
        return 0
    if trim.rule is not Rule.MIDDLE or isinstance(value, str):
        return len(value)
    return max((len(_text_of(piece)) for piece in value), default=0)


def cut(question: Any, trim: Trim, keep: int) -> Any:
    """The question with so much of the part left."""
    value = value_of(question, trim.part)
    if value is None:
        return question
    if trim.rule is Rule.FROM_END:
        kept: object = value[:keep]
    elif trim.rule is Rule.OLDEST:
        kept = value[len(value) - keep :]
    elif isinstance(value, str):
        kept = excerpt(value, keep // 2)
    else:
        shortened = [_shortened(piece, keep) for piece in value]
        kept = tuple(shortened) if isinstance(value, tuple) else shortened
    return _replaced(question, trim.part, kept)


def told(question: object, trim: Trim, before: int, after: int) -> Trimmed:
    """What is said of a cut; `question` as it was before."""
    pieces = trim.rule is not Rule.MIDDLE
    gone: tuple[str, ...] = ()
    if pieces:
        value = value_of(question, trim.part) or ()
        dropped = value[after:] if trim.rule is Rule.FROM_END else value[: len(value) - after]
        gone = tuple(_name_of(piece) for piece in dropped[:NAMED])
    return Trimmed(
        section=trim.where,
        part=trim.part,
        rule=trim.rule,
        before=before,
        after=after,
        unit="pieces" if pieces else "characters",
        gone=gone,
    )


def said(trimmed: Trimmed) -> str:
    """A cut in a few words."""
    return f"{trimmed.part}: {trimmed.after:,} of {trimmed.before:,} {trimmed.unit} ({trimmed.rule})"


def value_of(question: object, part: str) -> Sequence[Any] | None:
    """A field by its path; None where something on the way is None."""
    value: object = question
    for name in part.split("."):
        value = None if value is None else getattr(value, name)
    return cast("Sequence[Any] | None", value)


def _replaced(question: Any, part: str, value: object) -> Any:
    name, _, rest = part.partition(".")
    inner = _replaced(getattr(question, name), rest, value) if rest else value
    if isinstance(question, BaseModel):
        return question.model_copy(update={name: inner})
    return replace(cast("DataclassInstance", question), **{name: inner})


def _text_of(piece: object) -> str:
    return piece if isinstance(piece, str) else str(getattr(piece, "content", ""))


def _shortened(piece: Any, keep: int) -> Any:
    if isinstance(piece, str):
        return excerpt(piece, keep // 2)
    return replace(piece, content=excerpt(_text_of(piece), keep // 2))


def _name_of(piece: object) -> str:
    return (piece if isinstance(piece, str) else str(getattr(piece, "path", "")))[:_NAME_LENGTH]
