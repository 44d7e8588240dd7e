"""The tags of a whole snapshot: from the cache where they are known, else parsed and kept.

Owns the bounds of a repository, and the count of what was done, which shows that nothing is parsed twice.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

from infrastructure.workspace.beneath import LINK
from infrastructure.workspace.manifest import Snapshot
from infrastructure.workspace.mapping.cache import TagStore, key_of
from infrastructure.workspace.mapping.graph import Graph, graph_of
from infrastructure.workspace.mapping.languages import language_of
from infrastructure.workspace.mapping.parsers import Parse, parse_files
from infrastructure.workspace.mapping.skipping import PARSED_BYTES, is_foreign
from infrastructure.workspace.mapping.tags import NO_TAGS, FileTags, load_tags
from infrastructure.workspace.threads import in_thread

SOURCE_FILES = 5_000
"""The most files that are parsed of one repository: those nearest to its root."""
SOURCE_BYTES = 128 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What was done for an index.

    Attributes:
        files: Files of the snapshot.
        source: Those in a language that is read, within the bounds.
        cached: Those whose tags were known.
        parsed: Those that were parsed.
        skipped: Files of such a language that were not looked at: too large, foreign, or too many.
    """

    files: int
    source: int
    cached: int
    parsed: int
    skipped: int


@dataclass(frozen=True, slots=True)
class Index:
    """A snapshot's definitions and the graph over all its tags; `files` has the source files, the graph all of them."""

    files: Mapping[str, FileTags]
    graph: Graph
    work: Work


async def index_of(snapshot: Snapshot, tags: TagStore, *, parse: Parse = parse_files) -> Index:
    """Index a snapshot.

    Args:
        snapshot: Its files never change, so neither does the index, but for files whose parser died.
        tags: What is known already; what is found out goes in.
        parse: Parses the rest.
    """
    source, skipped = _source(snapshot)
    keys = await asyncio.to_thread(  # a grammar's version is read from the disk
        lambda: {path: key_of(snapshot.files[path].sha256, language) for path, language in source.items()}
    )
    known = await tags.get(keys.values())
    unknown: dict[str, tuple[str, str]] = {}
    for path, language in source.items():
        if keys[path] not in known:
            unknown.setdefault(keys[path], (path, language))
    found = await parse(snapshot.root, list(unknown.values()))
    parsed = {keys[path]: packed for path, packed in found.items()}
    await tags.put(parsed)
    work = Work(
        files=len(snapshot.files),
        source=len(source),
        cached=sum(key in known for key in keys.values()),
        parsed=len(found),
        skipped=skipped,
    )
    packed = {path: known.get(key) or parsed.get(key) for path, key in keys.items()}
    return await in_thread(lambda _: _index(snapshot, packed, work))


def _source(snapshot: Snapshot) -> tuple[dict[str, str], int]:
    """The files to parse with the language of each, sorted by path, and how many were left out."""
    readable = {
        path: language
        for path, state in snapshot.files.items()
        if (language := language_of(path)) is not None and state.mode != LINK and path.isprintable()
    }
    chosen: dict[str, str] = {}
    room = SOURCE_BYTES
    for path in sorted(readable, key=lambda path: (path.count("/"), path)):
        size = snapshot.files[path].size
        if size <= min(room, PARSED_BYTES) and not is_foreign(path) and len(chosen) < SOURCE_FILES:
            chosen[path] = readable[path]
            room -= size
    return dict(sorted(chosen.items())), len(readable) - len(chosen)


def _index(snapshot: Snapshot, packed: Mapping[str, bytes | None], work: Work) -> Index:
    files = {path: _unpacked(content) for path, content in packed.items()}
    others = [path for path in snapshot.files if path.isprintable()]
    graph = graph_of(files, others)
    return Index({path: each.definitions_only for path, each in files.items()}, graph, work)


def _unpacked(content: bytes | None) -> FileTags:
    if content is None:
        return NO_TAGS
    try:
        return load_tags(content)
    except ValueError:  # another version of Corral wrote it, or the disk lost it
        return NO_TAGS
