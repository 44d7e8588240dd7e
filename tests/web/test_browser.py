"""The page in a real browser, against the real server: `browser.mjs` says what is tried.

It wants node, npm, and Debian's Chromium (`tests/services.sh` installs that). The driver and the accessibility checker
are pinned in `package-lock.json` and installed once into the user's cache.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import shutil
import signal
from pathlib import Path

import pytest

from infrastructure.sandbox import NoSandbox, open_sandbox
from tests.sources import CACHE
from tests.web.serving import keep_a_batch, served, steered

HERE = Path(__file__).parent
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
INSTALL_SECONDS = 120
BROWSE_SECONDS = 300
LAST_SECONDS = 20

pytestmark = [pytest.mark.slow, pytest.mark.timeout(INSTALL_SECONDS + BROWSE_SECONDS + 2 * LAST_SECONDS + 30)]


async def spawned(*command: str, cwd: Path, seconds: float, env: dict[str, str] | None = None) -> tuple[int, str]:
    """Run a program; its exit code, and all that it said."""
    process = await asyncio.create_subprocess_exec(
        *command,
        cwd=cwd,
        env={**os.environ, **(env or {})},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        start_new_session=True,
    )
    heard = asyncio.ensure_future(process.communicate())
    try:
        await asyncio.wait([heard], timeout=seconds)
        if not heard.done():
            process.terminate()  # the driver ends its browser, then itself
            await asyncio.wait([heard], timeout=LAST_SECONDS)
    finally:
        if not heard.done():  # and else both are ended, whatever they do
            os.killpg(process.pid, signal.SIGKILL)
    said, _ = await heard
    return process.returncode or 0, said.decode("utf-8", "replace")


async def driver() -> Path:
    """The folder of the installed driver.

    It skips the test where something is missing, and says what.
    """
    npm, node = shutil.which("npm"), shutil.which("node")
    if npm is None or node is None:
        pytest.skip("node and npm are not installed")
    lock = HERE / "package-lock.json"
    folder = CACHE / f"browser-{hashlib.sha256(lock.read_bytes()).hexdigest()[:12]}"
    if not (folder / "node_modules" / "playwright-core").is_dir():
        folder.mkdir(parents=True, exist_ok=True)
        for name in ("package.json", "package-lock.json"):
            shutil.copy(HERE / name, folder / name)
        command = (npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund")
        code, said = await spawned(*command, cwd=folder, seconds=INSTALL_SECONDS)
        if code:
            shutil.rmtree(folder)
            pytest.skip(f"npm could not install the browser's driver: {said.strip()[-300:]}")
    return folder


def browser() -> str:
    """Chromium, or the test is skipped."""
    found = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    if found is None:
        pytest.skip("chromium is not installed (apt install chromium)")
    return found


async def test_page_in_a_browser(tmp_path: Path) -> None:
    chromium, modules = browser(), await driver()
    try:
        await open_sandbox("auto")
    except NoSandbox as why:
        pytest.skip(str(why))
    async with served(tmp_path / "place") as site, steered(site.simulator) as model:
        await keep_a_batch(site.application, tmp_path / "out")
        told = {
            "address": site.address,
            "model": model,
            "signin": await site.one_time_address(),
            "repository": str(site.repository),
            "tasks": site.tasks,
            "modules": str(modules),
            "chromium": chromium,
        }
        env = {"CORRAL_BROWSER": json.dumps(told), "HOME": str(tmp_path)}
        command = ("node", "--test-reporter=spec", str(HERE / "browser.mjs"))
        code, said = await spawned(*command, cwd=HERE, seconds=BROWSE_SECONDS, env=env)
    assert code == 0, said
