"""The settings by HTTP: what holds, without secrets; read again, and why not."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from backend.api import create_app
from backend.bootstrap import open_application
from backend.security.guard import Guard
from infrastructure.config.load import load_settings
from infrastructure.config.manager import ConfigSource, ConfigurationManager
from tests.backend.site import BASE, Site

SECRETS = ("hush-token", "hush-password", "hush-door")


@dataclass
class Door:
    """A door over settings in a file."""

    file: Path
    client: httpx.AsyncClient

    def write(self, text: str, serve: str = "") -> None:
        self.file.write_text(
            'servers = [{ url = "http://me:hush-password@127.0.0.1:9", token = "hush-token" }]\n'
            f'{text}\n[serve]\npassword = "hush-door"\n{serve}\n'
        )


@pytest.fixture
async def door(tmp_path: Path) -> AsyncIterator[Door]:
    file = tmp_path / "corral.toml"
    made = Door(file, httpx.AsyncClient())
    made.write("")
    flags = {"paths.data": str(tmp_path / "data")}
    source = ConfigSource(file, lambda: load_settings(file, {"HOME": str(tmp_path)}, flags))
    config = await asyncio.to_thread(ConfigurationManager.begin, source)
    async with AsyncExitStack() as stack:
        guard = Guard(port=8765)
        app = create_app(lambda: open_application(config.current, config=config), guard=guard)
        await stack.enter_async_context(app.router.lifespan_context(app))
        token = await asyncio.to_thread((tmp_path / "data" / "token").read_text)
        await made.client.aclose()
        made.client = await stack.enter_async_context(
            httpx.AsyncClient(
                transport=httpx.ASGITransport(app=app), base_url=BASE, headers={"Authorization": f"Bearer {token}"}
            )
        )
        yield made


async def test_settings_are_shown_with_their_origins_and_without_secrets(door: Door):
    answer = await door.client.get("/api/v1/config")
    shown = answer.json()
    assert answer.status_code == 200
    assert shown["settings"]["servers"][0]["token"] == "**********"
    assert not [secret for secret in SECRETS if secret in answer.text]
    assert shown["origins"]["servers"] == f"file {door.file}"
    assert shown["origins"]["paths.data"] == "flag"
    assert (shown["file"], shown["watched"], shown["problems"], shown["waiting"]) == (str(door.file), False, [], [])


async def test_a_reload_says_what_is_different_and_what_waits(door: Door):
    door.write('model = "m"\n[paths]\ndata = "/elsewhere"')  # where a flag rules
    assert (await door.client.post("/api/v1/config/reload")).json() == {"changed": ["model"], "later": []}
    door.write('model = "m"', "port = 1")
    assert (await door.client.post("/api/v1/config/reload")).json() == {
        "changed": ["serve.port"], "later": ["serve.port"],
    }  # fmt: skip
    shown = (await door.client.get("/api/v1/config")).json()
    assert (shown["settings"]["model"], shown["settings"]["serve"]["port"]) == ("m", 8765)
    assert shown["waiting"] == ["serve.port"]


async def test_a_file_that_cannot_be_used_is_a_refusal_and_what_held_stays(door: Door):
    door.write("model = 5")
    answer = await door.client.post("/api/v1/config/reload")
    problem = answer.json()
    assert (answer.status_code, problem["type"]) == (422, "about:corral/ConfigError")
    assert problem["detail"] == f"file {door.file}: model: 5 is not accepted; write a text in quotes"
    assert "corral config set" in problem["hint"]
    shown = (await door.client.get("/api/v1/config")).json()
    assert (shown["settings"]["model"], shown["problems"]) == (None, [problem["detail"]])


async def test_settings_of_a_command_that_reads_none_again_are_shown_and_stay(site: Site):
    answer = await site.client.post("/api/v1/config/reload")
    assert (answer.status_code, answer.json()["type"]) == (409, "about:corral/Fixed")
    assert (await site.client.get("/api/v1/config")).json()["file"] is None
