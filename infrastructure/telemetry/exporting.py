"""Whether traces and metrics go to a collector, and the way there; see `otel` for how.

Owns the choice: where no endpoint is set, nothing of OpenTelemetry is loaded, and nobody listens.
"""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TYPE_CHECKING, Protocol, cast

from infrastructure.telemetry.errors import TelemetryNotOpened

if TYPE_CHECKING:
    from prometheus_client.core import Metric

    from infrastructure.config.settings import TelemetrySettings
    from infrastructure.events.log import Stored
    from infrastructure.telemetry.metrics import Sample
    from infrastructure.telemetry.parents import Parents

Collected = Callable[[], Awaitable[Iterable["Metric"]]]
"""Every family as it stands; asked in the event loop."""


class Exporting(Protocol):
    """What a process sends. A collector that is slow or away harms nobody and is told of once; closing is bounded."""

    @property
    def kinds(self) -> frozenset[str]:
        """The kinds of events that spans are made of."""
        ...

    @property
    def parents(self) -> Parents:
        """Where a caller's own trace is noted."""
        ...

    async def hear(self, stored: Stored) -> None:
        """Make spans of an event; a handler for the bus."""
        ...

    def samples(self) -> Iterator[Sample]:
        """How sending goes."""
        ...

    def measuring(self, collected: Collected) -> AbstractAsyncContextManager[object]:
        """Send metrics every so often while it is open, and once more when it closes."""
        ...


@asynccontextmanager
async def open_exporting(
    settings: TelemetrySettings, *, version: str, addresses: Mapping[str, str]
) -> AsyncGenerator[Exporting | None]:
    """The way to the collector; None where none is named. What waits when it closes is sent, for a short while.

    Args:
        settings: Which collector, and how much.
        version: Corral's.
        addresses: Host and port of each server, by its label; may change.

    Raises:
        TelemetryNotOpened: the extra is not installed, or the certificate authority cannot be read.
    """
    if settings.endpoint is None:
        yield None
        return
    opening = await asyncio.to_thread(_by_library)
    async with opening(settings, version=version, addresses=addresses) as exporting:
        yield exporting


def _by_library() -> Callable[..., AbstractAsyncContextManager[Exporting]]:
    """Loaded when it is needed: it is an extra, and takes half a second."""
    try:
        module = importlib.import_module("infrastructure.telemetry.otel.opening")
    except ModuleNotFoundError as error:
        if not (error.name or "").startswith(("opentelemetry", "google")):
            raise
        raise TelemetryNotOpened(
            "telemetry.endpoint is set, and what speaks to a collector is an extra that is not installed",
            "pip install 'corral[otel]', or unset telemetry.endpoint.",
        ) from error
    return cast("Callable[..., AbstractAsyncContextManager[Exporting]]", module.open_collector)
