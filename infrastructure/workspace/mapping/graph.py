"""Which file leans on which: the graph that files are ranked over.

Owns its edges (a file that uses a name points to those that define it) and the words each file can be found by.
Built once an index; questions are asked of it by `ranking`.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from infrastructure.workspace.mapping.languages import language_of
from infrastructure.workspace.mapping.tags import FileTags
from infrastructure.workspace.mapping.words import parts_of

COMMON = 12
"""A name that more files define says nothing about which one is meant."""
_FAMILIES = {"typescript": "javascript", "tsx": "javascript", "c": "cpp"}
_SHORTEST = 0.5
"""Of the average: a file that holds two words is not about either of them."""
_PATH_WEIGHT, _DEFINED_WEIGHT, _USED_WEIGHT = 4.0, 2.0, 0.3


@dataclass(frozen=True, slots=True)
class Edge:
    """A file uses what another defines: which name, and how much that says."""

    source: int
    target: int
    name: str
    weight: float


@dataclass(frozen=True, slots=True)
class Graph:
    """The files of an index by number, in the order of their paths.

    Attributes:
        paths: Their paths.
        edges: Who uses what of whom, in a fixed order.
        definers: Where a name is defined, by file numbers.
        postings: By word, the files that have it, each with how much of it.
        lengths: How much text each file's words are taken from, against the average; not less than half of it.
    """

    paths: Sequence[str]
    edges: Sequence[Edge]
    definers: Mapping[str, Sequence[int]]
    postings: Mapping[str, Sequence[tuple[int, float]]]
    lengths: Sequence[float]


def graph_of(files: Mapping[str, FileTags], others: Sequence[str] = ()) -> Graph:
    """The graph of these files. Blocking: a second or two of work for 20,000.

    Args:
        files: Tags by path.
        others: Further paths, which have none.
    """
    paths = sorted({*files, *others})
    numbers = {path: number for number, path in enumerate(paths)}
    tags = {numbers[path]: each for path, each in sorted(files.items())}
    definers = _definers(tags)
    postings, lengths = _postings(paths, tags)
    return Graph(
        paths=paths,
        edges=_edges(paths, tags, definers),
        definers=definers,
        postings=postings,
        lengths=lengths,
    )


def _definers(tags: Mapping[int, FileTags]) -> Mapping[str, Sequence[int]]:
    found: defaultdict[str, dict[int, None]] = defaultdict(dict)
    for number, each in tags.items():
        for definition in each.definitions:
            if definition.kind != "block":
                found[definition.name][number] = None
    return {name: tuple(numbers) for name, numbers in found.items()}


def _edges(paths: Sequence[str], tags: Mapping[int, FileTags], definers: Mapping[str, Sequence[int]]) -> Sequence[Edge]:
    families = [_family(path) for path in paths]
    edges: list[Edge] = []
    for number, each in tags.items():
        for name, times in each.used.items():
            targets = definers.get(name, ())
            if not targets or len(targets) > COMMON or number in targets:
                continue  # what a file defines itself it means itself
            same = [target for target in targets if families[target] == families[number]]
            edges += [Edge(number, target, name, _telling(name) * math.sqrt(times) / len(same)) for target in same]
    return edges


def _family(path: str) -> str:
    language = language_of(path) or ""
    return _FAMILIES.get(language, language)


def _telling(name: str) -> float:
    """How surely a name means the same thing in two files."""
    if name.startswith("_"):
        return 0.1
    made_up = "_" in name or (name != name.lower() and name != name.upper())
    return 3.0 if made_up and len(name) >= 8 else 1.0 if made_up or len(name) >= 6 else 0.3


def _postings(
    paths: Sequence[str], tags: Mapping[int, FileTags]
) -> tuple[Mapping[str, Sequence[tuple[int, float]]], Sequence[float]]:
    postings: defaultdict[str, list[tuple[int, float]]] = defaultdict(list)
    totals: list[float] = []
    for number, path in enumerate(paths):
        weights = _weights(path, tags.get(number))
        totals.append(sum(weights.values()))
        for word, weight in weights.items():
            postings[word].append((number, weight))
    average = sum(totals) / len(totals) if totals else 0.0
    return postings, [max(_SHORTEST, total / average) if average else 1.0 for total in totals]


def _weights(path: str, tags: FileTags | None) -> Mapping[str, float]:
    weights: defaultdict[str, float] = defaultdict(float)
    for word in dict.fromkeys(parts_of(path)):
        weights[word] += _PATH_WEIGHT
    for definition in tags.definitions if tags else ():
        for word in parts_of(definition.name):
            weights[word] += _DEFINED_WEIGHT
    for name, times in tags.used.items() if tags else ():
        for word in parts_of(name):
            weights[word] += _USED_WEIGHT * math.log1p(times)
    return weights
