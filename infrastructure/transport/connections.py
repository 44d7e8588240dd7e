"""How a server is reached: one HTTP client for each, made from its settings.

Owns the choice of transport, certificate authorities, credentials and the proxies of the environment. Loopback never
goes through a proxy, as in Ollama's own client.
"""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import httpx

from infrastructure.transport.http2 import Http2Transport

if TYPE_CHECKING:
    from infrastructure.config.settings import PhaseLimits, ServerSettings

KEEPALIVE_SECONDS = 30.0
"""How long an idle connection is kept. Ollama never closes one; proxies do after 60 to 75 seconds."""

# No limit on connections: the pool above gives out slots, and a second queue down here would only hide them. httpcore
# counts busy connections against the keep-alive limit too and would drop warm ones, hence none either.
_LIMITS = httpx.Limits(max_connections=None, max_keepalive_connections=None, keepalive_expiry=KEEPALIVE_SECONDS)
# `identity`, because a proxy that compresses also holds tokens back.
_HEADERS = {"Accept": "application/json, application/x-ndjson", "Accept-Encoding": "identity", "User-Agent": "corral"}


def open_http_client(
    server: ServerSettings, limits: PhaseLimits, transport: httpx.AsyncBaseTransport | None = None
) -> httpx.AsyncClient:
    """The HTTP client of one server. Only connecting has a time limit here; the phases of a call watch the rest.

    Raises:
        OSError, ssl.SSLError: the file of the certificate authority cannot be read.
        ImportError, ValueError: the environment names a proxy of a kind that httpx does not speak.
    """
    headers = dict(_HEADERS)
    auth = None
    if server.token is not None:
        headers["Authorization"] = f"Bearer {server.token.get_secret_value()}"
    elif server.username is not None:
        auth = httpx.BasicAuth(server.username, server.password.get_secret_value() if server.password else "")
    if transport is None and speaks_http2(server):
        transport = _http2_transport(server)
    return httpx.AsyncClient(
        headers=headers,
        auth=auth,
        verify=_ssl_context(server) if transport is None else _no_tls(),
        timeout=httpx.Timeout(None, connect=limits.connect),
        limits=_LIMITS,
        transport=transport,
        trust_env=not server.loopback,
        follow_redirects=False,
    )


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


def _behind_environment_proxy(server: ServerSettings) -> bool:
    if server.loopback:
        return False
    proxies = getproxies()
    host = urlsplit(server.url).netloc
    return ("https" in proxies or "all" in proxies) and not proxy_bypass(host)


def _http2_transport(server: ServerSettings) -> Http2Transport:
    if not server.url.startswith("https"):
        return Http2Transport(idle_seconds=KEEPALIVE_SECONDS)
    # Two contexts: httpcore writes its own ALPN list into the one that it is given.
    fallback = httpx.AsyncHTTPTransport(verify=_ssl_context(server), trust_env=not server.loopback, limits=_LIMITS)
    return Http2Transport(idle_seconds=KEEPALIVE_SECONDS, ssl_context=_ssl_context(server), fallback=fallback)


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
