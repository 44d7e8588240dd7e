"""Which servers a pool has.

Owns the reading of what callers give (addresses or settings), and whom the environment names where nobody gives any.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from infrastructure.config.settings import ServerSettings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from infrastructure.config.settings import Settings


def by_url(servers: Sequence[str | ServerSettings]) -> dict[str, ServerSettings]:
    """The servers by the address that identifies them.

    Raises:
        BadAddress: an address cannot be read.
        ValueError: a server is named twice.
    """
    found: dict[str, ServerSettings] = {}
    for server in servers:
        settings = ServerSettings(url=server) if isinstance(server, str) else server
        if settings.url in found:
            raise ValueError(f"server {settings.url} is named twice")
        found[settings.url] = settings
    return found


def servers_of(settings: Settings) -> tuple[ServerSettings, ...]:
    """The configured ones, else the one that OLLAMA_HOST names at this moment, else loopback."""
    return settings.servers or (ServerSettings(url=os.environ.get("OLLAMA_HOST", "")),)
