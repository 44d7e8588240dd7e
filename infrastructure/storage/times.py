"""Instants as text that sorts: UTC, microseconds, always the same width."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import TypeAlias

Now: TypeAlias = Callable[[], datetime]
"""Tells the time; aware."""


def utc_now() -> datetime:
    """The time, aware, in UTC."""
    return datetime.now(UTC)


def to_text(instant: datetime) -> str:
    """An aware instant as text; text order is time order.

    Raises:
        ValueError: the instant has no time zone.
    """
    if instant.tzinfo is None:
        raise ValueError(f"an instant without a time zone: {instant!r}")
    return instant.astimezone(UTC).isoformat(timespec="microseconds")


def from_text(text: str) -> datetime:
    """The aware instant in UTC that `to_text` wrote."""
    return datetime.fromisoformat(text)


def from_optional(text: str | None) -> datetime | None:
    """The instant, where there is one."""
    return None if text is None else from_text(text)


def to_optional(instant: datetime | None) -> str | None:
    """The text, where there is an instant."""
    return None if instant is None else to_text(instant)
