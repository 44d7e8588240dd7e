"""Applying a model's changes to the texts of files.

Owns the decision whether an answer fits the files: all of it or nothing. Pure: texts in, new texts out; nothing is
written here. Line ends, byte order marks and the missing end of a last line stay as the file has them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from unicodedata import normalize

from agents.answers.asides import has_every_line_of, tells_result, without_asides
from agents.answers.changes import Change, DeleteAnswer, EditAnswer, FileAnswer, FunctionAnswer, HunkAnswer
from agents.answers.definitions import put_definitions
from agents.answers.lines import Lines
from agents.answers.naming import is_code_path
from agents.answers.omissions import omission_in
from agents.answers.partial import part_of
from agents.answers.paths import folded
from agents.answers.places import Misfit, Place, narrowed
from agents.answers.placing import find_places
from agents.answers.readings import hunk_readings, readings, unescaped, without_numbers
from agents.answers.syntax import PYTHON

_LABEL = (
    "If the block is the file, write a line File: with its path before it and give every line of the file, or give "
    "edits. If it only shows how something is used, leave it out."
)
_UNSEEN = (
    "Its text is shown with the files now, if it is not too long. Change it by edits, or give all of it with what is "
    "to stay; or give a new file another name."
)
_PART = "Give every line of the file, or give edits; what is to go is taken away by edits."


@dataclass(frozen=True, slots=True)
class Applied:
    """The answer fits.

    Attributes:
        contents: New text of each file that differs from before; a new file too; None for a deleted one. Empty: the
            answer changes nothing.
        passed_over: Paths of blocks that only showed something.
    """

    contents: Mapping[str, str | None]
    passed_over: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Rejected:
    """The answer does not fit; no file is changed.

    Attributes:
        path: The file of the first change that does not fit.
        reason: What does not fit, in one sentence without a full stop.
        hint: What the model should look at: the nearest real lines, or what to do instead; and which of the other
            changes fit.
        unseen: Files that were to be replaced whole by somebody who was never shown them.
    """

    path: str
    reason: str
    hint: str = ""
    unseen: tuple[str, ...] = ()


def apply_edits(
    files: Mapping[str, str],
    answers: Iterable[Change],
    *,
    shown: Collection[str] | None = None,
    planned: Collection[str] = (),
) -> Applied | Rejected:
    """Apply changes in their order; later ones see what earlier ones did.

    An edit is placed where its lines stand exactly; else where they stand but for blanks at line ends; else but for
    one and the same indentation, which its new lines are given too; else but for blank lines at its two ends. Then come
    other readings of it (`readings`), dots in its middle (`elided`), and what does not matter (`loose`). At each step
    it has to be the only place. An empty search makes a file, if there is none or an empty one. A file given whole
    behind edits of it is passed over where it tells what they made.

    Args:
        files: Texts of the files that there are, by path; those that no change names may be left out, but then a
            change of one makes a new file.
        answers: What `read_files` returned.
        shown: Files whose text the model has seen, so that it may replace them; None for all.
        planned: Files that are to be changed: a block that may be one of them or only show something is refused.
    """
    meant = without_asides(tuple(answers), files, planned)
    if meant.doubtful is not None:
        return Rejected(
            meant.doubtful, "is named in a sentence only, over a block that lacks what the file has", _LABEL
        )
    changes = meant.changes
    texts: dict[str, str] = dict(files)
    spellings = {folded(path): path for path in files}
    misfits: dict[int, Rejected] = {}
    edited: set[str] = set()
    for number, change in enumerate(changes):
        path = _spelled(change.path, files, spellings)
        if isinstance(path, Rejected):
            result: str | Rejected | None = path
        elif isinstance(change, FileAnswer) and path in edited:
            result = _told_again(change, texts[path])
        elif isinstance(change, FileAnswer) and shown is not None and path in files and path not in shown:
            result = _replaced_unseen(change, path, texts.get(path))
        else:
            result = _changed(path, texts.get(path), change, texts, changes)
        if isinstance(result, Rejected):
            misfits[number] = result
        elif result is None:
            texts.pop(change.path if isinstance(path, Rejected) else path, None)
        else:
            texts[str(path)] = result
            if not isinstance(change, FileAnswer):
                edited.add(str(path))
    if misfits:
        return _told(changes, misfits)
    changed = {path: texts.get(path) for path in {**files, **texts} if files.get(path) != texts.get(path)}
    return Applied(changed, meant.passed_over)


def _told(changes: Sequence[Change], misfits: Mapping[int, Rejected]) -> Rejected:
    """Say of the first change what is wrong, and of the others whether they would have fitted."""
    unseen = tuple(dict.fromkeys(path for each in misfits.values() for path in each.unseen))
    first = replace(misfits[min(misfits)], unseen=unseen)
    if len(changes) == 1:
        return first
    fitting = [str(number + 1) for number in range(len(changes)) if number not in misfits]
    said = [f"Nothing was changed. Of the {len(changes)} changes, number {min(misfits) + 1} is the one above."]
    said += [
        f"Number {number + 1} does not fit either: {each.path}: {each.reason}." for number, each in misfits.items()
    ][1:6]
    said += [f"Number {', '.join(fitting)} would fit. Give all of them again."] if fitting else []
    return replace(first, hint="\n".join([first.hint, *said]).strip())


def _spelled(path: str, files: Mapping[str, str], spellings: dict[str, str]) -> str | Rejected:
    """Return the path as the tree spells it. Another composition of accents is the same file, another case is not."""
    known = spellings.setdefault(folded(path), path)
    if path in files or known == path:
        return path
    if normalize("NFC", known) == normalize("NFC", path):
        return known
    return Rejected(path, "differs only in case from another file", f"Did you mean {known}?")


def _new_text(change: Change) -> str:
    match change:
        case FileAnswer(content=text) | FunctionAnswer(code=text) | EditAnswer(replace=text) | HunkAnswer(lines=text):
            return text
        case DeleteAnswer():
            return ""


def _changed(
    path: str, text: str | None, change: Change, texts: Mapping[str, str], changes: Sequence[Change]
) -> str | Rejected | None:
    """Return the new text of the file of one change; None where it is deleted."""
    in_the_way = _in_the_way(path, texts) if text is None else None
    if in_the_way is not None:
        return Rejected(path, f"cannot be a file, since {in_the_way} is one", "Choose another path.")
    match change:
        case FileAnswer():
            return _rewritten(text, change, changes)
        case FunctionAnswer():
            return change.code if text is None else _redefined(text, change)
        case DeleteAnswer():
            return Rejected(path, "is not there, so it cannot be deleted", _like(path, texts)) if text is None else None
        case EditAnswer(search=search, replace=new):
            if not search:
                return _made(text, change.path, new)
            wanted = readings(Lines.of(search).texts, Lines.of(new).texts)
        case HunkAnswer(lines=lines):
            wanted = hunk_readings(Lines.of(lines).texts)
    if text is None:
        return Rejected(change.path, "is not there, so there is nothing to search in", _like(change.path, texts))
    lines = Lines.of(text)
    return _put(lines, change.path, find_places(wanted, lines.texts, change.path))


def _made(text: str | None, path: str, content: str) -> str | Rejected:
    if text:
        return Rejected(path, "exists, and an empty search only makes new files", "Search for lines of the file.")
    return content


def _told_again(change: FileAnswer, text: str) -> str | Rejected:
    """The text as its edits left it, where the file that follows them whole tells nothing else."""
    if tells_result(change, text):
        return text
    return Rejected(
        change.path,
        "is given as edits and then whole, and the two differ",
        "Give the edits only, or the whole file only.",
    )


def _replaced_unseen(change: FileAnswer, path: str, text: str | None) -> str | Rejected:
    """A file that was there and was not shown was taken for a new one; it is replaced where nothing of it is lost.

    That a package has its `__init__.py` is all that an empty one says.
    """
    before = text or ""
    if not change.content.strip() and path.rpartition("/")[2] == "__init__.py":
        return before
    if has_every_line_of(before, change.content):
        return _rewritten(text, change)
    return Rejected(path, "is there already with other content, which was not shown to you", _UNSEEN, (path,))


def _rewritten(text: str | None, change: FileAnswer, changes: Sequence[Change] = ()) -> str | Rejected:
    content = change.content
    omission = omission_in(content, text or "")
    if omission:
        return Rejected(
            change.path, f"is not whole: it says {omission!r}", "Give every line of the file, or give edits."
        )
    if text is None:
        return content
    if text.strip() and not content.strip():
        return Rejected(
            change.path,
            "was given empty",
            f"Give the whole file, or leave it out; to delete it write Delete: `{change.path}`",
        )
    content = _uncluttered(content, text) if is_code_path(change.path) else content
    elsewhere = (_new_text(each) for each in changes if each.path != change.path)
    part = part_of(text, content, elsewhere) if change.path.endswith(PYTHON) else None
    if part is None:
        return str(Lines.of(text).rewritten(content))
    if part.needed and part.definitions:
        return _redefined(text, FunctionAnswer(change.path, content))
    needs = f", and uses {_listed(part.needed)}" if part.needed else ""
    return Rejected(change.path, f"is not whole: it leaves out {_listed(part.lost)}{needs}", _PART)


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")


def _uncluttered(content: str, before: str) -> str:
    """Take line numbers and HTML's escapes out of code that had none before and is written in them throughout."""
    lines = content.split("\n")
    bare = without_numbers(lines)
    if bare is not None and len(lines) > 3 and without_numbers(before.split("\n")) is None:
        content = "\n".join(bare)
    plain = unescaped(content)
    had = any(sign in before for sign in "<>") and not any(each in before for each in ("&lt;", "&gt;", "&amp;"))
    return plain if plain is not None and had else content


