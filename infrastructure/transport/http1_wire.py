"""One server over our own HTTP/1.1, without a request object in between: a line of bytes out, an answer back.

Owns the head of every request: it differs from call to call in its path and length only, so the rest is made once.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import httpx

from infrastructure.transport.errors import Phase
from infrastructure.transport.http1 import head

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from infrastructure.transport.http1 import Http1Transport
    from infrastructure.transport.http1_answer import Answer
    from infrastructure.transport.wire import Ask


class Http1Wire:
    """Asks one server by `Http1Transport`. `headers` go with every request, those of the body and `Host` besides."""

    def __init__(self, transport: Http1Transport, base_url: str, headers: Mapping[str, str]) -> None:
        self._transport = transport
        self._base = httpx.URL(base_url)
        self._headers = [(b"Host", self._base.netloc)] + [(k.encode("ascii"), v.encode()) for k, v in headers.items()]
        self._heads: dict[tuple[str, str], bytes] = {}

    async def ask(self, ask: Ask, told: Callable[[Phase], None], *, fresh: bool) -> Answer:
        """See `wire.Wire.ask`."""
        bytes_out = self._head(ask)
        loop = asyncio.get_running_loop()
        connection = None if fresh else self._transport.idle()
        if connection is None:
            seconds = min(ask.connect, ask.ends_at - loop.time())
            connection = await self._transport.opened(self._base, seconds)
        until = min(loop.time() + ask.first_byte, ask.ends_at)
        try:
            told(Phase.FIRST_BYTE)
            return await connection.ask(bytes_out, ask.body or b"", bare=ask.method == "HEAD", until=until)
        except BaseException:
            connection.abort()
            raise

    async def aclose(self) -> None:
        """See `wire.Wire.aclose`."""
        await self._transport.aclose()

    def _head(self, ask: Ask) -> bytes:
        key = ask.method, ask.path
        common = self._heads.get(key)
        if common is None:
            target = self._base.raw_path.rstrip(b"/") + ask.path.encode("ascii")
            common = self._heads[key] = head(ask.method.encode("ascii"), target, self._headers, None)[:-2]
        if ask.body is None:
            return common + b"\r\n"
        return b"%sContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % (common, len(ask.body))
