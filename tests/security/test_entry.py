"""Token, cookie, codes, password, Host and Origin: each decision by itself, with a clock in the test's hand."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from backend.security.addresses import comes_from_elsewhere, is_loopback_host, is_own_host, is_own_origin
from backend.security.codes import CODE_SECONDS, Codes, mint
from backend.security.cookies import COOKIE_SECONDS, Cookies
from backend.security.errors import ForeignHost, NoToken, NotOpenYet, TooManyAttempts, WrongPassword
from backend.security.guard import Guard
from backend.security.passwords import ATTEMPTS, WITHIN_SECONDS, Password
from backend.security.token import Keys, open_keys
from infrastructure.storage.errors import StorageError


class Clock:
    def __init__(self) -> None:
        self.time = 1_000_000.0

    def __call__(self) -> float:
        return self.time


def test_the_token_is_made_once_and_is_its_owners_alone(tmp_path: Path) -> None:
    path = tmp_path / "data" / "token"
    first = open_keys(path)
    assert len(first.token) >= 43
    assert path.stat().st_mode & 0o777 == 0o600
    path.chmod(0o644)
    assert open_keys(path).token == first.token
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_token_that_a_crash_cut_off_is_made_anew(tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_text("abc")
    assert len(open_keys(path).token) >= 43
    assert path.read_text() == open_keys(path).token


async def test_commands_that_come_first_at_once_agree_on_one_token(tmp_path: Path) -> None:
    keys = await asyncio.gather(*(asyncio.to_thread(open_keys, tmp_path / "token") for _ in range(16)))
    assert len({each.token for each in keys}) == 1


def test_a_token_that_cannot_be_read_is_a_storage_error(tmp_path: Path) -> None:
    (tmp_path / "token").mkdir()
    with pytest.raises(StorageError):
        open_keys(tmp_path / "token")


def cookies_of(place: Path, clock: Callable[[], float] = time.time) -> Cookies:
    return Cookies.open(Keys("t" * 43, clock), place / "cookies")


def test_a_cookie_is_not_the_token_and_ends_by_itself(tmp_path: Path) -> None:
    clock = Clock()
    cookies = cookies_of(tmp_path, clock)
    cookie = cookies.make("")
    assert cookies.keys.token not in cookie
    assert cookies.secret not in cookie
    assert cookies.knows(cookie, "")
    assert not cookies.keys.is_token(cookie)
    clock.time += COOKIE_SECONDS
    assert not cookies.knows(cookie, "")


NO_COOKIES = ["", ".", "9999999999", "9999999999.", "x.y", "ä.ö", "9999999999." + "0" * 64, "9" * 9999 + "." + "0" * 64]


@pytest.mark.parametrize("cookie", NO_COOKIES, ids=[each[:20] for each in NO_COOKIES])
def test_what_is_no_cookie_is_none(tmp_path: Path, cookie: str) -> None:
    assert not cookies_of(tmp_path).knows(cookie, "")


def test_a_cookies_end_cannot_be_moved(tmp_path: Path) -> None:
    cookies = cookies_of(tmp_path, Clock())
    until, _, mark = cookies.make("").partition(".")
    assert not cookies.knows(f"{int(until) + 1}.{mark}", "")


def test_a_cookie_outlives_a_restart_but_no_other_password_token_or_secret(tmp_path: Path) -> None:
    cookie = cookies_of(tmp_path).make("one")
    assert cookies_of(tmp_path).knows(cookie, "one")
    assert not cookies_of(tmp_path).knows(cookie, "other")
    assert not cookies_of(tmp_path).knows(cookie, "")
    assert not Cookies.open(Keys("u" * 43), tmp_path / "cookies").knows(cookie, "one")
    (tmp_path / "cookies").unlink()
    assert not cookies_of(tmp_path).knows(cookie, "one")


def test_ending_all_cookies_holds_at_once_and_after_a_restart(tmp_path: Path) -> None:
    cookies = cookies_of(tmp_path)
    before = cookies.make("")
    asyncio.run(cookies.end_all())
    after = cookies.make("")
    for each in (cookies, cookies_of(tmp_path)):
        assert (each.knows(before, ""), each.knows(after, "")) == (False, True)


def test_the_cookies_secret_is_its_owners_alone_and_made_anew_where_it_is_cut_off(tmp_path: Path) -> None:
    (tmp_path / "cookies").write_bytes(b"\xff")
    cookie = cookies_of(tmp_path).make("")
    assert (tmp_path / "cookies").stat().st_mode & 0o777 == 0o600
    assert cookies_of(tmp_path).knows(cookie, "")


def test_cookies_that_cannot_be_kept_are_a_storage_error(tmp_path: Path) -> None:
    cookies = cookies_of(tmp_path)
    cookie = cookies.make("")
    (tmp_path / "cookies").unlink()
    (tmp_path / "cookies").mkdir()
    with pytest.raises(StorageError):
        asyncio.run(cookies.end_all())
    assert not cookies.knows(cookie, "")
    with pytest.raises(StorageError):
        cookies_of(tmp_path)


def test_a_code_is_good_once() -> None:
    keys = Keys("t" * 43, Clock())
    codes = Codes(keys, "epoch")
    first, second = mint(keys, "epoch"), mint(keys, "epoch")
    assert first != second
    assert codes.spend(first)
    assert not codes.spend(first)
    assert codes.spend(second)


def test_a_code_is_good_for_five_minutes() -> None:
    clock = Clock()
    keys = Keys("t" * 43, clock)
    codes, code = Codes(keys, "epoch"), mint(keys, "epoch")
    clock.time += CODE_SECONDS
    assert not codes.spend(code)


def test_a_code_is_for_one_engine_so_a_restart_does_not_make_it_good_again() -> None:
    keys = Keys("t" * 43, Clock())
    assert not Codes(keys, "later").spend(mint(keys, "epoch"))


@pytest.mark.parametrize("code", ["", "-", "x-y-z", "9999999999-00-" + "0" * 32, "ß"])
def test_what_nobody_minted_is_no_code(code: str) -> None:
    assert not Codes(Keys("t" * 43), "epoch").spend(code)


def test_a_code_of_another_token_is_none() -> None:
    assert not Codes(Keys("t" * 43), "epoch").spend(mint(Keys("u" * 43), "epoch"))


def test_after_ten_wrong_passwords_even_the_right_one_waits_a_minute() -> None:
    clock = Clock()
    password = Password("correct horse", clock)
    password.check("correct horse")
    for _ in range(ATTEMPTS):
        with pytest.raises(WrongPassword):
            password.check("guess")
    with pytest.raises(TooManyAttempts) as refused:
        password.check("correct horse")
    assert refused.value.retry_after == WITHIN_SECONDS
    clock.time += WITHIN_SECONDS
    password.check("correct horse")


@pytest.mark.parametrize("header", ["127.0.0.1:8765", "localhost", "LocalHost:1", "[::1]:8765", "127.1.2.3", "box:80"])
def test_own_hosts(header: str) -> None:
    assert is_own_host(header, {"box"})


@pytest.mark.parametrize(
    "header",
    [
        "",
        "evil.example",
        "localhost.evil.example",
        "127.0.0.1.nip.io",
        "localhost:8765@evil.example",
        "evil.example#localhost",
        "localhost/",
        "localhost:",
        " localhost",
        "127.0.0.1:8765, evil.example",
        "10.0.0.5",
        "0.0.0.0",
        "boxer",
        "[::1",
    ],
)
def test_foreign_hosts(header: str) -> None:
    assert not is_own_host(header, {"box"})


@pytest.mark.parametrize(
    ("origin", "own"),
    [
        ("http://localhost:8765", True),
        ("https://localhost:8765", True),
        ("http://localhost:3000", False),
        ("http://localhost", False),
        ("http://localhost:8765.evil.example", False),
        ("http://evil.example", False),
        ("null", False),
        ("", False),
        ("file://", False),
    ],
)
def test_an_origin_is_ours_only_when_it_is_the_very_same(origin: str, own: bool) -> None:
    assert is_own_origin(origin, "localhost:8765") is own


@pytest.mark.parametrize(
    ("method", "site", "mode", "elsewhere"),
    [
        ("GET", "", "", False),
        ("POST", "same-origin", "cors", False),
        ("GET", "none", "navigate", False),
        ("GET", "cross-site", "navigate", False),
        ("POST", "cross-site", "navigate", True),
        ("GET", "same-site", "no-cors", True),
        ("DELETE", "same-site", "cors", True),
    ],
)
def test_another_site_may_only_open_the_page(method: str, site: str, mode: str, elsewhere: bool) -> None:
    assert comes_from_elsewhere(method, site, mode) is elsewhere


@pytest.mark.parametrize(("host", "loopback"), [("127.0.0.1", True), ("::1", True), ("0.0.0.0", False), ("::", False)])
def test_which_addresses_are_loopback(host: str, loopback: bool) -> None:
    assert is_loopback_host(host) is loopback


def test_a_guard_lets_nobody_in_before_it_has_keys() -> None:
    guard = Guard(port=1)
    with pytest.raises(NotOpenYet):
        guard.check("GET", "/", {"host": "localhost"})
    with pytest.raises(ForeignHost):
        guard.check("GET", "/", {"host": "evil.example"})
    assert not guard.spend("x")


OTHERS = [
    "theme=dark",
    'prefs={"a":1}',
    "Path=/app",
    "Domain=x; Version=1",
    "a b=c",
    "=x",
    "x",
    'q="un',
    "name=caf\u00e9",
    'j={"k":"v","l":[1]}',
    "corral_9999=1.a",
    "corral_1=",
    "corral_1=9999999999." + "0" * 64,
    'a="' + '\\"' * 500_000 + '"',  # a reader that is quadratic in it needs minutes
]
"""Cookies of other programs on this host: a browser sends them to every port."""


@pytest.mark.parametrize("other", OTHERS, ids=[each[:20] for each in OTHERS])
@pytest.mark.parametrize("form", ["{other}; {ours}", "{ours}; {other}", "{other};{ours};{other}"])
def test_other_programs_cookies_lock_nobody_out(tmp_path: Path, other: str, form: str) -> None:
    guard = Guard(port=1)
    guard.open_with(cookies_of(tmp_path), "epoch")
    ours = guard.cookie_header({}).partition(";")[0]
    guard.check("GET", "/", {"host": "localhost", "cookie": form.format(other=other, ours=ours)})
    with pytest.raises(NoToken):
        guard.check("GET", "/", {"host": "localhost", "cookie": form.format(other=other, ours=f"x{ours}")})


def test_of_very_many_cookies_of_our_name_few_are_looked_at(tmp_path: Path) -> None:
    guard = Guard(port=1)
    guard.open_with(cookies_of(tmp_path), "epoch")
    ours = guard.cookie_header({}).partition(";")[0]
    cookies = ["corral_1=9999999999." + "0" * 64] * 5_000
    with pytest.raises(NoToken):
        guard.check("GET", "/", {"host": "localhost", "cookie": "; ".join([*cookies, ours])})
