"""Why nobody can listen at an address, in words, and what to do about it."""

import errno
import socket

from backend.cli.errors import ENVIRONMENT, Refused

_PRIVILEGED = 1024
"""Ports below are for root, unless the system says otherwise (ip(7))."""
_HERE = "127.0.0.1 is this machine alone"


def not_listening(host: str, port: int, error: OSError, *, tried: int = 1) -> Refused:
    """What a person is told.

    Args:
        host: Name or address that was asked for.
        port: The first port that was tried.
        error: What the system said.
        tried: How many ports were tried.
    """
    return Refused(*_words(host, port, error, tried), ENVIRONMENT)


def _words(host: str, port: int, error: OSError, tried: int) -> tuple[str, str]:
    if isinstance(error, socket.gaierror):
        return f"nothing is known by the name {host!r}", f"Name an address of this machine with --host; {_HERE}."
    match error.errno:
        case errno.EADDRINUSE:
            which = f"port {port} is" if tried == 1 else f"the ports {port} to {port + tried - 1} are"
            return f"{which} taken on {host}", "Choose another with --port; `ss -ltnp` lists who has which."
        case errno.EADDRNOTAVAIL:
            return (
                f"{host} is no address of this machine",
                f"Choose one of its own with --host; `ip address` lists them, {_HERE}.",
            )
        case errno.EACCES | errno.EPERM if 0 < port < _PRIVILEGED:
            return f"port {port} is for root only", f"Choose one from {_PRIVILEGED} on with --port."
        case _:
            return (
                f"nobody can listen at {host}, port {port}: {error.strerror or error}",
                "Choose another --host or --port.",
            )
