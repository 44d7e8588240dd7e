"""What became of a reload of the settings, as an event. Names and problems only: neither shows a secret."""

from __future__ import annotations

from typing import TYPE_CHECKING

from infrastructure.config.manager import NotReloaded
from infrastructure.events.catalogue import ConfigRefused, ConfigReloaded

if TYPE_CHECKING:
    from infrastructure.config.manager import News


def event_of(news: News) -> ConfigReloaded | ConfigRefused:
    """The event that tells the news."""
    if isinstance(news, NotReloaded):
        return ConfigRefused(problems=tuple(map(str, news.problems)))
    return ConfigReloaded(changed=news.changed, later=news.later)
