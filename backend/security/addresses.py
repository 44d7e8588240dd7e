"""Host and Origin: whether a request is meant for this server, and whether its page came from it.

Owns both decisions. A page of another site can make a browser send requests to loopback, under its own name
(Origin) or, after DNS rebinding, under a name of its own that leads here (Host).
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Collection, Mapping

_AUTHORITY = re.compile(r"(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(?::[0-9]{1,5})?")
_SAFE_METHODS = frozenset({"GET", "HEAD"})
_OTHER_SITES = frozenset({"cross-site", "same-site"})


def is_loopback_host(host: str) -> bool:
    """Whether a bare host name or address can only mean this machine."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def is_own_host(header: str, names: Collection[str] = ()) -> bool:
    """Whether a `Host` header names loopback, or one of the configured names, with any port."""
    found = _AUTHORITY.fullmatch(header.lower())
    if found is None:
        return False
    host = found[1]
    return is_loopback_host(host) or host in names


def is_own_origin(origin: str, host: str) -> bool:
    """Whether an `Origin` is that of this server, by the `Host` the same request names. `null` is nobody's."""
    return origin.lower() in (f"http://{host.lower()}", f"https://{host.lower()}")


def came_by_tls(headers: Mapping[str, str]) -> bool:
    """Whether the browser came by TLS, as it says itself (Origin), else as a proxy says.

    Nobody else's word is needed: whoever lies here gets a cookie that is not sent any more, and harms nobody else.
    """
    if origin := headers.get("origin", ""):
        return origin.lower().startswith("https://")
    return headers.get("x-forwarded-proto", "").partition(",")[0].strip().lower() == "https"


def comes_from_elsewhere(method: str, site: str, mode: str) -> bool:
    """Whether the browser says that another site asks, which it may only to open the page.

    Args:
        method: Of the request.
        site: `Sec-Fetch-Site`; another port of the same host is `same-site`, and not ours.
        mode: `Sec-Fetch-Mode`.
    """
    return site in _OTHER_SITES and not (method in _SAFE_METHODS and mode == "navigate")
