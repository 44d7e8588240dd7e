"""What is open follows the settings.

Owns what is told to each part when others hold: the pool gets its servers, lanes and limits, the figures the labels of
servers, the log an event. Whatever else needs settings asks for the current ones at each new piece of work.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from infrastructure.config.manager import News, Reloaded
from infrastructure.config.settings import Settings
from infrastructure.connection_pool import OllamaConnectionPool
from infrastructure.events.log import EventLog
from infrastructure.events.reloads import event_of
from infrastructure.ids import SYSTEM


@dataclass(frozen=True, slots=True, kw_only=True)
class Reconfiguring:
    """Takes the news of a `ConfigurationManager`."""

    pool: OllamaConnectionPool
    addresses: dict[str, str]
    """Host and port of each server by its label. Those of servers that are gone stay: calls may still end there."""
    log: EventLog
    verb: str

    def __call__(self, news: News) -> None:
        """Pass it on."""
        if isinstance(news, Reloaded) and news.changed:
            self._take(news.before, news.settings)
        self.log.post(SYSTEM, 0, event_of(news))

    def _take(self, before: Settings, now: Settings) -> None:
        self.addresses.update(addresses_of(now))
        self.pool.reconfigure(now.servers, lanes=now.lanes, settings=now.pool)
        ahead = loaded_ahead(now, self.verb)
        if ahead and (ahead != loaded_ahead(before, self.verb) or now.lanes != before.lanes):
            self.pool.preload(ahead)


def addresses_of(settings: Settings) -> Mapping[str, str]:
    """Host and port of each server, by its label."""
    return {server.label: urlsplit(server.url).netloc for server in settings.servers}


def loaded_ahead(settings: Settings, verb: str) -> tuple[str, ...]:
    """The lanes to load before they are asked. One run's own model may be another than the settings'."""
    if settings.pool.preload is not None:
        return settings.pool.preload
    named = (settings.model, *settings.roles.values()) if verb == "serve" else ()
    return tuple(dict.fromkeys(filter(None, named)))
