"""Owns the three ways in which a server ends a connection, for both of its faces."""

import asyncio
import socket
import struct

_AT_ONCE = struct.pack("ii", 1, 0)
"""A socket closed with this lingering sends RST."""


class Endable(asyncio.Protocol):
    """A connection that can be ended; nothing happens once it is gone."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None

    def abort(self) -> None:
        """Break the connection off, with what is still unsent lost."""
        if self._transport is not None:
            self._transport.abort()

    def reset(self) -> None:
        """Break the connection off with RST."""
        if self._transport is not None:
            connection = self._transport.get_extra_info("socket")
            if connection is not None:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _AT_ONCE)
            self._transport.abort()

    def close(self) -> None:
        """Close the connection after what was sent."""
        if self._transport is not None:
            self._transport.close()
