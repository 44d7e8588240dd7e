"""The one thing of a kind that a process has.

Owns that it is made once, when it is first asked for, from the settings given before; and that a new one may be made
when it is closed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, TypeVar

from infrastructure.config.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

T = TypeVar("T")


class ProcessWide(Generic[T]):
    """Made on first use by `make`, ended by `end`. Belongs to one event loop."""

    def __init__(self, make: Callable[[Settings], T], end: Callable[[T], Awaitable[None]]) -> None:
        self._make = make
        self._end = end
        self._settings: Settings | None = None
        self._made: T | None = None

    def configure(self, settings: Settings | None) -> None:
        """Say with which settings it is made; None for those that nobody changed.

        Raises:
            RuntimeError: it is made already.
        """
        if self._made is not None:
            raise RuntimeError("it is in use already; close it first")
        self._settings = settings

    def new(self) -> T:
        """Another one, made in the same way, that whoever asks for it has to close."""
        return self._make(self._settings or Settings())

    def get(self) -> T:
        """The one of the process."""
        if self._made is None:
            self._made = self.new()
        return self._made

    async def aclose(self) -> None:
        """End it, if there is one."""
        made, self._made = self._made, None
        if made is not None:
            await self._end(made)
