"""A patch hunk by hunk: listed with numbers, picked by number, or asked about one by one.

Owns the words and the keys, which are those of `git add -p` where they mean the same.
"""

from __future__ import annotations

from collections.abc import Sequence

from backend.cli.asking import ReadLine, read_stdin_line
from backend.cli.console import Terminal
from backend.cli.errors import Refused
from infrastructure.workspace.hunks import Hunk, NoSuchHunk, UnreadablePatch, read_numbers, split_patch

HELP = (
    "y: take this hunk",
    "n: leave it out",
    "a: take it and all later ones of this file",
    "d: leave it out, and all later ones of this file",
    "q: take no more; what was taken is applied",
    "?: this list",
)
_ALL_OF_FILE = {"a": True, "d": False}


def hunks_of(patch: str) -> tuple[Hunk, ...]:
    """The hunks of a result's patch.

    Raises:
        Refused: it cannot be split.
    """
    try:
        return split_patch(patch)
    except UnreadablePatch as problem:
        raise Refused(str(problem), "Take all of it: leave --hunks and --only out.") from None


def picked(only: str, hunks: Sequence[Hunk], run: str) -> tuple[int, ...]:
    """The numbers of `--only`.

    Raises:
        Refused: one of them is no hunk.
    """
    try:
        return read_numbers(only, len(hunks))
    except NoSuchHunk as problem:
        which = "is hunk 1" if len(hunks) == 1 else f"are hunks 1 to {len(hunks)}"
        hint = f"There {which}, written as in 1,3-5; `corral show {run} --hunks` lists them."
        raise Refused(f"--only: {problem}", hint) from None


def heading(hunk: Hunk, count: int) -> str:
    """A hunk in a line."""
    added, removed = hunk.counts
    kind = {"lines": "", "mode": ", its mode"}.get(hunk.kind, f", a {hunk.kind}")
    return f"hunk {hunk.number} of {count}: {hunk.path}{kind} (+{added} −{removed})"


def print_hunks(hunks: Sequence[Hunk], terminal: Terminal) -> None:
    """List them on stdout."""
    for hunk in hunks:
        terminal.print_data(heading(hunk, len(hunks)), "bold")
        terminal.patch(hunk.text)


def document(hunks: Sequence[Hunk]) -> list[dict[str, object]]:
    """The list for programs."""
    return [
        {
            "number": each.number,
            "path": each.path,
            "kind": each.kind,
            "added": each.counts[0],
            "removed": each.counts[1],
            "text": each.text,
        }
        for each in hunks
    ]


async def ask_hunks(
    hunks: Sequence[Hunk], terminal: Terminal, read_line: ReadLine = read_stdin_line
) -> tuple[int, ...] | None:
    """Show each hunk and ask whether it is taken.

    Returns:
        The numbers of those that are. None when input ended: nobody is there.
    """
    taken: list[int] = []
    of_file: dict[str, bool] = {}
    for hunk in hunks:
        if hunk.path in of_file:
            taken += [hunk.number] if of_file[hunk.path] else []
            continue
        terminal.say(f"\n{heading(hunk, len(hunks))}", "bold")
        for line in hunk.text.split("\n")[: -1 if hunk.text.endswith("\n") else None]:
            terminal.say(line, {"+": "green", "-": "red", "@": "cyan"}.get(line[:1], ""))
        key = await _key(terminal, read_line)
        if key is None:
            return None
        if key == "q":
            break
        if key in _ALL_OF_FILE:
            of_file[hunk.path] = _ALL_OF_FILE[key]
        if key in ("y", "a"):
            taken.append(hunk.number)
    return tuple(taken)


async def _key(terminal: Terminal, read_line: ReadLine) -> str | None:
    """One of the keys; asked until one is typed."""
    while True:
        terminal.err.print("Take this hunk? [y,n,q,a,d,?] ", end="")
        line = await read_line()
        if line is None:
            terminal.err.print()
            return None
        key = line.strip().lower()
        key = {"yes": "y", "no": "n"}.get(key, key)
        if key in ("y", "n", "q", "a", "d"):
            return key
        for each in HELP:
            terminal.say(each)
