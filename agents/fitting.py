"""A role's question made to fit the window of the model that answers it.

Owns the budget (what of a window a prompt may take), the order of cuts until it is kept, and what is known afterwards:
the sections with their sizes, and what was cut by which rule. Pure; who hands a model to a role knows the `Room`.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import TypeAlias

from agents.errors import WindowTooSmall
from agents.model import Options, Question
from agents.trimming import Rule, Trim, Trimmed, cut, size_of, told

LONGEST_PROMPT = 24_000
"""Tokens. Small models lose the thread in longer ones, however large their window is."""
ANSWER_SHARE = 3
"""An answer is left what it may take, but no more than this part of the window."""
LEAST_ANSWER_SHARE = 8
"""Where nothing more can be cut, this part of the window must do for the answer."""
USUAL_ANSWER = 4_096
"""Tokens of an answer whose question sets no bound."""
_TEXT_TOLERANCE = 30
_REFUSED_MARGIN = 1.05
_REFUSED_UNCOUNTED = 1.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """What there is for a prompt and its answer.

    Attributes:
        window: Tokens, both together.
        count: How many tokens a prompt takes, rather too many than too few.
        factor: How many times more it turned out to be: see `after_refusal`.
        sure: Whether somebody said so (a setting, the server); False for what is only assumed.
    """

    window: int
    count: Callable[[Question], int] = field(repr=False)
    factor: float = 1.0
    sure: bool = True

    def tokens(self, question: Question) -> int:
        """How many tokens the prompt of a question takes."""
        return math.ceil(self.factor * self.count(question))

    def prompt_limit(self, wanted: int) -> int:
        """How many tokens a prompt may take whose answer may take `wanted`; below 0 means as many as there are."""
        share = self.window // ANSWER_SHARE
        return min(LONGEST_PROMPT, self.window - (share if wanted < 0 else min(wanted, share)))

    def after_refusal(self, estimated: int, counted: int | None, window: int | None) -> Room:
        """The room as a server's refusal shows it.

        Args:
            estimated: What the refused prompt was thought to take.
            counted: What it takes, where the server said so.
            window: The window there, where it said so.
        """
        times = _REFUSED_MARGIN * counted / max(1, estimated) if counted else _REFUSED_UNCOUNTED
        narrower = self.window if window is None else min(self.window, window)
        if counted and narrower < self.window and counted < self.window:
            times = 1.0  # it is the window that was not as thought
        return replace(self, window=narrower, factor=self.factor * max(1.0, times))


@dataclass(frozen=True, slots=True)
class Section:
    """A named stretch of a prompt: its text as the model gets it, and about how many tokens that is."""

    name: str
    text: str
    tokens: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Fitted:
    """A question that fits.

    Attributes:
        question: As it is sent.
        sections: What it consists of, in order.
        trimmed: What was cut, in the order of the cuts.
        tokens: How long the prompt is thought to be.
        answer: The most tokens of the answer; below 0 where nothing bounds it.
    """

    question: Question
    sections: tuple[Section, ...] = ()
    trimmed: tuple[Trimmed, ...] = ()
    tokens: int
    answer: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft(Question):
    """A role's question in its whole form, and how it is made to fit.

    Whoever knows nothing of windows takes it for the question that it is.
    """

    fit: Callable[[Room], Fitted] = field(compare=False, repr=False)
    """Raises `WindowTooSmall` where its smallest form does not fit."""


def plain(question: Question) -> Question:
    """The question alone, without how it is made to fit."""
    if type(question) is Question:
        return question
    return Question(**{each.name: getattr(question, each.name) for each in fields(Question)})


def with_options(question: Question, own: Options) -> Question:
    """The question with these options, before its own; what is made of a draft to fit has them too."""
    changed = replace(question, options={**question.options, **own})
    if not isinstance(question, Draft) or not isinstance(changed, Draft):
        return changed

    def fit_own(room: Room) -> Fitted:
        done = question.fit(room)
        return replace(done, question=replace(done.question, options={**done.question.options, **own}))

    return replace(changed, fit=fit_own)


@dataclass(frozen=True, slots=True, kw_only=True)
class Material:
    """What a prompt is made of: a role's question, and what was said since where it is asked again.

    `left_out` says how many pieces of which field are missing, so that the prompt can tell.
    """

    question: object
    again: object = None
    left_out: Mapping[str, int] = field(default_factory=Counter[str])


Compose: TypeAlias = Callable[[Material], tuple[Question, tuple[Section, ...]]]


def bounded(material: Material, bounds: Sequence[Trim]) -> tuple[Material, tuple[Trimmed, ...]]:
    """Cut every part to its bound (`least`), whatever the window."""
    cuts: list[Trimmed] = []
    for trim in bounds:
        material, done = _cut_until(material, trim, lambda _: True, at_most=trim.least_of(material.question))
        cuts += done
    return material, tuple(cuts)


def fit(material: Material, trims: Sequence[Trim], compose: Compose, room: Room, role: str) -> Fitted:
    """Cut part by part, in the order of `trims`, until the prompt keeps its budget.

    Where it does not fit even then, but leaves the least answer its room, it is sent all the same.

    Raises:
        WindowTooSmall: it does not.
    """
    question, sections = compose(material)
    wanted = _wanted(question)
    limit = room.prompt_limit(wanted)
    cuts: list[Trimmed] = []

    def fits(smaller: Material) -> bool:
        return room.tokens(compose(smaller)[0]) <= limit

    for trim in trims:
        if room.tokens(question) <= limit:
            break
        material, done = _cut_until(material, trim, fits)
        cuts += done
        question, sections = compose(material)
    tokens = room.tokens(question)
    least = max(1, room.window // LEAST_ANSWER_SHARE)
    least = least if wanted < 0 else min(wanted, least)
    if tokens + least > room.window:
        raise WindowTooSmall(role, room.window, tokens + least, _largest(sections))
    return fitted(question, sections, tuple(cuts), tokens, room)


def fitted(
    question: Question, sections: Sequence[Section], cuts: tuple[Trimmed, ...], tokens: int, room: Room
) -> Fitted:
    """A question that fits, with its answer bounded by what it leaves of the window."""
    wanted, left = _wanted(question), max(1, room.window - tokens)
    answer = left if wanted < 0 else min(wanted, left)
    if answer != wanted:
        question = replace(question, options={**question.options, "num_predict": answer})
    return Fitted(question=question, sections=_measured(sections, tokens), trimmed=cuts, tokens=tokens, answer=answer)


def _cut_until(
    material: Material, trim: Trim, fits: Callable[[Material], bool], at_most: int | None = None
) -> tuple[Material, tuple[Trimmed, ...]]:
    """Cut a part to the most of it that fits, at least to what always stays; by halving.

    Pieces are counted out. Of a text a thirtieth of what is left may go as well: each further try costs as much.
    """
    subject = material if trim.part.startswith("again.") else material.question
    size, least = size_of(subject, trim), max(0, trim.least_of(material.question))
    if size <= least:
        return material, ()
    low, high = least, size - 1 if at_most is None else least
    while high - low > (low // _TEXT_TOLERANCE if trim.rule is Rule.MIDDLE else 0):
        middle = (low + high + 1) // 2
        if fits(_cut(material, trim, size, middle)):
            low = middle
        else:
            high = middle - 1
    done = told(subject, trim, size, low)
    return _cut(material, trim, size, low), (done,)


def _cut(material: Material, trim: Trim, size: int, keep: int) -> Material:
    if trim.part.startswith("again."):
        return cut(material, trim, keep)
    left_out = Counter(material.left_out)
    if trim.rule is not Rule.MIDDLE:
        left_out[trim.part.rpartition(".")[2]] += size - keep
    return replace(material, question=cut(material.question, trim, keep), left_out=left_out)


def _wanted(question: Question) -> int:
    wanted = question.options.get("num_predict", USUAL_ANSWER)
    return wanted if isinstance(wanted, int) else USUAL_ANSWER


def _measured(sections: Sequence[Section], tokens: int) -> tuple[Section, ...]:
    """The prompt's tokens shared out by length, so that they add up to it."""
    sizes = [len(section.text.encode("utf-8", "replace")) for section in sections]
    whole, given, seen = sum(sizes) or 1, 0, 0
    measured: list[Section] = []
    for section, size in zip(sections, sizes, strict=True):
        seen += size
        upto = tokens * seen // whole
        measured.append(replace(section, tokens=upto - given))
        given = upto
    return tuple(measured)


def _largest(sections: Sequence[Section]) -> str:
    return max(sections, key=lambda section: len(section.text), default=Section("", "")).name
