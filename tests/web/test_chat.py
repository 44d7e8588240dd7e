"""Conversations on the page, in a real browser, against the real server: `chat.mjs` says what is tried."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.web.chatting import HURRIED, PAIRED, chatting
from tests.web.serving import steered
from tests.web.test_browser import BROWSE_SECONDS, HERE, INSTALL_SECONDS, LAST_SECONDS, browser, driver, spawned

LONG = 130
"""Messages of a conversation of three pages."""

pytestmark = [pytest.mark.slow, pytest.mark.timeout(INSTALL_SECONDS + BROWSE_SECONDS + 2 * LAST_SECONDS + 30)]


async def test_conversations_in_a_browser(tmp_path: Path) -> None:
    chromium, modules = browser(), await driver()
    async with chatting(tmp_path / "place") as site, steered(site.simulator) as model:
        told = {
            "address": site.address,
            "model": model,
            "signin": await site.one_time_address(),
            "folder": str(site.folder),
            "long": await site.long_session(LONG),
            "undone": await site.undone_session(),
            "hurried": await site.coder_session("In a hurry", HURRIED[0]),
            "paired": await site.coder_session("Five at once", PAIRED[0]),
            "client": await site.client_session(),
            "modules": str(modules),
            "chromium": chromium,
        }
        env = {"CORRAL_BROWSER": json.dumps(told), "HOME": str(tmp_path)}
        command = ("node", "--test-reporter=spec", str(HERE / "chat.mjs"))
        code, said = await spawned(*command, cwd=HERE, seconds=BROWSE_SECONDS, env=env)
    assert code == 0, said
