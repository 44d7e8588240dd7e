"""The blocks of docs/http.md in nginx and Caddy, in front of the server: sign-in, routes, streams, WebSocket."""

from __future__ import annotations

import asyncio
import json
import re
import ssl
import subprocess
from collections.abc import AsyncIterator
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from websockets.asyncio.client import connect

from backend.server import AsyncServerCore, listen
from infrastructure.config.settings import ServeSettings
from tests.backend.site import STREAM, Site, frames_of
from tests.transport.proxies import Caddy, Face, Nginx, Proxy, needs

pytestmark = pytest.mark.slow

NAME = "corral.example.com"
PASSWORD = "correct horse"
PAGE = Path(__file__).parents[2] / "docs" / "http.md"


def block(language: str) -> str:
    """The block of the page that is for this proxy."""
    (found,) = re.findall(rf"^```{language}\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    return found


def put(text: str, **instead: str) -> str:
    """The text with what each place has of its own."""
    for old, new in instead.items():
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    return text


class DocumentedNginx(Nginx):
    def configuration(self) -> str:
        ours = put(
            block("nginx"),
            **{
                "listen 443 ssl": f"listen 127.0.0.1:{self.port} ssl",
                "/etc/ssl/corral.pem": str(self.certificate),
                "/etc/ssl/corral.key": str(self.directory / "key.pem"),
                "127.0.0.1:8765": f"127.0.0.1:{self.backend}",
            },
        )
        before, _, _ = super().configuration().partition("access_log off")
        paths = " ".join(
            f"{kind}_temp_path {self.directory / kind};"
            for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        return f"{before}access_log off; {paths}\n{ours}\n}}"


class DocumentedCaddy(Caddy):
    def configuration(self) -> str:
        address = f"https://{NAME}:{self.port} {{\n    tls {self.certificate} {self.directory / 'key.pem'}"
        ours = put(block("caddy"), **{f"{NAME} {{": address, "127.0.0.1:8765": f"127.0.0.1:{self.backend}"})
        return f"{{\n    admin {self._admin}\n    auto_https off\n}}\n{ours}"


@dataclass
class Reached:
    """The server, as a browser reaches it by the proxy."""

    proxy: Proxy
    client: httpx.AsyncClient
    tls: ssl.SSLContext

    @property
    def origin(self) -> str:
        return f"https://{NAME}:{self.proxy.port}"


@pytest.fixture(
    params=[pytest.param(kind, marks=needs(kind), id=kind.program) for kind in (DocumentedNginx, DocumentedCaddy)]
)
async def reached(request: pytest.FixtureRequest, site: Site, tmp_path: Path) -> AsyncIterator[Reached]:
    certificate, kind = tmp_path / "cert.pem", request.param
    made = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", f"/CN={NAME}"]
    made += ["-addext", f"subjectAltName=DNS:{NAME}", "-keyout", str(tmp_path / "key.pem"), "-out", str(certificate)]
    await asyncio.to_thread(subprocess.run, made, check=True, capture_output=True)
    tls = await asyncio.to_thread(ssl.create_default_context, cafile=str(certificate))
    listener = listen("127.0.0.1", 0)
    settings = ServeSettings(hosts=(NAME,), password=PASSWORD)
    core = AsyncServerCore(lambda: nullcontext(site.application), settings, listener=listener, owns_runs=False)
    async with core:
        main = asyncio.ensure_future(core.run_main_loop())
        async with kind(tmp_path, Face.TLS, listener.getsockname()[1], certificate).running() as proxy:
            headers = {"Host": f"{NAME}:{proxy.port}"}
            async with httpx.AsyncClient(
                base_url=f"https://127.0.0.1:{proxy.port}", verify=tls, headers=headers, trust_env=False
            ) as client:
                client.event_hooks["request"] = [name_the_server]
                yield Reached(proxy, client, tls)
        await core.handle_shutdown()
        await main


async def name_the_server(request: httpx.Request) -> None:
    request.extensions["sni_hostname"] = NAME


async def signed_in(reached: Reached) -> str:
    """Sign in as the page does; the cookie."""
    answer = await reached.client.post("/signin", data={"password": PASSWORD}, headers={"Origin": reached.origin})
    assert answer.status_code == 200, answer.text
    name, *more = answer.headers["set-cookie"].split("; ")
    assert {"Secure", "HttpOnly", "SameSite=Strict"} <= set(more)
    reached.client.headers["Cookie"] = name
    reached.client.headers["Origin"] = reached.origin
    return name


async def test_a_browser_signs_in_and_begins_a_run_and_follows_it(reached: Reached, site: Site) -> None:
    await signed_in(reached)
    assert (await reached.client.get("/", headers={"Accept": "text/html"})).status_code == 200
    began = await reached.client.post("/api/v1/runs", json=site.task())
    assert began.status_code == 201, began.text
    path = f"/api/v1/runs/{began.json()['run']}/events"
    async with reached.client.stream("GET", path, headers=STREAM) as answer:
        kinds = [frame.event async for frame in frames_of(answer)]
    assert (kinds[0], kinds[-2:]) == ("run.created", ["run.finished", "end"])


async def test_a_stream_that_goes_on_is_passed_on_at_once(reached: Reached) -> None:
    await signed_in(reached)
    async with reached.client.stream("GET", "/api/v1/pool", headers=STREAM) as answer:
        assert (await anext(frames_of(answer))).event == "pool", "a small frame of a stream that stays open"


async def test_a_websocket_passes(reached: Reached) -> None:
    cookie = await signed_in(reached)
    session = (await reached.client.post("/api/v1/sessions", json={})).json()["session"]
    url = f"wss://{NAME}:{reached.proxy.port}/api/v1/sessions/{session}/ws"
    place = {"host": "127.0.0.1", "port": reached.proxy.port, "ssl": reached.tls, "proxy": None}
    async with connect(url, origin=reached.origin, additional_headers={"Cookie": cookie}, **place) as socket:
        await socket.send(json.dumps({"type": "cancel", "id": "mine"}))
        while (told := json.loads(await socket.recv()))["type"] == "event":
            pass
        assert (told["type"], told["id"]) == ("refused", "mine")
        assert told["problem"]["type"] == "about:corral/NothingToStop"


async def test_a_body_of_some_megabytes_is_corrals_own_to_judge(reached: Reached, site: Site) -> None:
    await signed_in(reached)
    answer = await reached.client.post("/api/v1/runs", json=site.task(nonsense="x" * 3_000_000))
    assert (answer.status_code, answer.json()["type"]) == (422, "about:corral/InvalidRequest")


async def test_a_page_of_elsewhere_is_refused_all_the_same(reached: Reached) -> None:
    await signed_in(reached)
    answer = await reached.client.post("/api/v1/sessions", json={}, headers={"Origin": "https://evil.example"})
    assert (answer.status_code, answer.json()["type"]) == (403, "about:corral/ForeignOrigin")
