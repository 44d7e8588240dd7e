"""The process that parses: files of a snapshot in, a line of tags out for each.

Owns its own limits. Grammars are C code over text that nobody trusts, so a fault in one ends this process and not the
engine; its parent goes on with the next file. It is started as `-c "from … import main; main()"` by `parsers`.
"""

from __future__ import annotations

import base64
import json
import os
import resource
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, cast

from infrastructure.workspace.beneath import read_file
from infrastructure.workspace.errors import WorkspaceError
from infrastructure.workspace.mapping.parsing import ParseTooLong, tags_of
from infrastructure.workspace.mapping.skipping import PARSED_BYTES, is_source
from infrastructure.workspace.mapping.tags import NO_TAGS, FileTags, dump_tags

MEMORY_BYTES = 1 << 30
CPU_SECONDS = 120
_NICE = 5


def main(source: BinaryIO = sys.stdin.buffer, target: BinaryIO = sys.stdout.buffer) -> None:
    """Do what standard input asks for."""
    _limit()
    for line in answers(source.read()):
        target.write(line)
        target.flush()  # a crash in the next file loses nothing of this one


def answers(asked: bytes) -> Iterator[bytes]:
    """A line for each file of a `parsers.request`: packed tags, in base64."""
    document = cast("dict[str, object]", json.loads(asked))
    root = Path(cast("str", document["root"]))
    for path, language in cast("list[tuple[str, str]]", document["files"]):
        yield base64.b64encode(dump_tags(_tags(root, path, language))) + b"\n"


def _tags(root: Path, path: str, language: str) -> FileTags:
    try:
        content = read_file(root, path, limit=PARSED_BYTES, ours=True)
        return tags_of(content, language) if is_source(content) else NO_TAGS
    except (WorkspaceError, ParseTooLong, OSError):
        return NO_TAGS


def _limit() -> None:
    for kind, most in (
        (resource.RLIMIT_AS, MEMORY_BYTES),
        (resource.RLIMIT_CPU, CPU_SECONDS),
        (resource.RLIMIT_CORE, 0),
    ):
        _, hard = resource.getrlimit(kind)
        allowed = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(kind, (allowed, allowed))
    os.nice(_NICE)
