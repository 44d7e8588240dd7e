"""Takes the pictures of `docs/screenshots` anew: `python -m tests.web.screenshots`."""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
from pathlib import Path

from tests.web.serving import served
from tests.web.test_browser import HERE, browser, driver, spawned

OUT = HERE.parents[1] / "docs" / "screenshots"
TOKENS_PER_SECOND = 90.0
SECONDS = 180


async def main() -> int:
    OUT.mkdir(exist_ok=True)
    modules = await driver()
    with tempfile.TemporaryDirectory(prefix="demo-") as folder:
        async with served(Path(folder), TOKENS_PER_SECOND) as site:
            told = {
                "address": site.address,
                "signin": await site.one_time_address(),
                "repository": str(site.repository),
                "tasks": site.tasks,
                "modules": str(modules),
                "chromium": browser(),
                "out": str(OUT),
            }
            command = ("node", str(HERE / "screenshots.mjs"))
            code, said = await spawned(*command, cwd=HERE, seconds=SECONDS, env={"CORRAL_BROWSER": json.dumps(told)})
    sys.stdout.write(said)
    return code


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
