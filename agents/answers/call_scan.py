"""One pass over an answer, from one place that looks like a call to the next.

Owns the walk: what is passed over because a call there is only spoken of, and where reading stops because nothing
behind it can be read for sure. What was found may still be refused.
"""

from __future__ import annotations

import re
from collections import deque
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal, cast

from agents.answers import call_forms as forms
from agents.answers import call_places as places
from agents.answers.call_spelling import OPENER
from agents.answers.call_values import Malformed, NoCall, json_at, skip_blank

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from agents.answers.call_forms import Draft, Read
    from agents.answers.call_places import Placed
    from agents.model import JsonValue

_HEAD = 300  # characters in which the name of a broken call is looked for
_MAX_PLACES = 200  # that are looked at
_MAX_MENTIONS = 8  # marks in the middle of a sentence behind which a call is looked for
_MAX_LAYOUTS = 8  # how often blocks are laid out anew, since fences stood in a call
_MARKS = re.compile(
    r"(?=[<\[>{ \tAacf*]|(?m:^))"  # looked at first: most characters begin no mark
    f"(?:(?P<thinking>{places.THINKING.pattern})|(?P<result>{places.RESULT.pattern})|{OPENER.pattern}"
    r"|(?P<bare>(?m:^)[ \t]*(?=\{\s*[\"'}]|\[\s*(?:\{|[A-Za-z_][\w.]*\())))"
)
_WORD = re.compile(r"[A-Za-z_][\w.\-]*")
_FENCES = ("```", "~~~")
_UNSURE = "where it begins is unclear, since what stands before it cannot be read"
_IN_FILE = "it stands in a block that bears the name of a file"


@dataclass(frozen=True, slots=True)
class Found:
    """Calls that stand together, or the reason why what stands there is none.

    Attributes:
        start: Where they begin, in characters.
        end: Where they end.
        dialect: Their form.
        drafts: The calls; empty where there is a problem.
        problem: Why they cannot be read.
        sure: Whether their form is used for nothing but calls.
        name: The tool that a call seems to be of that cannot be read; empty where none is in sight.
        spoken: Where the text before them begins, behind thinking and other calls.
    """

    start: int
    end: int
    dialect: str
    drafts: tuple[Draft, ...] = ()
    problem: str = ""
    sure: bool = True
    name: str = ""
    spoken: int = 0


