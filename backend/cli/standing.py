"""How the pool stands: as the engine that runs now tells it, else as the configured servers themselves do.

Owns the choice between the two, made anew at each look: an engine may come and go while somebody looks on.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from backend.attach.guest import Guest, HolderGone
from backend.security.token import open_keys
from infrastructure.connection_pool import OllamaConnectionPool
from infrastructure.pool.errors import NoServerAvailable
from infrastructure.storage.directory import DataDirectory
from infrastructure.storage.lock import Holder, holder_of

if TYPE_CHECKING:
    from types import TracebackType

    from infrastructure.config.settings import Settings
    from infrastructure.pool.snapshot import PoolSnapshot


@dataclass(frozen=True, slots=True)
class Standing:
    """The pool at one moment, and who told it."""

    pool: PoolSnapshot
    holder: Holder | None = None
    """Who holds the engine; None where the servers were asked instead."""


class Standings:
    """Looks at the pool. Use it as an async context manager."""

    def __init__(self, settings: Settings) -> None:
        self._directory = DataDirectory(settings.paths.data)
        self._pool = OllamaConnectionPool(settings.servers, lanes=settings.lanes, settings=settings.pool)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._pool.aclose()

    async def look(self) -> Standing:
        """The pool as it is now.

        Raises:
            HolderRefused: there is an engine, and it does not say.
            StorageError: the data directory cannot be read.
        """
        holder = await asyncio.to_thread(holder_of, self._directory.lock)
        if holder is not None and holder.address:
            token = (await asyncio.to_thread(open_keys, self._directory.token)).token
            with suppress(HolderGone):  # it has just ended
                return Standing(await Guest(holder.address, token).pool(), holder)
        with suppress(NoServerAvailable):  # each server's line says why
            await self._pool.models()
        return Standing(self._pool.snapshot())
