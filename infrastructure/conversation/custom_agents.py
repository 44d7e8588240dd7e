"""Custom agents out of the user's folder: one Markdown file each.

Owns reading the folder. A file that cannot be used is told and passed over; it never stops the start. The workspace is
not looked at: what comes with a cloned repository must not say what agents are told.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path

from agents.conversation.custom import BadAgentFile, read_agent
from agents.conversation.roster import AgentProfile

MOST_FILES = 50
MOST_BYTES = 64 << 10


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
