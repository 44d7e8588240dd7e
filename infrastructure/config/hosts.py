"""Reading a server's address the way Ollama's own Go client does.

Owns the rules of `OLLAMA_HOST` (facts: Ollama `envconfig.Host`): default port 11434 without a scheme, 80 and 443
with one, quotes and spaces around it ignored, a path prefix kept, `ollama.com` means https. Differs in one point:
an address that means "every interface" is asked on loopback, since nobody can connect to it.
"""

from __future__ import annotations

import ipaddress
from urllib.parse import SplitResult, unquote, urlsplit, urlunsplit

DEFAULT_PORT = 11434
_NO_COLLECTOR = "the endpoint is no http or https address; write it like http://127.0.0.1:4318"
_SCHEMES = {"http": 80, "https": 443, "h2c": 80}


class BadAddress(ValueError):
    """The server's address cannot be read; write it like http://127.0.0.1:11434."""

    def __init__(self, address: str, reason: str) -> None:
        self.address = split_credentials(address)[0]
        self.reason = reason
        super().__init__(f"server address {self.address!r}: {reason}; write it like http://127.0.0.1:{DEFAULT_PORT}")


def server_url(address: str) -> str:
    """The URL to connect to, without a trailing slash: scheme, host, port and path prefix.

    Raises:
        BadAddress: the scheme is unknown, or the port is no number between 1 and 65535.
    """
    text = address.strip().strip("\"'").strip()
    if text == "ollama.com":
        text = "https://ollama.com:443"
    scheme, found, rest = text.partition("://")
    if not found:
        scheme, rest, default_port = "http", text, DEFAULT_PORT
    elif scheme.lower() in _SCHEMES:
        default_port = _SCHEMES[scheme.lower()]
    else:
        raise BadAddress(address, f"the scheme {scheme!r} is not http, https or h2c")
    parts = urlsplit(f"{scheme.lower()}://{rest}")
    host = _connectable(parts.hostname or "")
    return urlunsplit((parts.scheme, f"{host}:{_port(address, parts, default_port)}", parts.path.rstrip("/"), "", ""))


def collector_url(address: str) -> str:
    """The base address of a collector, without a trailing slash.

    Raises:
        ValueError: it is no http or https address, or says more than a base address does.
    """
    text = address.strip().rstrip("/")
    try:
        parts = urlsplit(text)
        usable = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        raise ValueError(_NO_COLLECTOR) from None
    if not usable:
        raise ValueError(_NO_COLLECTOR)
    if "@" in parts.netloc or parts.query or parts.fragment:
        raise ValueError("keep user, password and keys out of the endpoint; they belong in telemetry.headers")
    if parts.path.endswith(("/v1/traces", "/v1/metrics", "/v1/logs")):
        raise ValueError("give the endpoint without /v1/…; that is put behind it")
    return text


def split_credentials(address: str) -> tuple[str, str | None, str | None]:
    """The address without `user:password@`, the user, and the password; None for what it does not say."""
    scheme, found, rest = address.rpartition("://")
    authority, slash, path = rest.partition("/")
    userinfo, at, host = authority.rpartition("@")
    if not at:
        return address, None, None
    username, colon, password = userinfo.partition(":")
    return f"{scheme}{found}{host}{slash}{path}", unquote(username), unquote(password) if colon else None


def is_loopback(url: str) -> bool:
    """Whether the URL names this very machine by loopback."""
    host = urlsplit(url).hostname or ""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _port(address: str, parts: SplitResult, default: int) -> int:
    try:
        port = parts.port
    except ValueError as error:
        raise BadAddress(address, str(error)) from None
    return default if port in (None, 0) else port


def _connectable(host: str) -> str:
    if not host:
        return "127.0.0.1"
    try:
        ip = ipaddress.ip_address(host)
    except ValueError:
        return host
    if ip.is_unspecified:
        ip = ipaddress.ip_address("127.0.0.1" if ip.version == 4 else "::1")
    return f"[{ip}]" if ip.version == 6 else str(ip)
