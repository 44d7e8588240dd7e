"""In which form the coder is asked to write changes.

Owns the choice: by the size of the files, by what a model was measured to write well, and by what went wrong just now.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from agents.codegen.material import EditFormat, SourceFile

WHOLE_LINES = 250
"""Lines of the longest file that is asked for whole. Small models write whole files right nearly always and edits in
seven of ten answers, but a long file takes more tokens than an answer has, and they lose parts of it."""
_ENOUGH = 5  # answers of which a share says something
_GOOD = 0.6  # share of well-formed answers below which another form is tried
_PYTHON = (".py", ".pyi")


@dataclass(frozen=True, slots=True)
class FormatCount:
    """How many answers of a model in one form could be used, and how many could not."""

    well: int = 0
    malformed: int = 0

    @property
    def share(self) -> float:
        """The share that could be used; 1 while too few are counted to go by."""
        counted = self.well + self.malformed
        return self.well / counted if counted >= _ENOUGH else 1.0


@dataclass(frozen=True, slots=True)
class Measured:
    """What a model was seen to write, by form; a form that is not in it was not seen."""

    counts: Mapping[EditFormat, FormatCount] = field(default_factory=dict[EditFormat, FormatCount])

    def share(self, edit_format: EditFormat) -> float:
        """The share of one form's answers that could be used; 1 where too little is known."""
        return self.counts.get(edit_format, FormatCount()).share


NOTHING_KNOWN = Measured()


def choose_format(
    files: Sequence[SourceFile], measured: Measured = NOTHING_KNOWN, *, malformed: Sequence[EditFormat] = ()
) -> EditFormat:
    """Return the form in which changes of these files are asked for.

    1. Whole files, where the longest has at most `WHOLE_LINES` lines; else search/replace blocks, else definitions.
    2. A form that the model was measured to write badly comes after one that it writes better.
    3. A form that failed in this candidate comes after those that did not; when all failed, the first is tried again.

    Args:
        files: The files to be changed, as they are.
        measured: What the model was seen to write.
        malformed: The forms in which this candidate's answers could not be used.
    """
    order = _by_size(files)
    return min(sorted(order, key=lambda each: _rank(measured.share(each))), key=malformed.count)


def _rank(share: float) -> float:
    """All good forms are alike, so that the order by size stays; of the others the better comes first."""
    return -1.0 if share >= _GOOD else -share


def _by_size(files: Sequence[SourceFile]) -> tuple[EditFormat, ...]:
    longest = max((file.content.count("\n") for file in files), default=0)
    if longest <= WHOLE_LINES:
        return ("whole", "search_replace")
    if all(file.path.endswith(_PYTHON) for file in files):
        return ("search_replace", "function", "whole")
    return ("search_replace", "whole")
