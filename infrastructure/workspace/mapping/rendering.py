"""The map as text: files, most relevant first, with the signatures that matter, never over its budget.

Owns the order in which entries come in, and the search for how many of them fit. No body of any code is shown.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from infrastructure.workspace.mapping.ranking import Ranking
from infrastructure.workspace.mapping.tags import Definition, FileTags
from infrastructure.workspace.mapping.tokens import estimate_tokens
from infrastructure.workspace.mapping.words import parts_of

ENTRIES = 4_000
"""The most that is ever looked at, however large the budget."""
_FILES = 1_000
_DEFINITION_STEP = 2.0
_WORD_WORTH = 2.0
_INDENT = "  "


@dataclass(frozen=True, slots=True)
class MapBudget:
    """How long a map may be: tokens, as `count` counts them."""

    tokens: int
    count: Callable[[str], int] = field(default=estimate_tokens)


@dataclass(frozen=True, slots=True)
class MappedFile:
    """A file of a map and what is shown of it, in the order of its text."""

    path: str
    definitions: tuple[Definition, ...] = ()


@dataclass(frozen=True, slots=True)
class Map:
    """A map: its text, its tokens, what is in it, and how many ranked files are not."""

    text: str = ""
    tokens: int = 0
    files: tuple[MappedFile, ...] = ()
    left_out: int = 0


NO_MAP = Map()

Entry = tuple[str, int | None]
"""A file's path, and which of its definitions; None for the line of the file itself."""


def render(ranking: Ranking, tags: Mapping[str, FileTags], budget: MapBudget, *, named_only: bool = False) -> Map:
    """The largest map that fits, or none where not even one file does.

    Args:
        ranking: Which files, in which order.
        tags: What they define.
        budget: Its length.
        named_only: Only definitions that the ranking has a name of.
    """
    if budget.tokens <= 0:
        return NO_MAP
    entries = _entries(ranking, tags, named_only=named_only)
    fitting, beyond = 0, len(entries) + 1
    best = NO_MAP
    while beyond - fitting > 1:
        middle = (fitting + beyond) // 2
        drawn = _drawn(entries[:middle], ranking, tags, budget.count)
        if drawn.tokens <= budget.tokens:
            fitting, best = middle, drawn
        else:
            beyond = middle
    return best


def _entries(ranking: Ranking, tags: Mapping[str, FileTags], *, named_only: bool) -> Sequence[Entry]:
    """What comes in first: the best files by name, and the more of a file's definitions the better it is."""
    keyed: list[tuple[float, int, int, Entry]] = []
    for place, path in enumerate(list(ranking.files)[:_FILES]):
        keyed.append((float(place), place, 0, (path, None)))
        chosen = _best(path, tags[path], ranking, named_only=named_only) if path in tags else ()
        for order, number in enumerate(chosen):
            keyed.append(((place + 1) * (order + 2) * _DEFINITION_STEP, place, order + 1, (path, number)))
    keyed.sort(key=lambda each: each[:3])
    return [entry for *_, entry in keyed[:ENTRIES]]


def _best(path: str, tags: FileTags, ranking: Ranking, *, named_only: bool) -> Sequence[int]:
    """A file's definitions by number, those first that others use and that the task has words of."""
    names = ranking.names.get(path, {})
    most = max(names.values(), default=0.0) or 1.0

    def worth(definition: Definition) -> float:
        met = len(ranking.words.intersection(parts_of(definition.name)))
        hidden = 0.5 if definition.name.startswith("_") else 1.0
        return hidden * (names.get(definition.name, 0.0) / most + _WORD_WORTH * met + 0.1 / (1 + definition.depth))

    numbers = [
        number
        for number, each in enumerate(tags.definitions)
        if (each.kind != "block" and not named_only) or each.name in names
    ]
    return sorted(numbers, key=lambda number: (-worth(tags.definitions[number]), number))


def _drawn(
    entries: Sequence[Entry], ranking: Ranking, tags: Mapping[str, FileTags], count: Callable[[str], int]
) -> Map:
    shown: dict[str, set[int]] = {}
    for path, number in entries:
        numbers = shown.setdefault(path, set())
        if number is not None:
            numbers.update(_with_holders(tags[path].definitions, number))
    files = tuple(
        MappedFile(path, tuple(tags[path].definitions[number] for number in sorted(shown[path])) if shown[path] else ())
        for path in ranking.files
        if path in shown
    )
    text = "\n".join(line for file in files for line in _lines(file))
    return Map(text, count(text), files, len(ranking.files) - len(files))


def _with_holders(definitions: Sequence[Definition], number: int) -> Sequence[int]:
    """A definition and the classes it lies in."""
    numbers = [number]
    depth = definitions[number].depth
    for before in range(number - 1, -1, -1):
        if not depth:
            break
        if definitions[before].depth < depth:
            numbers.append(before)
            depth = definitions[before].depth
    return numbers


def _lines(file: MappedFile) -> Sequence[str]:
    return [file.path, *(_INDENT * (each.depth + 1) + each.signature for each in file.definitions)]
