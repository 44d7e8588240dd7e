"""The settings while Corral goes on: one snapshot, exchanged for another one as a whole.

Owns which settings hold now, the reload, and that a file which cannot be used changes nothing. Whoever holds settings
for long asks `current` for each new piece of work, and keeps what it was given until that is done.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Protocol, TypeAlias

from infrastructure.config.changes import changed_names
from infrastructure.config.errors import ConfigError, Problem
from infrastructure.config.holding import KEPT_SECTIONS, wants_new_start
from infrastructure.config.load import Loaded
from infrastructure.config.settings import Settings
from infrastructure.config.watching import Stamps, changed, stamps_of

_log = logging.getLogger(__name__)


class SettingsSource(Protocol):
    """Where the settings of now are."""

    @property
    def current(self) -> Settings:
        """They do not change; the next piece of work may find others here."""
        ...


class Prepared(Protocol):
    """What a companion has read, and does not use yet."""

    @property
    def changed(self) -> tuple[str, ...]:
        """Names of what is different, as events tell them."""
        ...

    def apply(self) -> None:
        """Use it from now on. Never fails."""
        ...


class Companion(Protocol):
    """Files beside the settings that are read and exchanged together with them, such as those of agents."""

    @property
    def places(self) -> Sequence[Path]:
        """Files, and folders whose files count, that are watched with the settings' own."""
        ...

    def read(self, settings: Settings) -> Prepared:
        """Read them all, in a thread; nothing is used before `apply`.

        Raises:
            ConfigError: one cannot be used; then neither they nor the settings are exchanged.
        """
        ...


@dataclass(frozen=True, slots=True)
class Reloaded:
    """Other settings hold from now on; both are whole snapshots."""

    before: Settings
    settings: Settings
    changed: tuple[str, ...]
    """Dotted names; empty where a file that could not be used says again what holds."""
    later: tuple[str, ...] = ()
    """Those of them that want a new start: `settings` has them as they were."""

    def __str__(self) -> str:
        now = [name for name in self.changed if name not in self.later]
        said = [f"settings reloaded: {', '.join(now)}"] if now else []
        if self.later:
            verb = "wants" if len(self.later) == 1 else "want"
            said.append(f"{', '.join(self.later)} {verb} a new start")
        return "; ".join(said) or "settings read: they are what holds already"


@dataclass(frozen=True, slots=True)
class NotReloaded:
    """The settings cannot be used; those before stay."""

    problems: tuple[Problem, ...]

    def __str__(self) -> str:
        return f"settings not reloaded, those before stay: {'; '.join(map(str, self.problems))}"


News: TypeAlias = Reloaded | NotReloaded


class Fixed(Exception):
    """The settings of this command do not change while it runs."""

    hint = "`corral serve` reads its settings again; another command takes them at its start."


@dataclass(frozen=True, slots=True)
class ConfigSource:
    """Where settings are read again from: `file` is watched, and `read` reads it with everything that goes before it.

    `read` blocks, and raises ConfigError.
    """

    file: Path
    read: Callable[[], Loaded]


@dataclass(frozen=True, slots=True)
class _Found:
    """What one reading found."""

    stamps: Stamps
    loaded: Loaded
    prepared: tuple[Prepared, ...] = ()
    problems: tuple[Problem, ...] = ()