@dataclass(slots=True)
class Scan:
    """What was found in an answer.

    Attributes:
        text: The answer.
        names: Of the tools that were offered.
        found: In the order of the answer.
        has_file: Whether the answer also writes files.
    """

    text: str
    names: Collection[str]
    found: list[Found] = field(default_factory=list[Found])
    has_file: bool = False
    _spoken: int = 0
    _blocks: deque[Placed] = field(default_factory=deque["Placed"])
    _ahead: re.Match[str] | Literal[False] | None = None
    _mentions: int = 0
    _layouts: int = 0

    def run(self) -> None:
        """Walk over the answer, at most over so many places."""
        self._spoken = places.after_orphan_thinking(self.text)
        position: int | None = self._spoken
        self._lay_out(self._spoken)
        fresh = True  # nothing but thinking so far
        for _ in range(_MAX_PLACES):
            if position is None:
                return
            if self._layouts > _MAX_LAYOUTS:
                break
            if fresh and (read := self._bare_python(position)):
                position, fresh = read, False
                continue
            mark = self._next_mark(position)
            fresh = fresh and mark is not None and mark.lastgroup in {"thinking", "tag"}
            fresh = fresh and mark is not None and skip_blank(self.text, position) == mark.start()
            while self._blocks and self._blocks[0].start < position:
                self._blocks.popleft()
            if self._blocks and (mark is None or self._blocks[0].start <= mark.start()):
                position = self._block(self._blocks.popleft())
            elif mark is None:
                return
            else:
                position = self._mark(mark)
        if position is not None:
            self._stop(position)

    def _next_mark(self, position: int) -> re.Match[str] | None:
        """The first mark from a position on; looked for once, however many blocks stand before it."""
        if self._ahead is None or (self._ahead and self._ahead.start() < position):
            self._ahead = _MARKS.search(self.text, position) or False
        return self._ahead or None

    def _mark(self, mark: re.Match[str]) -> int | None:
        """Look at one mark; returns where to go on, or None to stop."""
        text, kind = self.text, mark.lastgroup
        lead = places.line_before(text, mark.start(), self._spoken)
        if kind in {"thinking", "tag"}:
            spoken_of = places.is_quoted(lead) or places.is_mid_sentence(lead)
            return mark.end() if spoken_of else self._thinking(mark)
        if kind == "result":
            return mark.end() if places.is_quoted(lead) else None
        if kind == "bare":
            return self._bare(mark)
        return mark.end() if places.is_quoted(lead) else self._explicit(mark, lead)

    def _thinking(self, mark: re.Match[str]) -> int | None:
        end = places.end_of_thinking(self.text, mark)
        if end is not None:
            self._spoken = end
            self._lay_out_behind(mark.start(), end)
        return end

    def _explicit(self, mark: re.Match[str], lead: str) -> int | None:
        start, dialect = mark.start(), mark.lastgroup or ""
        spoken = places.is_mid_sentence(lead)
        self._mentions += spoken
        if spoken and self._mentions > _MAX_MENTIONS:
            return self._stop(start)
        try:
            read = forms.read_form(self.text, mark)
        except NoCall as error:
            word = _WORD.match(self.text, skip_blank(self.text, mark.end()))
            named = word is not None and word.group() in self.names
            return self._fail(start, dialect, error) if named and not spoken else mark.end()
        except Malformed as error:
            return mark.end() if spoken else self._fail(start, dialect, error)
        if spoken:
            return self._fail(start, dialect, Malformed("it stands in the middle of a sentence"), read.drafts)
        return self._add(read, start, dialect, sure=True)

    def _bare(self, mark: re.Match[str]) -> int | None:
        start = skip_blank(self.text, mark.start())
        if self.text.startswith("[", start) and _WORD.match(self.text, skip_blank(self.text, start + 1)):
            return self._bare_list(start)
        try:
            value = json_at(self.text, start)
        except Malformed as error:
            if forms.is_call_like(self.text, start, self.names):
                return self._fail(start, "json", error)
            return self._stop(start)
        try:
            drafts = self._meant(value.value, (start, value.end), mended=value.mended)
        except Malformed as error:
            return self._fail(start, "json", error)
        return self._add(forms.Read(drafts, value.end), start, "json", sure=False) if drafts else value.end

    def _bare_list(self, start: int) -> int | None:
        word = _WORD.match(self.text, skip_blank(self.text, start + 1))
        if word is None or word.group() not in self.names:
            return start + 1
        try:
            read = forms.read_payload(self.text, start)
        except Malformed as error:
            return self._fail(start, "python", error)
        return self._add(read, start, "python", sure=False)

    def _bare_python(self, position: int) -> int | None:
        """A call in Python's form with which the answer begins; None where it begins otherwise."""
        start = skip_blank(self.text, position)
        word = _WORD.match(self.text, start)
        if word is None or word.group() not in self.names or not self.text.startswith("(", word.end()):
            return None
        try:
            read = forms.read_python(self.text, start)
        except Malformed:
            return None  # prose and programs begin so, too
        return self._add(read, start, "python", sure=False)

    def _block(self, placed: Placed) -> int | None:
        """Look into a block; returns where to go on, or None to stop."""
        first, stop = placed.inside
        content = self.text[first:stop]
        if placed.is_file:
            self.has_file = True
            if placed.may_hold_calls and forms.is_call_like(content, 0, self.names):
                self._fail(placed.start, "fence", Malformed(_IN_FILE))
            return placed.end
        if not placed.may_hold_calls:
            return placed.end
        try:
            drafts = self._drafts_inside(content, placed)
        except Malformed as error:
            return self._fail(placed.start, "fence", error)
        if drafts:
            moved = tuple(replace(draft, span=(first + draft.span[0], first + draft.span[1])) for draft in drafts)
            self.found.append(
                Found(placed.start, placed.end, "fence", moved, sure=placed.is_for_tools, spoken=self._spoken)
            )
            self._spoken = placed.end
        return placed.end

    def _drafts_inside(self, content: str, placed: Placed) -> tuple[Draft, ...]:
        """The calls of a block that holds nothing else; none where it holds something else."""
        drafts: list[Draft] = []
        position = skip_blank(content, 0)
        while position < len(content):
            opening = OPENER.match(content, position)
            if opening is not None:
                read = forms.read_form(content, opening)
                drafts.extend(read.drafts)
                position = skip_blank(content, read.end)
                continue
            if not content.startswith(("{", "[")):
                if not placed.is_for_tools:
                    return ()
                read = forms.read_payload(content, position)
                drafts.extend(read.drafts)
                position = skip_blank(content, read.end)
                continue
            value = None
            try:
                value = json_at(content, position)
            except Malformed:
                if placed.is_for_tools or forms.is_call_like(content, position, self.names):
                    raise
                return ()
            meant = self._meant(value.value, (position, value.end), mended=value.mended)
            if not meant:
                return ()
            drafts.extend(meant)
            position = skip_blank(content, value.end)
        return tuple(drafts)

    def _meant(self, value: JsonValue, span: tuple[int, int], *, mended: bool) -> tuple[Draft, ...]:
        """The calls that a bare JSON value is; none where it is data that only looks like one."""
        items = cast("Sequence[JsonValue]", value) if isinstance(value, list) else (value,)
        drafts = [forms.draft_of(item, span, mended=mended) for item in items]
        meant = tuple(draft for draft in drafts if draft is not None)
        if len(meant) != len(drafts):
            if any(draft.name in self.names for draft in meant):
                raise Malformed("what stands beside it in its list is no call")
            return ()
        known = any(draft.name in self.names for draft in meant)
        return meant if known or all(draft.by_arguments for draft in meant) else ()

    def _add(self, read: Read, start: int, dialect: str, *, sure: bool) -> int:
        """Note calls and return where they end."""
        self.found.append(Found(start, read.end, dialect, read.drafts, sure=sure, spoken=self._spoken))
        self._spoken = read.end
        self._lay_out_behind(start, read.end)
        return read.end

    def _fail(self, start: int, dialect: str, error: Malformed, drafts: tuple[Draft, ...] = ()) -> None:
        """Note what cannot be read, and stop: all that follows may be part of it."""
        heads = _WORD.finditer(self.text, start, min(start + _HEAD, len(self.text)))
        words = (word.group().removeprefix("functions.") for word in heads)
        name = next((word for word in words if word in self.names), "")
        self.found.append(Found(start, len(self.text), dialect, drafts, problem=error.reason, name=name))

    def _stop(self, position: int) -> None:
        """Stop where something stands that cannot be read; calls that may be behind it are refused."""
        behind = OPENER.search(self.text, position)
        if behind is not None:
            self._fail(behind.start(), behind.lastgroup or "", Malformed(_UNSURE))

    def _lay_out_behind(self, start: int, end: int) -> None:
        """Lay the blocks out anew where fences stood in what was just passed."""
        if any(self.text.find(fence, start, end) >= 0 for fence in _FENCES):
            self._lay_out(end)

    def _lay_out(self, position: int) -> None:
        self._layouts += 1
        if self._layouts <= _MAX_LAYOUTS:
            self._blocks = deque(places.placed_blocks(self.text, position))
