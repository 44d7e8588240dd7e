"""What a static check finds in the Python of a patch that was not there before it.

Owns the rules, how ruff is run, and what counts as new. Ruff reads the files and runs nothing of them. It is given
copies in a folder of ours and no configuration, neither the workspace's nor the user's; what a file says to silence it
does not count, since the model that wrote the file may have said it.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections import Counter
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import cast

from ruff import find_ruff_bin

from infrastructure.processes import ProcessNotStarted, run_process, scratch

RULES = (
    "E9", "F", "PLE",
    "B002", "B003", "B005", "B006", "B012", "B015", "B016", "B018", "B020", "B021", "B023", "B025", "B026", "B029",
    "B030", "B032", "B035",
    "S102", "S110", "S112", "S301", "S307", "S501", "S506", "S602", "S605", "S608",
)  # fmt: skip
"""Rules that find defects: syntax, undefined names, pyflakes, pylint's errors, bugbear's traps (a mutable default, a
statement without effect, a loop variable in a closure), swallowed exceptions, and what runs or trusts foreign text."""
NOT = ("F401", "F403", "F405", "F541")
"""Of these, what is untidy and not wrong: an unused import, a star import, an f-string without a field."""
MOST = 20
"""Findings that are kept; how many more there were is said."""
MOST_FILES = 200
FILE_BYTES = 1 << 20
SECONDS = 20.0

_OUTPUT_BYTES = 8 << 20
_TEXT = 200
_LINES = re.compile(r"\bline \d+")
_SUFFIXES = (".py", ".pyi")


@dataclass(frozen=True, slots=True)
class Finding:
    """A defect that a static check sees in a file of the patch.

    Attributes:
        path: The file.
        line: In the file after the change, counted from 1.
        rule: As ruff names it.
        text: What is wrong.
    """

    path: str
    line: int
    rule: str
    text: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.text} ({self.rule})"


@dataclass(frozen=True, slots=True)
class Findings:
    """What a check says.

    Attributes:
        found: The new findings by path and line, at most `MOST`.
        more: How many others there were.
        problem: Why nothing can be said; empty where the check was made.
    """

    found: tuple[Finding, ...] = ()
    more: int = 0
    problem: str = ""


def is_checked(path: str) -> bool:
    """Whether there is a check for this file's language."""
    return path.endswith(_SUFFIXES)


async def find_new(before: Mapping[str, bytes], after: Mapping[str, bytes]) -> Findings:
    """Check files as a patch leaves them, and leave out what was so before.

    Args:
        before: The files that the patch changes or deletes, as they were.
        after: The files that it changes or makes, as they are.
    """
    sides = [
        _Side(side, {path: content for path, content in files.items() if is_checked(path)})
        for side, files in (("before", before), ("after", after))
    ]
    if not sides[1].files:
        return Findings()
    too_long = [path for side in sides for path, content in side.files.items() if len(content) > FILE_BYTES]
    if too_long or any(len(side.files) > MOST_FILES for side in sides):
        what = f"{too_long[0]} is longer than 1 MiB" if too_long else f"there are more than {MOST_FILES} files"
        return Findings(problem=what)
    try:
        async with scratch("checks") as place:
            places = await asyncio.to_thread(_lay_out, place, sides)
            found = _read(await _run(place, tuple(places)), places)
    except _NotChecked as problem:
        return Findings(problem=str(problem))
    new = only_new(
        [each for side, each in found if side.name == "before"],
        [each for side, each in found if side.name == "after"],
        {side.name: side.lines for side in sides},
    )
    return Findings(tuple(new[:MOST]), max(0, len(new) - MOST))


def only_new(
    before: Sequence[Finding], after: Sequence[Finding], lines: Mapping[str, Mapping[str, Sequence[str]]]
) -> list[Finding]:
    """Findings that nothing before matches; each one before excuses one. Pure.

    1. The same rule says the same of the same line's text in the same file: the line has only moved.
    2. The same in the same file: the line was changed around what is wrong with it.
    3. The same of the same line's text in another file: the code has moved.
    """

    def words(each: Finding) -> tuple[str, str]:
        return each.rule, _LINES.sub("line", each.text)

    def source(side: str, each: Finding) -> str:
        known = lines[side].get(each.path, ())
        return known[each.line - 1].strip() if 0 < each.line <= len(known) else ""

    keys: tuple[Callable[[str, Finding], Hashable], ...] = (
        lambda side, each: (each.path, *words(each), source(side, each)),
        lambda _, each: (each.path, *words(each)),
        lambda side, each: (*words(each), source(side, each)),
    )
    old, new = list(before), sorted(after, key=lambda each: (each.path, each.line, each.rule, each.text))
    for key in keys:
        old, new = _without(old, new, key), _without(new, old, key, left="after")
    return new


