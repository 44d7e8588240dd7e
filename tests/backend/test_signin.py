"""A browser's way in: a one-time address or a password, then a cookie."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import nullcontext

import httpx
import pytest
from starlette.types import Message, Receive, Send

from backend.api import create_app
from backend.routers import signin
from backend.security.codes import mint
from backend.security.cookies import Cookies
from backend.security.guard import FORM_BYTES, Guard
from backend.security.pages import SIGN_IN_FILES
from backend.security.token import Keys
from tests.backend.site import BASE, Site, site_over
from tests.engine.world import repository, settings_of

HTML = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
"""As browsers ask when an address is opened."""
FORM = {"Content-Type": "application/x-www-form-urlencoded", "Origin": BASE}


def code_of(site: Site) -> str:
    return mint(Keys(site.token), site.application.epoch)


def cookie_of(site: Site) -> str:
    """What a browser sends that has signed in."""
    return site.guard.cookie_header({}).partition(";")[0]


@pytest.fixture
async def guarded(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Site]:
    """A site with a password. Its server is never asked, so there is none."""
    guard, place = Guard(port=8765, password="correct horse"), tmp_path_factory.mktemp("guarded")
    async with site_over(settings_of(place, []), repository(place / "repo"), guard) as site:
        yield site


async def test_a_one_time_address_gives_a_cookie_that_opens_every_route(site: Site) -> None:
    async with site.stranger() as browser:
        answer = await browser.get("/signin", params={"code": code_of(site)})
        assert answer.status_code == 200
        assert 'url=/"' in answer.text
        cookie = answer.headers["set-cookie"]
        assert cookie.startswith("corral_8765=")
        assert {"HttpOnly", "SameSite=Strict", "Path=/"} <= set(cookie.split("; "))
        assert site.token not in cookie
        assert (await browser.get("/api/v1/pool")).status_code == 200


@pytest.mark.parametrize(
    ("headers", "secure"),
    [
        ({}, False),
        ({"X-Forwarded-Proto": "http"}, False),
        ({"X-Forwarded-Proto": "https"}, True),
        ({"X-Forwarded-Proto": "HTTPS, http"}, True),
        ({"Origin": BASE.replace("http:", "https:")}, True),
        ({"Origin": BASE, "X-Forwarded-Proto": "https"}, False),
    ],
)
async def test_a_cookie_that_was_asked_for_by_tls_is_sent_by_nothing_else(
    site: Site, headers: dict[str, str], secure: bool
) -> None:
    async with site.stranger(headers) as browser:
        cookie = (await browser.get("/signin", params={"code": code_of(site)})).headers["set-cookie"]
        assert ("Secure" in cookie.split("; ")) is secure
        answer = await browser.post("/signout", headers={"Cookie": cookie.partition(";")[0]})
        assert ("Secure" in answer.headers["set-cookie"].split("; ")) is secure


async def test_a_page_behind_a_proxy_that_changes_the_host_says_what_to_do(site: Site) -> None:
    answer = await site.client.post("/api/v1/runs", json=site.task(), headers={"Origin": "https://corral.example.com"})
    assert (answer.status_code, answer.json()["type"]) == (403, "about:corral/ForeignOrigin")
    assert "proxy_set_header Host $http_host;" in answer.json()["hint"]
    assert "serve.hosts" in answer.json()["hint"]


async def test_a_code_is_taken_once_only(site: Site) -> None:
    code = code_of(site)
    async with site.stranger() as first, site.stranger() as second:
        assert (await first.get("/signin", params={"code": code})).status_code == 200
        answer = await second.get("/signin", params={"code": code})
        assert answer.status_code == 401
        assert "set-cookie" not in answer.headers
        assert (await second.get("/api/v1/pool")).status_code == 401


async def test_a_cookie_outlives_the_engine_and_a_code_does_not(site: Site) -> None:
    code = code_of(site)
    cookie = cookie_of(site)
    cookies = await asyncio.to_thread(Cookies.open, Keys(site.token), site.application.directory.cookies)
    site.guard.open_with(cookies, "the next engine")
    async with site.stranger({"Cookie": cookie}) as browser:
        assert (await browser.get("/api/v1/pool")).status_code == 200
        assert (await browser.get("/signin", params={"code": code})).status_code == 401


async def test_a_wrong_token_is_not_mended_by_a_cookie(site: Site) -> None:
    headers = {"Cookie": cookie_of(site), "Authorization": "Bearer nonsense"}
    async with site.stranger(headers) as browser:
        assert (await browser.get("/api/v1/pool")).status_code == 401


async def test_a_cookie_of_another_port_is_not_looked_at(site: Site) -> None:
    async with site.stranger({"Cookie": cookie_of(site).replace("8765", "9999")}) as browser:
        assert (await browser.get("/api/v1/pool")).status_code == 401


async def test_signing_out_takes_the_cookie_back(site: Site) -> None:
    async with site.stranger() as browser:
        await browser.get("/signin", params={"code": code_of(site)})
        answer = await browser.post("/signout")
        assert (answer.status_code, answer.headers["location"]) == (303, "/signin")
        assert (await browser.get("/api/v1/pool")).status_code == 401


async def test_signing_out_ends_every_cookie_also_where_it_was_kept(site: Site) -> None:
    cookies = [cookie_of(site), cookie_of(site)]
    async with site.stranger({"Cookie": cookies[0]}) as browser:
        assert (await browser.post("/signout")).status_code == 303
    for cookie in cookies:
        async with site.stranger({"Cookie": cookie}) as browser:
            assert (await browser.get("/api/v1/pool")).status_code == 401
    async with site.stranger({"Cookie": cookie_of(site)}) as browser:
        assert (await browser.get("/api/v1/pool")).status_code == 200


async def test_who_is_not_signed_in_signs_nobody_out(site: Site) -> None:
    cookie = cookie_of(site)
    async with site.stranger() as stranger:
        assert (await stranger.post("/signout")).status_code == 401
    async with site.stranger({"Cookie": cookie}) as browser:
        assert (await browser.get("/api/v1/pool")).status_code == 200


async def test_another_password_ends_the_cookies_that_the_one_before_gave(guarded: Site) -> None:
    for password, status in (("correct horse", 200), ("another horse", 401), (None, 401)):
        guard = Guard(port=8765, password=password)
        kept = guarded.application.directory.cookies
        guard.open_with(await asyncio.to_thread(Cookies.open, Keys(guarded.token), kept), "the next engine")
        app = create_app(lambda: nullcontext(guarded.application), guard=guard)
        app.state.application = guarded.application
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url=BASE, headers={"Cookie": cookie_of(guarded)}) as it:
            assert (await it.get("/api/v1/pool")).status_code == status, password


async def test_who_opens_the_page_without_a_cookie_is_sent_to_the_sign_in(site: Site) -> None:
    async with site.stranger({"Accept": "text/html,*/*;q=0.8"}) as browser:
        for path in ("/", "/nowhere"):
            answer = await browser.get(path)
            assert (answer.status_code, answer.headers["location"]) == (303, "/signin")
        answer = await browser.get("/api/v1/pool")
        assert (answer.status_code, answer.headers["content-type"]) == (401, "text/html; charset=utf-8")
        await browser.get("/signin", params={"code": code_of(site)})
        answer = await browser.get("/")
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/html")


async def test_a_program_that_asks_for_the_page_without_a_token_is_told_so(site: Site) -> None:
    async with site.stranger({"Accept": "application/json"}) as program:
        answer = await program.get("/")
        assert (answer.status_code, answer.json()["type"]) == (401, "about:corral/NoToken")
    async with site.stranger({"Accept": "application/json", "Host": "evil.example"}) as rebound:
        answer = await rebound.get("/")
        assert (answer.status_code, answer.json()["type"]) == (403, "about:corral/ForeignHost")


async def test_everything_the_sign_in_page_is_drawn_with_is_open_to_a_stranger(site: Site) -> None:
    async with site.stranger({"Accept": "text/html"}) as browser:
        page = (await browser.get("/signin")).text
        files = set(re.findall(r'<(?:link|img)[^>]*(?:href|src)="([^"]+)"', page))
        assert {kind for file in files for kind in (".css", ".svg") if file.endswith(kind)} == {".css", ".svg"}
        assert files == SIGN_IN_FILES
        for file in files:
            assert (await browser.get(file)).status_code == 200, file
            hidden = await browser.get(f"{file}/../../index.html", headers={"Accept": "*/*"})
            assert hidden.status_code == 401
        assert re.findall(r"<style|\sstyle=|<script|\son[a-z]+=", page) == []


async def test_a_server_without_a_password_says_where_addresses_come_from_and_asks_for_none(site: Site) -> None:
    async with site.stranger() as browser:
        for answer in (await browser.get("/signin"), await browser.get("/signin", params={"code": "1-2-3"})):
            assert "corral serve" in answer.text
            assert "<form" not in answer.text


async def test_without_a_password_nobody_signs_in_with_one(site: Site) -> None:
    async with site.stranger(FORM) as browser:
        answer = await browser.post("/signin", content="password=")
        assert (answer.status_code, answer.json()["type"]) == (401, "about:corral/NoToken")


async def test_the_password_opens_and_is_the_only_way_in(guarded: Site) -> None:
    async with guarded.stranger(FORM) as browser:
        answer = await browser.get("/signin", params={"code": code_of(guarded)})
        assert 'type="password"' in answer.text
        assert "corral serve" not in answer.text
        assert "set-cookie" not in answer.headers
        answer = await browser.post("/signin", content="password=correct+horse")
        assert answer.status_code == 200
        assert (await browser.get("/api/v1/pool", headers=without_form(browser))).status_code == 200


async def test_a_wrong_password_asks_again_and_ten_are_too_many(guarded: Site) -> None:
    async with guarded.stranger(FORM) as browser:
        for _ in range(10):
            answer = await browser.post("/signin", content="password=guess")
            assert answer.status_code == 401
            assert "set-cookie" not in answer.headers
        answer = await browser.post("/signin", content="password=correct+horse")
        assert (answer.status_code, answer.json()["type"]) == (429, "about:corral/TooManyAttempts")
        assert int(answer.headers["retry-after"]) > 0


async def test_a_browser_that_guessed_too_often_gets_a_page_that_says_when_to_try_again(guarded: Site) -> None:
    async with guarded.stranger({**FORM, "Accept": HTML}) as browser:
        for _ in range(10):
            await browser.post("/signin", content="password=guess")
        answer = await browser.post("/signin", content="password=correct+horse")
    assert (answer.status_code, answer.headers["content-type"]) == (429, "text/html; charset=utf-8")
    seconds = answer.headers["retry-after"]
    assert f"Try again in {seconds} s." in answer.text
    assert "Too many wrong passwords" in answer.text
    assert 'href="/signin"' in answer.text
    assert "about:corral" not in answer.text
    assert "set-cookie" not in answer.headers


@pytest.mark.parametrize(
    ("method", "path", "headers", "status", "said"),
    [
        ("GET", "/", {"Host": "evil.example"}, 403, "serve.hosts"),
        ("POST", "/signin", {"Origin": "https://evil.example"}, 403, "another origin"),
        ("GET", "/signin?code=" + "x" * 300, {}, 422, "200 characters"),
        ("POST", "/signin", {"Content-Type": "application/json"}, 415, "application/x-www-form-urlencoded"),
    ],
)
async def test_every_refusal_is_a_page_where_a_browser_asks_for_one(
    guarded: Site, method: str, path: str, headers: dict[str, str], status: int, said: str
) -> None:
    async with guarded.stranger({**FORM, "Accept": HTML, **headers}) as browser:
        answer = await browser.request(method, path, content=b"password=x" if method == "POST" else None)
    assert (answer.status_code, answer.headers["content-type"]) == (status, "text/html; charset=utf-8")
    assert said in answer.text
    assert re.findall(r"<style|\sstyle=|<script|\son[a-z]+=", answer.text) == []


async def test_what_a_refusal_repeats_cannot_become_markup(site: Site) -> None:
    async with site.stranger({"Accept": HTML}) as browser:
        await browser.get("/signin", params={"code": code_of(site)})
        answer = await browser.get("/static/<script>alert(1)</script>")
    assert (answer.status_code, answer.headers["content-type"]) == (404, "text/html; charset=utf-8")
    assert "&lt;script&gt;alert(1)" in answer.text
    assert "<script" not in answer.text


async def test_a_program_asks_how_a_browser_gets_in(site: Site, guarded: Site) -> None:
    for each, by in ((site, "code"), (guarded, "password")):
        for accept in ("application/json", "application/json, text/plain, */*", "Application/JSON;q=0.9, */*;q=0.1"):
            async with each.stranger({"Accept": accept}) as program:
                answer = await program.get("/signin")
                assert (answer.status_code, answer.json()) == (200, {"by": by})
        async with each.stranger({"Accept": "*/*"}) as other:
            assert (await other.get("/signin")).headers["content-type"] == "text/html; charset=utf-8"


@pytest.mark.parametrize("sized", [True, False])
async def test_a_form_is_no_larger_than_a_password_can_be(guarded: Site, sized: bool) -> None:
    """Whoever sends it is a stranger: ten megabytes of %41 would be a second of work for every one of them."""

    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(FORM_BYTES):
            yield b"%41"

    async with guarded.stranger(FORM) as browser:
        content = b"password=" + b"%41" * (FORM_BYTES // 3) if sized else pieces()
        answer = await browser.post("/signin", content=content)
        assert (answer.status_code, answer.json()["type"]) == (413, "about:corral/BodyTooLarge")
        least = b"password=" + b"%41" * (FORM_BYTES // 3 - 3)
        assert (await browser.post("/signin", content=least)).status_code == 401


async def test_a_form_with_fields_of_its_own_making_is_refused(guarded: Site, caplog: pytest.LogCaptureFixture) -> None:
    async with guarded.stranger(FORM) as browser:
        answer = await browser.post("/signin", content="&".join(f"f{number}=x" for number in range(99)))
    assert (answer.status_code, answer.json()["type"]) == (422, "about:corral/BadForm")
    assert caplog.text == ""


async def test_nothing_of_an_attempt_is_read_where_none_is_heard(guarded: Site) -> None:
    read: list[str] = []

    async def body() -> AsyncIterator[bytes]:
        read.append("some")
        yield b"password=correct+horse"

    async with guarded.stranger(FORM) as browser:
        for _ in range(10):
            await browser.post("/signin", content="password=guess")
        answer = await browser.post("/signin", content=body())
    assert (answer.status_code, read) == (429, [])


async def test_who_hangs_up_while_a_form_is_read_is_no_failure_of_ours(
    guarded: Site, caplog: pytest.LogCaptureFixture
) -> None:
    sent: list[Message] = []
    await guarded.app(_signing_in(), _said({"type": "http.disconnect"}), _into(sent))
    assert (sent, caplog.text) == ([], "")


async def test_a_form_that_does_not_come_is_not_waited_for(guarded: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signin, "FORM_SECONDS", 0.01)
    sent: list[Message] = []

    async def never() -> Message:
        await asyncio.Event().wait()
        raise AssertionError("nothing comes")

    await guarded.app(_signing_in(), never, _into(sent))
    assert (sent[0]["status"], dict(sent[0]["headers"])[b"connection"]) == (408, b"close")


def _signing_in() -> dict[str, object]:
    headers = [(b"host", b"127.0.0.1:8765"), (b"content-length", b"9")]
    headers += [(name.lower().encode(), value.encode()) for name, value in FORM.items()]
    return {
        "type": "http",
        "method": "POST",
        "path": "/signin",
        "raw_path": b"/signin",
        "query_string": b"",
        "headers": headers,
    }


def _said(message: Message) -> Receive:
    async def receive() -> Message:
        return message

    return receive


def _into(sent: list[Message]) -> Send:
    async def send(message: Message) -> None:
        sent.append(message)

    return send


async def test_the_form_may_be_sent_by_our_own_page_only(guarded: Site) -> None:
    async with guarded.stranger({**FORM, "Origin": "https://evil.example"}) as browser:
        answer = await browser.post("/signin", content="password=correct+horse")
        assert answer.status_code == 403
    async with guarded.stranger() as browser:
        # With no-referrer the browser would say `Origin: null` of the form, and be refused.
        assert (await browser.get("/signin")).headers["referrer-policy"] == "same-origin"


def without_form(browser: httpx.AsyncClient) -> dict[str, str]:
    return {"Content-Type": "application/json"}
