"""Paths that a model names.

Owns the decision which of them may be used at all: relative, inside the tree, and the same file on every system.
Pure: whether something is there, or is a link, is for whoever opens it.
"""

from __future__ import annotations

import unicodedata
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from agents.answers.text import shown
from agents.errors import UnusableAnswer

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

MAX_PART_BYTES = 255
MAX_PATH_BYTES = 4_096

_ROOTS = ("workspace", "workdir", "repo", "repository", "project", "testbed", "app", "code", "path/to")
"""Folders that models put before a path: where others let them work, or the example of a prompt."""

_HINT = "Give a path relative to the root of the workspace, with forward slashes, such as src/app.py."
_SIGNS = frozenset('\\:<>"|?*`')
# Windows opens these as devices, whatever the suffix. Superscript digits count (Microsoft, "Naming Files").
_DEVICES = frozenset(
    {"con", "prn", "aux", "nul", "conin$", "conout$"}
    | {f"{port}{number}" for port in ("com", "lpt") for number in "0123456789¹²³"}
)


def safe_path(text: str) -> PurePosixPath:
    """Return a path that names a file inside the tree on every system.

    Refused are: empty, absolute, home and variable paths; `.` and `..`; empty parts; backslash, colon (drives,
    streams) and the signs Windows forbids; control, format (also right-to-left overrides) and private characters;
    device names; blanks at the ends of a part, a dot at its end; git's own folder in any spelling a file system
    folds into it; parts over 255 bytes and paths over 4,096.

    Raises:
        UnusableAnswer: The path is one of these; the reason says which.
    """
    reason = _path_fault(text)
    if reason is None:
        reason = next((fault for part in text.split("/") if (fault := _part_fault(part))), None)
    if reason is not None:
        raise UnusableAnswer(f"the path {shown(text)} {reason}", _HINT)
    return PurePosixPath(text)


def is_safe_path(text: str) -> bool:
    """Return whether `safe_path` takes it."""
    try:
        safe_path(text)
    except UnusableAnswer:
        return False
    return True


def meant_path(text: str, known: Collection[str] = (), *, searched: bool = False) -> str:
    """Return the path of the tree that a model means by a path as written.

    `./` in front is passed over. The rest counts only where it leads to one of the `known` files: a slash, `a/` or `b/`
    in front, a folder such as `/workspace/`, backslashes; and, where the file is `searched` and so has to be there,
    a name without its folders, if only one file bears it.

    Raises:
        UnusableAnswer: As `safe_path`.
    """
    text = text.removeprefix("./")
    if text not in known:
        text = next((each for each in _readings(text) if each in known), text)
    if searched and text not in known:
        below = [each for each in known if each.endswith(f"/{text}")]
        text = below[0] if len(below) == 1 else text
    return str(safe_path(text))


def _readings(text: str) -> Iterator[str]:
    slashed = text.replace("\\", "/").removeprefix("./")
    bare = slashed.removeprefix("/")
    yield slashed
    yield bare
    yield from (bare.removeprefix(f"{root}/") for root in ("a", "b", *_ROOTS))


def folded(path: str) -> str:
    """Return what two paths have in common that one file system takes for the same file: case and composition."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", path).casefold())


def _path_fault(text: str) -> str | None:
    if not text:
        return "is empty"
    if len(text) > MAX_PATH_BYTES or _bytes(text) > MAX_PATH_BYTES:
        return f"is longer than {MAX_PATH_BYTES} bytes"
    if text.startswith("/"):
        return "is absolute"
    if text[0] in "~$-":
        return f"begins with {text[0]!r}, which a shell or a program would take for something else"
    return None


def _part_fault(part: str) -> str | None:
    if part in ("", ".", ".."):
        return "has an empty part" if not part else f"has a part {part!r}"
    if _bytes(part) > MAX_PART_BYTES:
        return f"has a part longer than {MAX_PART_BYTES} bytes"
    if part != part.strip() or part.endswith("."):
        return "has a part with a blank at an end or a dot at its end"
    return _character_fault(part) or _name_fault(part)


def _character_fault(part: str) -> str | None:
    for character in part:
        if character in _SIGNS:
            return f"has the character {character!r}"
        # Cc control, Cf format, Cs surrogate, Co private; line and paragraph separators
        if unicodedata.category(character) in {"Cc", "Cf", "Cs", "Co", "Zl", "Zp"}:
            return f"has the invisible character U+{ord(character):04X}"
    return None


def _name_fault(part: str) -> str | None:
    name = folded(part)
    if name == ".git" or (name.startswith("git~") and name[4:].isdecimal()):
        return "goes into git's own folder"
    if name.partition(".")[0].rstrip() in _DEVICES:
        return "has a name that is a device on Windows"
    return None


def _bytes(text: str) -> int:
    return len(text.encode(errors="surrogatepass"))
