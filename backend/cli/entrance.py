"""Where a browser signs in at whoever serves a data directory now.

Owns the one question that is asked of that server: by what it lets a browser in.
"""

import http.client
import json
from dataclasses import dataclass
from urllib.parse import urlsplit

from backend.security.codes import mint
from backend.security.token import open_keys
from infrastructure.config.settings import Settings
from infrastructure.storage.directory import DataDirectory
from infrastructure.storage.lock import holder_of

SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Entrance:
    """A server that is there already.

    Attributes:
        pid: Its process.
        address: Where it listens.
        page: What to open in a browser.
        by_password: Whether it asks for a password there; otherwise the address is good once, for five minutes.
    """

    pid: int
    address: str
    page: str
    by_password: bool


def entrance_of(settings: Settings, verb: str, *, by_password: bool | None = None) -> Entrance | None:
    """The entrance of the command of this verb that holds the data directory; None where there is none.

    Args:
        settings: They name the data directory.
        verb: Of the command.
        by_password: Whether it asks for a password; the server is asked when None.

    Raises:
        StorageError: the data directory cannot be used.
    """
    directory = DataDirectory(settings.paths.data)
    holder = holder_of(directory.lock)
    if holder is None or holder.verb != verb or not holder.address:
        return None
    if by_password is None:
        by_password = _asks_for_password(holder.address, otherwise=settings.serve.password is not None)
    code = "" if by_password else f"?code={mint(open_keys(directory.token), holder.epoch)}"
    return Entrance(holder.pid, holder.address, f"{holder.address}/signin{code}", by_password)


def _asks_for_password(address: str, *, otherwise: bool) -> bool:
    """What the server itself says; where it cannot be asked, what the settings here say."""
    parts = urlsplit(address)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=SECONDS)
    try:
        connection.request("GET", "/signin", headers={"Accept": "application/json"})
        return json.loads(connection.getresponse().read())["by"] == "password"
    except (OSError, http.client.HTTPException, ValueError, KeyError, TypeError):
        return otherwise
    finally:
        connection.close()