class ConfigurationManager:
    """Loads, watches, validates and exchanges the settings of one process. Belongs to one event loop."""

    def __init__(self, loaded: Loaded, source: ConfigSource | None = None, stamps: Stamps | None = None) -> None:
        """A manager; see `begin` and `fixed`.

        Args:
            loaded: The settings of now, and where each comes from.
            source: Where they are read again from; without one they are fixed.
            stamps: What the source's file looked like before `loaded` was read from it.
        """
        self._loaded = loaded
        self._current = loaded.settings
        self._source = source
        self._stamps: Stamps = stamps or {}
        self._was_there = source is not None and bool(self._stamps.get(source.file))
        self._problems: tuple[Problem, ...] = ()
        self._subscribers: list[Callable[[News], None]] = []
        self._companions: list[Companion] = []
        self._turn = asyncio.Lock()
        self.watched = False
        """Whether a change of the files is noticed."""

    @classmethod
    def begin(cls, source: ConfigSource) -> ConfigurationManager:
        """Read the settings; blocks.

        Raises:
            ConfigError: they cannot be used.
        """
        stamps = stamps_of([source.file])
        return cls(source.read(), source, stamps)

    @classmethod
    def fixed(cls, settings: Settings) -> ConfigurationManager:
        """Settings that stay as they are."""
        return cls(Loaded(settings, MappingProxyType({})))

    # ------------------------------------------------------------------------------------------ what holds
    @property
    def current(self) -> Settings:
        """The settings for a new piece of work."""
        return self._current

    @property
    def origins(self) -> Mapping[str, str]:
        """Where each setting comes from, as they were read last; empty where nobody knows."""
        return self._loaded.origins

    @property
    def file(self) -> Path | None:
        """The settings file; None where they are fixed."""
        return None if self._source is None else self._source.file

    @property
    def problems(self) -> tuple[Problem, ...]:
        """Why the files, as they were read last, cannot be used; empty where they hold."""
        return self._problems

    @property
    def waiting(self) -> tuple[str, ...]:
        """The names of settings that the file has otherwise, and that want a new start."""
        return changed_names(self._current, self._loaded.settings)

    # ------------------------------------------------------------------------------------------ who is told
    def subscribe(self, callback: Callable[[News], None]) -> Callable[[], None]:
        """Tell this one of every reload and refusal, at once and in the order of subscribing; what is returned ends it.

        It does not wait, and keeps to values: what it raises is logged, and the others are told all the same.
        """
        self._subscribers.append(callback)
        return lambda: self._subscribers.remove(callback)

    async def include(self, companion: Companion) -> None:
        """Read and watch these files with the settings from now on. They count as known as they are now."""
        stamps = await asyncio.to_thread(lambda: stamps_of(companion.places))
        self._companions.append(companion)
        self._stamps |= stamps

    # ------------------------------------------------------------------------------------------ reloading
    async def reload(self) -> News:
        """Read everything again, and exchange it where it can be used. Reloads that come together take turns.

        Returns:
            What came of it. Where nothing is different, a `Reloaded` without changes, of which nobody is told.

        Raises:
            Fixed: there is nothing to read again.
        """
        if self._source is None:
            raise Fixed("the settings of this command are fixed while it runs")
        async with self._turn:
            found = await asyncio.to_thread(self._read, self._source)
            self._stamps = found.stamps
            news = self._refused(found) if found.problems else self._exchanged(found, self._source)
            if isinstance(news, NotReloaded) or news.changed or self._problems:
                self._problems = found.problems
                self._tell(news)
            return news

    async def watch(self, *, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep) -> None:
        """Reload whenever the files have changed, until cancelled.

        Raises:
            Fixed: there is nothing to watch.
        """
        if self._source is None:
            raise Fixed("the settings of this command are fixed while it runs")
        while True:
            self._stamps = await changed(self._places, lambda: self._stamps, sleep=sleep)
            try:
                await self.reload()
            except Exception:  # noqa: BLE001 - a defect of ours must not be the end of the watch
                _log.exception("the settings could not be read again")

    @asynccontextmanager
    async def watching(self) -> AsyncGenerator[None]:
        """Watch for as long as this is open."""
        task = asyncio.get_running_loop().create_task(self.watch(), name="watch the settings")
        self.watched = True
        try:
            yield
        finally:
            self.watched = False
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    # ------------------------------------------------------------------------------------------ pieces
    def _places(self) -> list[Path]:
        own = [] if self._source is None else [self._source.file]
        return [*own, *(place for companion in self._companions for place in companion.places)]

    def _read(self, source: ConfigSource) -> _Found:
        """Everything, in a thread. What the files look like is noted first: a later change is one to be seen."""
        stamps = stamps_of(self._places())
        try:
            if self._was_there and not stamps[source.file]:
                told = "it is gone; an empty file means the defaults"
                raise ConfigError(Problem(f"file {source.file}", "", told))
            loaded = source.read()
            if unusable := unusable_files(loaded):
                raise ConfigError(*unusable)
        except ConfigError as error:
            return _Found(stamps, self._loaded, problems=error.problems)
        prepared: list[Prepared] = []
        problems: list[Problem] = []
        for companion in self._companions:
            try:
                prepared.append(companion.read(loaded.settings))
            except ConfigError as error:
                problems += error.problems
        return _Found(stamps, loaded, tuple(prepared), tuple(problems))

    def _refused(self, found: _Found) -> NotReloaded:
        _log.info("settings not reloaded: %s", "; ".join(map(str, found.problems)))
        return NotReloaded(found.problems)

    def _exchanged(self, found: _Found, source: ConfigSource) -> Reloaded:
        """The one place where the snapshot changes, in one step for everybody in this loop."""
        before, known, wanted = self._current, self._loaded.settings, found.loaded.settings
        kept = {section: getattr(before, section) for section in KEPT_SECTIONS}
        self._loaded, self._current = found.loaded, wanted.model_copy(update=kept)
        self._was_there = bool(found.stamps[source.file])
        names = list(changed_names(known, wanted))
        for each in found.prepared:
            names += each.changed
            each.apply()
        later = tuple(name for name in names if name in self.waiting and wants_new_start(name))
        return Reloaded(before, self._current, tuple(names), later)

    def _tell(self, news: News) -> None:
        for callback in tuple(self._subscribers):
            try:
                callback(news)
            except Exception:  # noqa: BLE001 - one part's fault is no other's
                _log.exception("a part could not take the news: %s", news)


def unusable_files(loaded: Loaded) -> list[Problem]:
    """What would fail only when it is needed, and need not: the files of certificate authorities."""
    found: list[Problem] = []
    for number, server in enumerate(loaded.settings.servers):
        if server.ca_file is None:
            continue
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cafile=server.ca_file)
        except (OSError, ssl.SSLError) as error:
            origin = loaded.origins.get("servers", "")
            said = f"{server.ca_file} cannot be read ({error.strerror or error})"
            found.append(Problem(origin, f"servers[{number}].ca_file", said, "the path of a PEM file"))
    return found
