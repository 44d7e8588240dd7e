"""The program itself: what belongs to no run and no session."""

from __future__ import annotations

from typing import Literal

from infrastructure.events.catalogue.base import Event


class SystemStarted(Event):
    """An engine took the data directory."""

    kind: Literal["system.started"] = "system.started"
    version: str
    verb: str


class SystemStopped(Event):
    """It let go of it in order; a killed one says nothing."""

    kind: Literal["system.stopped"] = "system.stopped"
    reason: str = ""


class ConfigReloaded(Event):
    """Other settings hold from here on; `changed` are their dotted names."""

    kind: Literal["config.reloaded"] = "config.reloaded"
    changed: tuple[str, ...]
    later: tuple[str, ...] = ()
    """Those of them that want a new start."""


class ConfigRefused(Event):
    """The settings file changed and cannot be used; those before stay."""

    kind: Literal["config.refused"] = "config.refused"
    problems: tuple[str, ...]


class ServerEjected(Event):
    """A server gets no more calls."""

    kind: Literal["server.ejected"] = "server.ejected"
    server: str
    reason: str


class ServerReturned(Event):
    """It gets calls again."""

    kind: Literal["server.returned"] = "server.returned"
    server: str
