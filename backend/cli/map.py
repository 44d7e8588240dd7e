"""`corral map`: what the model sees of a repository."""

import asyncio
import shutil
import tempfile
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from backend.cli.console import open_terminal
from backend.cli.errors import Refused
from backend.cli.options import NO_OPTIONS, Common, Document, settings_of
from infrastructure.config.settings import Settings
from infrastructure.storage.directory import DataDirectory
from infrastructure.workflow.material import named_in
from infrastructure.workspace.mapping.cache import SqliteTags
from infrastructure.workspace.mapping.indexing import Work
from infrastructure.workspace.mapping.mapper import Mapper
from infrastructure.workspace.mapping.ranking import Focus
from infrastructure.workspace.mapping.rendering import Map, MapBudget
from infrastructure.workspace.snapshot import take_snapshot


def map(  # noqa: A001 - the verb
    *,
    repo: Annotated[Path, Parameter(help="The folder to map.")] = Path(),
    task: Annotated[str, Parameter(help="What it is for: the map shows what matters for it.")] = "",
    tokens: Annotated[int | None, Parameter(help="How long it may be; run.map_tokens of the settings.")] = None,
    output: Document = "text",
    common: Common = NO_OPTIONS,
) -> int:
    """Show the map of a repository, as a run's roles see it: files that matter for a task, and what they define.

    No model is asked. What was found out about the files is kept for the next map, and for runs.
    """
    terminal, settings = open_terminal(), settings_of(common)
    length = settings.run.map_tokens if tokens is None else tokens
    if length < 1:
        raise Refused(f"a map of {length} tokens shows nothing", "Say how long it may be: --tokens 1024")
    drawn, work = asyncio.run(_draw(settings, repo, task, length))
    if output == "text":
        terminal.raw(f"{drawn.text}\n" if drawn.text else "")
        if not common.quiet:
            terminal.say(_told(drawn, work))
    else:
        terminal.data(_document(drawn, work, length))
    return 0


async def _draw(settings: Settings, repo: Path, task: str, tokens: int) -> tuple[Map, Work]:
    """On a snapshot like a run's own, which goes afterwards."""
    place = Path(await asyncio.to_thread(tempfile.mkdtemp, prefix="corral-map-"))
    try:
        snapshot = await take_snapshot(repo, place)
        mapper = Mapper(SqliteTags(DataDirectory(settings.paths.data).tags))
        focus = Focus(task=task, files=named_in(task, snapshot))
        drawn = await mapper.overview(snapshot, focus, MapBudget(tokens))
        return drawn, (await mapper.index(snapshot)).work
    finally:
        await asyncio.shield(asyncio.to_thread(shutil.rmtree, place, ignore_errors=True))


def _told(drawn: Map, work: Work) -> str:
    return (
        f"about {drawn.tokens:,} tokens: {len(drawn.files):,} of {work.files:,} files;"
        f" {work.source:,} source files, {work.parsed:,} parsed now, {work.skipped:,} left out"
    )


def _document(drawn: Map, work: Work, tokens: int) -> dict[str, object]:
    return {
        "tokens": drawn.tokens,
        "budget": tokens,
        "files": [
            {
                "path": file.path,
                "definitions": [
                    {"name": each.name, "kind": each.kind, "line": each.line, "signature": each.signature}
                    for each in file.definitions
                ],
            }
            for file in drawn.files
        ],
        "left_out": drawn.left_out,
        "work": {
            "files": work.files,
            "source": work.source,
            "cached": work.cached,
            "parsed": work.parsed,
            "skipped": work.skipped,
        },
        "text": drawn.text,
    }
