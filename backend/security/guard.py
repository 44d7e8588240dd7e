"""The guard at the door: every request passes `Guard.check` before anything of it is read.

Owns the order of the checks and the list of paths that are open to everybody.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import islice

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from backend.security.addresses import came_by_tls, comes_from_elsewhere, is_own_host, is_own_origin
from backend.security.codes import Codes
from backend.security.cookies import COOKIE_SECONDS, Cookies
from backend.security.errors import BodyTooLarge, ForeignHost, ForeignOrigin, NotJson, NoToken, NotOpenYet
from backend.security.pages import SIGN_IN_FILES
from backend.security.passwords import Password
from backend.security.token import Keys

PUBLIC_PATHS = frozenset({"/health/live", "/health/ready", "/signin"}) | SIGN_IN_FILES
"""Open without a token. Everything else wants it, a path that does not exist included."""
FORM_PATHS = frozenset({"/signin"})
"""Filled in by a browser's form."""
FORM_BYTES = 4_096
"""Of a form, which strangers send."""
BODY_BYTES = 10_000_000
SOCKET_PROTOCOL = "corral.v1"
"""The subprotocol of our WebSockets; it is chosen where it is offered."""
TOKEN_PROTOCOL = "corral.token."
"""Begins an offered subprotocol that bears the token, for clients that cannot set a header. It is never chosen."""
MOST_COOKIES = 4
"""Of our name that are looked at: programs on other ports of this host, or below other paths, may set some."""
_BODILESS = frozenset({"GET", "HEAD", "OPTIONS"})


class Guard:
    """Decides who may enter. Closed until `open_with`."""

    def __init__(self, *, port: int, hosts: Collection[str] = (), password: str | None = None) -> None:
        """A guard.

        Args:
            port: Names the cookie: cookies are shared by all ports of a host.
            hosts: Further names of this server.
            password: What a browser signs in with, instead of one-time codes.
        """
        self.cookie_name = f"corral_{port}"
        self.password = None if password is None else Password(password)
        self._hosts = frozenset(host.lower() for host in hosts)
        self._keys: Keys | None = None
        self._codes: Codes | None = None
        self._cookies: Cookies | None = None
        self._held_by = "" if self.password is None else self.password.digest
        """What cookies hold by beside the keys."""

    def open_with(self, cookies: Cookies, epoch: str) -> None:
        """Let in who has a key or a cookie; codes are good that were made for this epoch."""
        self._keys, self._cookies, self._codes = cookies.keys, cookies, Codes(cookies.keys, epoch)

    def spend(self, code: str) -> bool:
        """Whether a one-time code lets its bearer in; never where there is a password, and never twice."""
        return self.password is None and self._codes is not None and self._codes.spend(code)

    def cookie_header(self, headers: Mapping[str, str]) -> str:
        """The `Set-Cookie` of a browser that has signed in, by the headers of its request."""
        if self._cookies is None:
            raise NotOpenYet
        return self._cookie(self._cookies.make(self._held_by), COOKIE_SECONDS, headers)

    async def sign_out(self, headers: Mapping[str, str]) -> str:
        """End every cookie; the `Set-Cookie` of the browser that leaves, by the headers of its request.

        Raises:
            StorageError: it is not written down, so that a restart may let them in again.
        """
        if self._cookies is None:
            raise NotOpenYet
        await self._cookies.end_all()
        return self._cookie("", 0, headers)

    def check(self, method: str, path: str, headers: Mapping[str, str], protocols: Sequence[str] = ()) -> None:
        """Let a request pass; `protocols` are those that the opening of a WebSocket offers.

        Raises:
            EntryRefused: it must not; the class says why.
        """
        host = headers.get("host", "")
        if not is_own_host(host, self._hosts):
            raise ForeignHost
        origin = headers.get("origin")
        if origin is not None and not is_own_origin(origin, host):
            raise ForeignOrigin
        if comes_from_elsewhere(method, headers.get("sec-fetch-site", ""), headers.get("sec-fetch-mode", "")):
            raise ForeignOrigin
        if path not in PUBLIC_PATHS and not self._knows(headers, protocols):
            raise NoToken
        _check_body(method, path, headers)

    def _knows(self, headers: Mapping[str, str], protocols: Sequence[str]) -> bool:
        keys = self._opened()
        scheme, _, token = headers.get("authorization", "").partition(" ")
        if scheme:  # what a program says of itself is not mended by a cookie
            return scheme.lower() == "bearer" and keys.is_token(token.strip())
        if offered := [each for each in protocols if each.startswith(TOKEN_PROTOCOL)]:
            return len(offered) == 1 and keys.is_token(offered[0].removeprefix(TOKEN_PROTOCOL))
        sent = islice(_cookies_of(headers.get("cookie", ""), self.cookie_name), MOST_COOKIES)
        return self._cookies is not None and any(self._cookies.knows(each, self._held_by) for each in sent)

    def _opened(self) -> Keys:
        if self._keys is None:
            raise NotOpenYet
        return self._keys

    def _cookie(self, value: str, seconds: int, headers: Mapping[str, str]) -> str:
        secure = "; Secure" if came_by_tls(headers) else ""
        return f"{self.cookie_name}={value}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Strict{secure}"


class GuardMiddleware:
    """Asks the guard, and counts the bytes of a body that does not say how long it is. Pure ASGI."""

    def __init__(self, app: ASGIApp, guard: Guard) -> None:
        self._app, self._guard = app, guard

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on what may enter.

        Raises:
            EntryRefused: it must not.
        """
        if scope["type"] == "lifespan":
            return await self._app(scope, receive, send)
        if scope["type"] == "websocket":
            self._guard.check("GET", scope["path"], Headers(scope=scope), scope.get("subprotocols", ()))
            return await self._app(scope, receive, send)
        self._guard.check(scope["method"], scope["path"], Headers(scope=scope))
        left = _most(scope["path"])

        async def receiving() -> Message:
            nonlocal left
            message = await receive()
            left -= len(message.get("body", b""))
            if left < 0:
                raise BodyTooLarge
            return message

        return await self._app(scope, receiving, send)


def _most(path: str) -> int:
    """Bytes of a body that is sent there."""
    return FORM_BYTES if path in FORM_PATHS else BODY_BYTES


def _check_body(method: str, path: str, headers: Mapping[str, str]) -> None:
    length = headers.get("content-length", "0")
    if not length.isdecimal() or int(length) > _most(path):
        raise BodyTooLarge
    empty = length == "0" and "transfer-encoding" not in headers
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    wanted = "application/x-www-form-urlencoded" if path in FORM_PATHS else "application/json"
    if method in _BODILESS or empty:
        return
    if kind != wanted:
        raise NotJson("" if wanted == "application/json" else f"This route takes {wanted}.")
    if headers.get("content-encoding", "identity").strip().lower() != "identity":
        raise NotJson("The body is encoded, which no route takes.", "Send it as it is, without `Content-Encoding`.")


def _cookies_of(header: str, name: str) -> Iterator[str]:
    """The values under this name, as they were sent.

    Python's `SimpleCookie` is not asked: it takes quadratic time for quoted values, and gives up on the whole header
    at a cookie that is none to it, such as another program's JSON. Another program may have set one of our name too.
    """
    for pair in header.split(";"):
        key, _, value = pair.partition("=")
        if key.strip() == name:
            yield value.strip()
