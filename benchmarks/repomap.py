"""How useful the map of a repository is, and what it costs: `python -m benchmarks.repomap REPOSITORY…`.

Each argument is a git repository (bare or not). Of each, the newest commits that change one to three source files and
no others of a language that is read are taken; the commit's message is the task, the tree before it the workspace. Told
is how many of the changed files are named within 1,024 tokens by the bare listing, by files found by words alone, and
by the map.
"""

from __future__ import annotations

import argparse
import asyncio
import io
import re
import resource
import subprocess
import tarfile
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from agents.codegen import is_test_path
from benchmarks.measuring import cpu_seconds
from infrastructure.workflow.material import listing
from infrastructure.workspace.manifest import Snapshot
from infrastructure.workspace.mapping.cache import SqliteTags
from infrastructure.workspace.mapping.indexing import index_of
from infrastructure.workspace.mapping.languages import language_of
from infrastructure.workspace.mapping.mapper import Mapper
from infrastructure.workspace.mapping.ranking import Focus, matches
from infrastructure.workspace.mapping.rendering import MapBudget
from infrastructure.workspace.mapping.tokens import estimate_tokens
from infrastructure.workspace.mapping.words import words_in
from infrastructure.workspace.snapshot import take_snapshot

TOKENS = 1024
WAYS = ("listing", "words", "map")
_TRAILERS = re.compile(r"^(?:signed-off-by|co-authored-by|cc|reviewed-by):.*$", re.IGNORECASE | re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Commit:
    sha: str
    task: str
    changed: tuple[str, ...]
    names_one: bool


@dataclass(slots=True)
class Tally:
    """Of one repository: by way, the share of each commit's files that were named."""

    recalls: dict[str, list[float]] = field(default_factory=lambda: {way: [] for way in WAYS})
    unnamed: dict[str, list[float]] = field(default_factory=lambda: {way: [] for way in WAYS})
    files: list[int] = field(default_factory=list[int])


def git(repository: Path, *arguments: str) -> bytes:
    place = repository / ".git" if (repository / ".git").exists() else repository
    return subprocess.run(["git", "--git-dir", str(place), *arguments], check=True, capture_output=True).stdout


def commits(repository: Path, number: int) -> Iterator[Commit]:
    """The newest that fit. A merge, a release and a change of tests alone are no tasks."""
    log = git(repository, "log", "--no-merges", "--name-status", "--no-renames", "--format=%x00%H%x01%B%x01", "HEAD")
    found = 0
    for entry in log.decode("utf-8", "replace").split("\0")[1:]:
        sha, message, status = entry.split("\1")
        pairs = [line.split("\t") for line in status.strip().splitlines()]
        source = [pair for pair in pairs if language_of(pair[1]) and not is_test_path(pair[1])]
        task = _TRAILERS.sub("", message).strip()
        if not 1 <= len(source) <= 3 or any(kind != "M" for kind, _ in source) or len(task.split()) < 4:
            continue
        changed = tuple(path for _, path in source)
        yield Commit(sha, task, changed, any(Path(path).name in task for path in changed))
        found += 1
        if found == number:
            return


async def snapshot_before(repository: Path, commit: Commit, into: Path) -> Snapshot:
    archive = git(repository, "archive", f"{commit.sha}^")
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        tar.extractall(into / "work", filter="data")
    return await take_snapshot(into / "work", into / "snapshot")


def cut(paths: Sequence[str], tokens: int) -> set[str]:
    """As many lines of a list as fit."""
    kept: set[str] = set()
    for path in paths:
        tokens -= estimate_tokens(path + "\n")
        if tokens < 0:
            break
        kept.add(path)
    return kept


async def named(snapshot: Snapshot, commit: Commit, mapper: Mapper) -> dict[str, set[str]]:
    """What each way names."""
    index = await mapper.index(snapshot)
    fits = matches(index.graph, words_in(commit.task))
    best = sorted(fits, key=lambda number: (-fits[number], index.graph.paths[number]))
    drawn = await mapper.overview(snapshot, Focus(task=commit.task), MapBudget(TOKENS))
    assert drawn.tokens <= TOKENS
    return {
        "listing": cut([f"{each.path} {each.size} bytes" for each in listing(snapshot)], TOKENS),
        "words": cut([index.graph.paths[number] for number in best], TOKENS),
        "map": {file.path for file in drawn.files},
    }


async def measure(repository: Path, number: int, folder: Path) -> Tally:
    tally, tags = Tally(), SqliteTags(folder / "tags.db")
    for commit in commits(repository, number):
        with tempfile.TemporaryDirectory(dir=folder) as place:
            snapshot = await snapshot_before(repository, commit, Path(place))
            ways = await named(snapshot, commit, Mapper(tags))
            tally.files.append(len(snapshot.files))
            ways["listing"] = {line.rsplit(" ", 2)[0] for line in ways["listing"]}
            for way, paths in ways.items():
                recall = sum(path in paths for path in commit.changed) / len(commit.changed)
                tally.recalls[way].append(recall)
                if not commit.names_one:
                    tally.unnamed[way].append(recall)
    return tally


async def cost(repository: Path, folder: Path) -> tuple[int, float, float, float]:
    """Source files of the newest tree, and CPU seconds: cold, from the cache, and of one map."""
    head = Commit("HEAD", "", (), names_one=False)
    with tempfile.TemporaryDirectory(dir=folder) as place:
        archive = git(repository, "archive", head.sha)
        with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
            tar.extractall(Path(place) / "work", filter="data")
        snapshot = await take_snapshot(Path(place) / "work", Path(place) / "snapshot")
        tags = SqliteTags(Path(place) / "tags.db")
        began = _cpu()
        index = await index_of(snapshot, tags)
        cold = _cpu() - began
        began = _cpu()
        index = await index_of(snapshot, tags)
        cached = _cpu() - began
        assert index.work.parsed == 0
        mapper = Mapper(tags)
        await mapper.index(snapshot)
        began = _cpu()
        await mapper.overview(snapshot, Focus(task="retry a request when the connection was closed"), MapBudget(TOKENS))
        return index.work.source, cold, cached, _cpu() - began


def _cpu() -> float:
    return cpu_seconds(resource.RUSAGE_SELF) + cpu_seconds(resource.RUSAGE_CHILDREN)


def mean(values: Sequence[float]) -> str:
    return f"{100 * sum(values) / len(values):.0f} %" if values else "-"


async def main() -> str:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("repositories", nargs="+", type=Path)
    parser.add_argument("--commits", type=int, default=50, help="of each repository")
    said = parser.parse_args()
    lines = [
        f"{datetime.now(UTC):%Y-%m-%d}, recall of the changed files within {TOKENS} tokens",
        "",
        "| repository | files | commits | listing | words | map | that name no file: | listing | words | map |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    costs = ["", "| repository | source files | CPU a source file: cold | cached | a map |", "|---|---|---|---|---|"]
    with tempfile.TemporaryDirectory(prefix="repomap.") as folder:
        for repository in said.repositories:
            name = repository.parent.name if repository.name in ("repo", ".git") else repository.stem
            began = time.monotonic()
            tally = await measure(repository, said.commits, Path(folder))
            told = [mean(tally.recalls[way]) for way in WAYS]
            unnamed = [mean(tally.unnamed[way]) for way in WAYS]
            files = sorted(tally.files)[len(tally.files) // 2]
            cells = [name, f"{files:,}", len(tally.recalls["map"]), *told, len(tally.unnamed["map"]), *unnamed]
            lines.append("| " + " | ".join(map(str, cells)) + " |")
            source, cold, cached, drawn = await cost(repository, Path(folder))
            each = [f"{1000 * seconds / source:.2f} ms" for seconds in (cold, cached, drawn)]
            costs.append(f"| {name} | {source:,} | " + " | ".join(each) + " |")
            print(f"{name}: {time.monotonic() - began:.0f} s", flush=True)
    return "\n".join([*lines, *costs])


if __name__ == "__main__":
    print(asyncio.run(main()))
