"""How a server is reached: one wire for each, made from its settings.

Owns the choice of transport, certificate authorities, credentials and the proxies of the environment. Loopback never
goes through a proxy, as in Ollama's own client.
"""

from __future__ import annotations

import ssl
from base64 import b64encode
from typing import TYPE_CHECKING
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import httpx

from infrastructure.transport.http1 import Http1Transport
from infrastructure.transport.http1_wire import Http1Wire
from infrastructure.transport.http2_connections import Http2Connections
from infrastructure.transport.http2_wire import Http2Wire
from infrastructure.transport.httpx_wire import HttpxWire

if TYPE_CHECKING:
    from infrastructure.config.settings import PhaseLimits, ServerSettings
    from infrastructure.transport.wire import Wire

KEEPALIVE_SECONDS = 30.0
"""How long an idle connection is kept. Ollama never closes one; proxies do after 60 to 75 seconds."""

# No limit on connections: the pool above gives out slots, and a second queue down here would only hide them. httpcore
# counts busy connections against the keep-alive limit too and would drop warm ones, hence none either.
_LIMITS = httpx.Limits(max_connections=None, max_keepalive_connections=None, keepalive_expiry=KEEPALIVE_SECONDS)
# `identity`, because a proxy that compresses also holds tokens back.
_HEADERS = {
    "Accept": "application/json, application/x-ndjson",
    "Accept-Encoding": "identity",
    "Connection": "keep-alive",
    "User-Agent": "corral",
}


def open_wire(server: ServerSettings, limits: PhaseLimits, transport: httpx.AsyncBaseTransport | None = None) -> Wire:
    """How one server is asked: by our own HTTP where that can reach it, else by httpx.

    Raises:
        OSError, ssl.SSLError: the file of the certificate authority cannot be read.
        ImportError, ValueError: the environment names a proxy of a kind that httpx does not speak.
    """
    if transport is None and speaks_http1(server):
        return Http1Wire(_http1_transport(server), base_url(server), _headers(server))
    if transport is None and speaks_http2(server):
        return _http2_wire(server, limits)
    return HttpxWire(_http_client(server, limits, transport), base_url(server))


def base_url(server: ServerSettings) -> str:
    """Where the paths of the API are appended to; without a trailing slash, since `//api` would be redirected."""
    scheme, _, rest = server.url.partition("://")
    return f"{'http' if scheme == 'h2c' else scheme}://{rest.rstrip('/')}"


def speaks_http2(server: ServerSettings) -> bool:
    """h2c by prior knowledge, https by ALPN where it is asked for; never through a proxy of the environment."""
    scheme = urlsplit(server.url).scheme
    if scheme == "h2c":
        return True
    return scheme == "https" and server.http2 and not _behind_environment_proxy(server)


def speaks_http1(server: ServerSettings) -> bool:
    """Our own HTTP/1.1, unless httpx is asked for, HTTP/2 is, or a proxy of the environment is in the way."""
    return server.transport == "own" and not speaks_http2(server) and not _behind_environment_proxy(server)


def _behind_environment_proxy(server: ServerSettings) -> bool:
    if server.loopback:
        return False
    proxies = getproxies()
    scheme, host, *_ = urlsplit(server.url)
    return (scheme in proxies or "all" in proxies) and not proxy_bypass(host)


def _http_client(
    server: ServerSettings, limits: PhaseLimits, transport: httpx.AsyncBaseTransport | None
) -> httpx.AsyncClient:
    """Only connecting has a time limit here; the phases of a call watch the rest."""
    return httpx.AsyncClient(
        headers=_headers(server),
        verify=_ssl_context(server) if transport is None else _no_tls(),
        timeout=httpx.Timeout(None, connect=limits.connect),
        limits=_LIMITS,
        transport=transport,
        trust_env=not server.loopback,
        follow_redirects=False,
    )


def _headers(server: ServerSettings) -> dict[str, str]:
    headers = dict(_HEADERS)
    if server.token is not None:
        headers["Authorization"] = f"Bearer {server.token.get_secret_value()}"
    elif server.username is not None:
        secret = server.password.get_secret_value() if server.password else ""
        headers["Authorization"] = f"Basic {b64encode(f'{server.username}:{secret}'.encode()).decode()}"
    return headers


def _http1_transport(server: ServerSettings) -> Http1Transport:
    context = _ssl_context(server) if server.url.startswith("https") else None
    return Http1Transport(idle_seconds=KEEPALIVE_SECONDS, ssl_context=context)


def _http2_wire(server: ServerSettings, limits: PhaseLimits) -> Http2Wire:
    """HTTP/1.1 is there for where ALPN chooses it; of two contexts, since each offers its own list."""
    if not server.url.startswith("https"):
        return Http2Wire(Http2Connections(idle_seconds=KEEPALIVE_SECONDS), base_url(server), _headers(server))
    fallback: Wire = Http1Wire(_http1_transport(server), base_url(server), _headers(server))
    if server.transport == "httpx":
        fallback = HttpxWire(_http_client(server, limits, None), base_url(server))
    connections = Http2Connections(idle_seconds=KEEPALIVE_SECONDS, ssl_context=_ssl_context(server))
    return Http2Wire(connections, base_url(server), _headers(server), fallback)


def _ssl_context(server: ServerSettings) -> ssl.SSLContext:
    if server.loopback and not server.url.startswith("https"):
        return _no_tls()
    context = httpx.create_ssl_context(trust_env=not server.loopback)
    if server.ca_file is not None:
        context.load_verify_locations(cafile=server.ca_file)
    return context


def _no_tls() -> ssl.SSLContext:
    """A context that trusts nobody: cheap, and right where TLS is never spoken."""
    return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
