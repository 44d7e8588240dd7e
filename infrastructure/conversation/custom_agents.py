"""Custom agents out of the user's folder: one Markdown file each.

Owns reading the folder. A file that cannot be used is told and passed over; it never stops the start. The workspace is
not looked at: what comes with a cloned repository must not say what agents are told.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from agents.conversation.custom import BadAgentFile, read_agent
from agents.conversation.roster import AgentProfile
from agents.conversation.router import AgentRouter
from infrastructure.config.settings import Settings

MOST_FILES = 50
MOST_BYTES = 64 << 10

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class CustomAgents:
    """What a folder holds: agents, and of each file that is passed over why."""

    profiles: tuple[AgentProfile, ...] = ()
    problems: tuple[str, ...] = ()


def agents_folder(config: Path) -> Path:
    """Where custom agents are: beside the settings file."""
    return config.parent / "agents"


async def read_agents(folder: Path) -> CustomAgents:
    """The agents of a folder, by the names of their files; none where there is no folder."""
    return await asyncio.to_thread(_read_folder, folder)


def _read_folder(folder: Path) -> CustomAgents:
    try:
        files = sorted(path for path in folder.iterdir() if path.suffix == ".md")
    except (FileNotFoundError, NotADirectoryError):
        return CustomAgents()
    except OSError as error:
        return CustomAgents(problems=(f"{folder}: {error.strerror or error}",))
    found: dict[str, AgentProfile] = {}
    problems = [f"{path}: passed over, there are more than {MOST_FILES} files" for path in files[MOST_FILES:]]
    for path in files[:MOST_FILES]:
        try:
            profile = _read(path)
            if profile.name in found:
                raise BadAgentFile(f"there is an agent {profile.name!r} already, in another file: give another name")
            found[profile.name] = profile
        except BadAgentFile as error:
            problems.append(f"{path}: {error}")
        except OSError as error:
            problems.append(f"{path}: {error.strerror or error}")
    return CustomAgents(tuple(found.values()), tuple(problems))


def _read(path: Path) -> AgentProfile:
    with path.open("rb") as file:
        content = file.read(MOST_BYTES + 1)
    if len(content) > MOST_BYTES:
        raise BadAgentFile(f"it is longer than {MOST_BYTES:,} bytes: shorten it")
    try:
        return read_agent(content.decode("utf-8-sig"))
    except UnicodeDecodeError:
        raise BadAgentFile("it is not UTF-8: save it as UTF-8") from None


@dataclass(frozen=True, slots=True)
class ReadAgents:
    """Agents that were read again, and are not used yet; see `infrastructure.config.manager.Prepared`."""

    files: AgentFiles
    found: CustomAgents

    @property
    def changed(self) -> tuple[str, ...]:
        """`agents.NAME` of each that is new, gone or different."""
        before, now = ({each.name: each for each in some} for some in (self.files.used, self.found.profiles))
        return tuple(f"agents.{name}" for name in sorted({*before, *now}) if before.get(name) != now.get(name))

    def apply(self) -> None:
        """Use them for turns that begin from here on."""
        self.files.use(self.found)


class AgentFiles:
    """The folder beside the settings file, read again with it; see `infrastructure.config.manager.Companion`."""

    def __init__(self, config: Path, use: Callable[[AgentRouter], None], used: Sequence[AgentProfile]) -> None:
        """What is watched.

        Args:
            config: The settings file.
            use: Takes the registry with other custom agents.
            used: Those of now.
        """
        self._folder, self._use = agents_folder(config), use
        self.used = tuple(used)

    @property
    def places(self) -> tuple[Path, ...]:
        """The folder."""
        return (self._folder,)

    def read(self, settings: Settings) -> ReadAgents:
        """Read them all. Blocking. A file that cannot be used is passed over, as it is at the start."""
        del settings
        return ReadAgents(self, _read_folder(self._folder))

    def use(self, found: CustomAgents) -> None:
        """Have these from now on, and tell which files are passed over."""
        told(found)
        self.used = found.profiles
        self._use(AgentRouter(found.profiles))


def told(found: CustomAgents) -> None:
    """Say in the log which files are passed over, and why."""
    for problem in found.problems:
        _logger.warning("a custom agent is left out: %s", problem)