def dump_findings(findings: Findings) -> bytes:
    """As bytes for the record."""
    return json.dumps(asdict(findings), ensure_ascii=False).encode("utf-8", "replace")


def load_findings(data: bytes) -> Findings:
    """Read `dump_findings` back."""
    fields = json.loads(data)
    return Findings(tuple(Finding(**each) for each in fields["found"]), fields["more"], fields["problem"])


@dataclass(frozen=True, slots=True)
class _Side:
    name: str
    files: Mapping[str, bytes]

    @property
    def lines(self) -> dict[str, list[str]]:
        return {path: content.decode("utf-8", "replace").split("\n") for path, content in self.files.items()}


class _NotChecked(Exception):
    """The check could not be made."""


def _without(
    these: Sequence[Finding],
    those: Sequence[Finding],
    key: Callable[[str, Finding], Hashable],
    *,
    left: str = "before",
) -> list[Finding]:
    """Those of `these` that have no partner among `those`; `left` is the side that `these` are of."""
    right = "before" if left == "after" else "after"
    partners = Counter(key(right, each) for each in those)
    kept: list[Finding] = []
    for each in these:
        name = key(left, each)
        if partners[name] > 0:
            partners[name] -= 1
        else:
            kept.append(each)
    return kept


def _lay_out(place: Path, sides: Sequence[_Side]) -> dict[str, tuple[_Side, str]]:
    """Write the files under names of ours; which is which, by the path that ruff is given."""
    places: dict[str, tuple[_Side, str]] = {}
    for side in sides:
        for number, (path, content) in enumerate(sorted(side.files.items())):
            known = PurePosixPath(path)
            # What __init__.py may leave undefined is another matter than elsewhere, so it keeps its name.
            name = known.name if known.name in ("__init__.py", "__init__.pyi") else f"file{known.suffix}"
            folder = place / side.name / str(number)
            folder.mkdir(parents=True)
            (folder / name).write_bytes(content)
            places[f"{side.name}/{number}/{name}"] = (side, path)
    return places


async def _run(place: Path, files: Sequence[str]) -> bytes:
    try:
        ruff = await asyncio.to_thread(find_ruff_bin)
    except FileNotFoundError:
        raise _NotChecked("ruff is not installed") from None
    argv = (
        ruff, "check", "--isolated", "--no-cache", "--ignore-noqa", "--no-fix", "--exit-zero", "--quiet",
        "--target-version=py314", f"--select={','.join(RULES)}", f"--ignore={','.join(NOT)}",
        "--output-format=json-lines", "--", *files,
    )  # fmt: skip
    try:
        done = await run_process(
            argv,
            cwd=place,
            env={"PATH": "/usr/bin:/bin", "HOME": str(place), "LC_ALL": "C.UTF-8", "RAYON_NUM_THREADS": "2"},
            timeout=SECONDS,
            output_limit=_OUTPUT_BYTES,
        )
    except ProcessNotStarted as problem:
        raise _NotChecked(f"ruff could not be started: {problem.reason}") from problem
    if done.stopped is not None or done.truncated:
        raise _NotChecked(f"ruff was stopped ({done.stopped or 'output'})")
    if done.exit_code != 0:
        raise _NotChecked(f"ruff failed: {_first_line(done.stderr)}")
    return done.stdout


def _first_line(output: bytes) -> str:
    return next(iter(output.decode("utf-8", "replace").strip().splitlines()), "it said nothing")[:_TEXT]


def _read(output: bytes, places: Mapping[str, tuple[_Side, str]]) -> list[tuple[_Side, Finding]]:
    found: list[tuple[_Side, Finding]] = []
    for line in output.splitlines():
        fields = cast("dict[str, object]", json.loads(line))
        name = "/".join(Path(str(fields["filename"])).parts[-3:])
        side, path = places[name]
        where = cast("dict[str, int]", fields["location"])
        text = " ".join(str(fields["message"]).split())[:_TEXT]
        found.append((side, Finding(path, where["row"], str(fields["code"] or "invalid-syntax"), text)))
    return found
