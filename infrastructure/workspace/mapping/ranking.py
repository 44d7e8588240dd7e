"""Which files matter for a task.

Owns the decision: what the task says of each file (its name, names it defines, words it has) is where a random reader
starts, who then follows references from file to file and starts anew every so often: personalised PageRank (Page et
al., 1999; Haveliwala, 2002), over files, in plain Python. Pure and deterministic.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from agents.codegen import is_test_path
from infrastructure.workspace.mapping.graph import Edge, Graph
from infrastructure.workspace.mapping.words import names_in, words_in

FOLLOWED = 0.5
"""The share of the reader's steps that follow a reference."""
_BACKWARDS = 0.3
"""A reader also goes from what is used to who uses it, by so much."""
_ROUNDS = 24
_NAMED_FILE, _NAMED_DEFINITION, _FAILING_TEST, _WORDS, _ANYWHERE = 2.0, 1.0, 0.5, 1.0, 0.05
_NAMED_EDGE = 5.0
_TESTS = 0.5
"""A test is read rather than changed, and has the words of all that it tests."""
_SATURATION, _LENGTH_SHARE = 1.5, 0.6
"""BM25's k1 and b (Robertson and Zaragoza, 2009)."""
_MOST_WORDS = 400


@dataclass(frozen=True, slots=True, kw_only=True)
class Focus:
    """What the map is for.

    Attributes:
        task: The words of the task, and of the plan where there is one.
        files: Files that matter whatever the words say: named in the task, chosen, planned.
        failing: The files of failing tests.
    """

    task: str
    files: tuple[str, ...] = ()
    failing: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Ranking:
    """How much each file and each definition of it matters.

    Attributes:
        files: Scores by path, the highest first.
        names: By path, how much each name it defines matters to others.
        words: The task's words, as `words.parts_of` cuts them.
    """

    files: Mapping[str, float]
    names: Mapping[str, Mapping[str, float]]
    words: frozenset[str] = frozenset()

    def without(self, paths: Collection[str]) -> Ranking:
        """The same, with these files left out."""
        return replace(self, files={path: score for path, score in self.files.items() if path not in paths})


def rank(graph: Graph, focus: Focus) -> Ranking:
    """Rank the files of a graph."""
    named = frozenset(names_in(focus.task))
    words = tuple(dict.fromkeys(words_in(focus.task)))[:_MOST_WORDS]
    start = _start(graph, focus, named, words)
    edges = [(each, each.weight * (_NAMED_EDGE if each.name in named else 1.0)) for each in graph.edges]
    scores = _walk(len(graph.paths), edges, start)
    asked = {*focus.files, *focus.failing}
    scores = [
        score * (_TESTS if is_test_path(path) and path not in asked else 1.0)
        for path, score in zip(graph.paths, scores, strict=True)
    ]
    order = sorted(range(len(scores)), key=lambda number: (-scores[number], graph.paths[number]))
    return Ranking(
        files={graph.paths[number]: scores[number] for number in order},
        names=_names(graph, edges, scores),
        words=frozenset(words),
    )


def callees(graph: Graph, paths: Collection[str]) -> Ranking:
    """The files whose definitions these files use, and which of them; the files themselves are left out."""
    names: defaultdict[str, defaultdict[str, float]] = defaultdict(lambda: defaultdict(float))
    for edge in graph.edges:
        target = graph.paths[edge.target]
        if graph.paths[edge.source] in paths and target not in paths:
            names[target][edge.name] += edge.weight
    scores = {path: sum(each.values()) for path, each in names.items()}
    order = sorted(scores, key=lambda path: (-scores[path], path))
    return Ranking({path: scores[path] for path in order}, names)


def matches(graph: Graph, words: Iterable[str]) -> Mapping[int, float]:
    """How well each file's words fit, by BM25; files with none of them are left out."""
    fits: defaultdict[int, float] = defaultdict(float)
    count = len(graph.paths)
    for word in words:
        found = graph.postings.get(word, ())
        rarity = math.log(1 + (count - len(found) + 0.5) / (len(found) + 0.5))
        for number, weight in found:
            norm = 1 - _LENGTH_SHARE + _LENGTH_SHARE * graph.lengths[number]
            fits[number] += rarity * weight * (_SATURATION + 1) / (weight + _SATURATION * norm)
    return fits


def _start(graph: Graph, focus: Focus, named: Iterable[str], words: Sequence[str]) -> Sequence[float]:
    """Where the reader starts, for each file; sums to 1."""
    numbers = {path: number for number, path in enumerate(graph.paths)}
    start = [_ANYWHERE / max(1, len(numbers))] * len(numbers)
    for paths, weight in ((focus.files, _NAMED_FILE), (focus.failing, _FAILING_TEST)):
        known = [numbers[path] for path in dict.fromkeys(paths) if path in numbers]
        for number in known:
            start[number] += weight / len(known)
    defined = sorted((name, graph.definers[name]) for name in named if name in graph.definers)
    for _, definers in defined:
        for number in definers:
            start[number] += _NAMED_DEFINITION / len(defined) / len(definers)
    fits = matches(graph, words)
    total = sum(fit**2 for fit in fits.values())  # squared: the best few, not a little of everything
    for number, fit in fits.items():
        start[number] += _WORDS * fit**2 / total
    whole = sum(start)
    return [each / whole for each in start] if whole else start


def _walk(count: int, edges: Sequence[tuple[Edge, float]], start: Sequence[float]) -> Sequence[float]:
    steps: defaultdict[tuple[int, int], float] = defaultdict(float)
    for edge, weight in edges:
        steps[edge.source, edge.target] += weight
        steps[edge.target, edge.source] += weight * _BACKWARDS
    leaving = [0.0] * count
    for (source, _), weight in steps.items():
        leaving[source] += weight
    shares = [(source, target, weight / leaving[source]) for (source, target), weight in steps.items()]
    scores = list(start)
    for _ in range(_ROUNDS):
        arrived = [0.0] * count
        for source, target, share in shares:
            arrived[target] += scores[source] * share
        stuck = sum(score for score, out in zip(scores, leaving, strict=True) if not out)
        scores = [
            (1 - FOLLOWED) * begun + FOLLOWED * (came + stuck * begun)
            for begun, came in zip(start, arrived, strict=True)
        ]
    return scores


def _names(
    graph: Graph, edges: Sequence[tuple[Edge, float]], scores: Sequence[float]
) -> Mapping[str, Mapping[str, float]]:
    names: defaultdict[str, defaultdict[str, float]] = defaultdict(lambda: defaultdict(float))
    for edge, weight in edges:
        names[graph.paths[edge.target]][edge.name] += weight * scores[edge.source]
    return names
