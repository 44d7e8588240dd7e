"""Programs that say what they were promised, line by line, until they are killed."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any


async def one_life(program: str, *arguments: str, folder: Path, lines_until_death: int) -> list[Any]:
    """Start it, kill it after so many lines, and return all that it said, which is JSON."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        program,
        *arguments,
        cwd=folder,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    said: list[Any] = []
    for _ in range(lines_until_death):
        line = await process.stdout.readline()
        if not line:
            raise AssertionError((await process.stderr.read()).decode())
        said.append(json.loads(line))
    process.kill()
    rest, errors = await process.communicate()
    assert not errors, errors.decode()
    return said + [json.loads(line) for line in rest.splitlines()]