def _redefined(text: str, change: FunctionAnswer) -> str | Rejected:
    lines = Lines.of(text)
    omission = omission_in(change.code, text)
    if omission:
        return Rejected(change.path, f"a definition is not whole: it says {omission!r}", "Give every line of it.")
    return _put(lines, change.path, put_definitions(change.path, lines.texts, change.code))


def _put(lines: Lines, path: str, found: Sequence[Place] | Misfit) -> str | Rejected:
    if isinstance(found, Misfit):
        return Rejected(path, found.reason, found.hint)
    for place in sorted(found, key=lambda each: each.start, reverse=True):
        place = narrowed(place, lines.texts)
        lines = lines.replaced(place.start, place.stop, place.new)
    return str(lines)


def _in_the_way(path: str, texts: Mapping[str, str]) -> str | None:
    """Return a file where the path has a folder, or a file below the path."""
    above = next((str(parent) for parent in PurePosixPath(path).parents if str(parent) in texts), None)
    return above or next((each for each in texts if each.startswith(f"{path}/")), None)


def _like(path: str, texts: Mapping[str, str]) -> str:
    name = path.rpartition("/")[2]
    same = sorted(each for each in texts if each.rpartition("/")[2] == name)[:3]
    return f"Did you mean {' or '.join(same)}?" if same else "Give a new file whole."
