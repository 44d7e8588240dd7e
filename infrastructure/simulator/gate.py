"""Owns which requests reach a route: paths, methods, redirects, `Host` and `Origin`, as the server checks them."""

import ipaddress
import posixpath
import re
import socket
from html import escape
from http import HTTPStatus
from urllib.parse import urlsplit

from infrastructure.simulator.exchange import Exchange, Header

_TEXT = (("Content-Type", "text/plain"),)
_ALLOWED_HEADERS = (
    "Authorization,Content-Type,User-Agent,Accept,X-Requested-With,Openai-Beta,X-Stainless-Arch,X-Stainless-Async,"
    "X-Stainless-Custom-Poll-Interval,X-Stainless-Helper-Method,X-Stainless-Lang,X-Stainless-Os,"
    "X-Stainless-Package-Version,X-Stainless-Poll-Helper,X-Stainless-Retry-Count,X-Stainless-Runtime,"
    "X-Stainless-Runtime-Version,X-Stainless-Timeout"
)
_LOCAL_ORIGINS = ("localhost", "127.0.0.1", "0.0.0.0")
_LOCAL_SCHEMES = ("app", "file", "tauri", "vscode-webview", "vscode-file")
_OWN_NAME = socket.gethostname().lower()
_LOCAL_ENDINGS = (".localhost", ".local", ".internal")

ROUTES: dict[str, tuple[str, ...]] = {
    "/": ("HEAD", "GET"),
    "/api/version": ("HEAD", "GET"),
    "/api/status": ("GET",),
    "/api/tags": ("HEAD", "GET"),
    "/api/ps": ("GET",),
    "/api/show": ("POST",),
    "/api/generate": ("POST",),
    "/api/chat": ("POST",),
    "/api/embed": ("POST",),
    "/api/embeddings": ("POST",),
    "/api/pull": ("POST",),
    "/simulator/truth": ("GET",),
}
NOT_SIMULATED = re.compile(r"/v1/.*|/api/(?:push|create|copy|delete|blobs/.*|me|signout|user/.*|experimental/.*)")
"""Routes of the real server that the simulator leaves out: 501, so that nobody takes them for unknown."""


def turned_away(exchange: Exchange, bound_to: str) -> bool:
    """Answer a request that no route sees; False where it may go on.

    Args:
        exchange: the request. Headers that must go with its answer are added to it.
        bound_to: the address that the server listens on; on loopback the `Host` is checked.
    """
    request = exchange.request
    clean = _cleaned(request.path)
    if clean != request.path:
        _redirect(exchange, 307, clean + request.query)
        return True
    methods = ROUTES.get(request.path)
    if methods is None and _redirected(exchange):
        return True
    headers: list[Header] = []
    if methods is not None and request.method not in methods:
        headers.append(("Allow", ", ".join(methods)))
    if not _origin_passes(exchange, headers) or not _host_passes(exchange, headers, bound_to):
        return True if exchange.begun else _forbid(exchange, headers)
    if methods is not None and request.method in methods:
        return False
    if methods is not None:
        exchange.answer(405, [*headers, *_TEXT], b"405 method not allowed")
    elif NOT_SIMULATED.fullmatch(request.path):
        body = b'{"error":"the simulator does not serve this route"}'
        exchange.answer(501, (("Content-Type", "application/json; charset=utf-8"),), body)
    else:
        exchange.answer(404, _TEXT, b"404 page not found")
    return True


def _redirected(exchange: Exchange) -> bool:
    """A path with a slash too much goes to the one without: 301 for GET, else 307."""
    request = exchange.request
    target = request.path.rstrip("/")
    if target == request.path or request.method not in ROUTES.get(target, ()):
        return False
    _redirect(exchange, 301 if request.method == "GET" else 307, target + request.query)
    return True


def _redirect(exchange: Exchange, status: int, target: str) -> None:
    if exchange.request.method in ("GET", "HEAD"):
        body = f'<a href="{escape(target)}">{HTTPStatus(status).phrase}</a>.\n\n'.encode()
        exchange.answer(status, (("Content-Type", "text/html; charset=utf-8"), ("Location", target)), body)
    else:
        exchange.answer(status, (("Location", target),), b"")


def _cleaned(path: str) -> str:
    """Without double slashes and dots; a slash at the end stays."""
    clean = posixpath.normpath(re.sub(r"/{2,}", "/", path))
    return f"{clean}/" if path.endswith("/") and clean != "/" else clean


def _origin_passes(exchange: Exchange, headers: list[Header]) -> bool:
    """Whether the page that asks may; answers a preflight itself."""
    request = exchange.request
    origin, host = request.headers.get("origin"), request.headers.get("host", "")
    if not origin or origin in (f"http://{host}", f"https://{host}"):
        return True
    if not _is_local_origin(origin):
        return False
    if request.method == "OPTIONS":
        exchange.answer(204, [*headers, *_preflight(origin)], b"")
        return False
    exchange.extra += [("Access-Control-Allow-Origin", origin), ("Vary", "Origin")]
    return True


def _is_local_origin(origin: str) -> bool:
    parts = urlsplit(origin)
    if parts.scheme in _LOCAL_SCHEMES:
        return True
    return parts.scheme in ("http", "https") and parts.hostname in _LOCAL_ORIGINS


def _preflight(origin: str) -> list[Header]:
    return [
        ("Access-Control-Allow-Headers", _ALLOWED_HEADERS),
        ("Access-Control-Allow-Methods", "GET,POST,PUT,PATCH,DELETE,HEAD,OPTIONS"),
        ("Access-Control-Allow-Origin", origin),
        ("Access-Control-Max-Age", "43200"),
        ("Vary", "Origin"),
        ("Vary", "Access-Control-Request-Method"),
        ("Vary", "Access-Control-Request-Headers"),
    ]


def _host_passes(exchange: Exchange, headers: list[Header], bound_to: str) -> bool:
    """Whether the request was meant for this machine; asked only of a server on loopback.

    An OPTIONS to one of its names is answered here and then.
    """
    if not _is_loopback(bound_to):
        return True
    name = (urlsplit(f"//{exchange.request.headers.get('host', '')}").hostname or "").lower()
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        known = name in ("", "localhost", _OWN_NAME) or name.endswith(_LOCAL_ENDINGS)
        if known and exchange.request.method == "OPTIONS":
            exchange.answer(204, headers, b"")
            return False
        return known
    return address.is_loopback or address.is_private or address.is_unspecified


def _is_loopback(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return address == "localhost"


def _forbid(exchange: Exchange, headers: list[Header]) -> bool:
    exchange.answer(403, headers, b"")
    return True
