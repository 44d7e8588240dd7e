"""The registry of agents: the six, and custom ones beside them.

Owns which names there are, and the making of an agent from its profile.
"""

from __future__ import annotations

from collections.abc import Iterable

from agents.conversation.ports import StreamService
from agents.conversation.roster import PROFILES, AgentProfile, AgentType
from agents.conversation.talking import BaseAgent, Briefing, Colleague


class NoSuchAgent(Exception):
    """There is no agent of this name."""

    def __init__(self, name: str, known: Iterable[str]) -> None:
        super().__init__(f"there is no agent {name[:80]!r}")
        self.name = name
        self.hint = f"There are {', '.join(known)}."


class NameTaken(ValueError):
    """Two agents bear one name."""


class AgentRouter:
    """Agents by name. Never changes; other custom agents make another."""

    def __init__(self, custom: Iterable[AgentProfile] = ()) -> None:
        """The six and these.

        Raises:
            NameTaken: a custom agent bears the name of another.
        """
        self._profiles: dict[str, AgentProfile] = {profile.name: profile for profile in PROFILES.values()}
        for profile in custom:
            if profile.name in self._profiles:
                raise NameTaken(f"there is an agent {profile.name!r} already")
            self._profiles[profile.name] = profile

    @property
    def names(self) -> tuple[str, ...]:
        """Of all agents, the six first."""
        return tuple(str(name) for name in self._profiles)

    def __contains__(self, name: object) -> bool:
        return name in self._profiles

    def profile(self, name: str) -> AgentProfile:
        """The agent of this name.

        Raises:
            NoSuchAgent: there is none.
        """
        try:
            return self._profiles[name]
        except KeyError:
            raise NoSuchAgent(name, self.names) from None

    def agent(self, name: AgentType | str, service: StreamService) -> BaseAgent:
        """The agent of this name, over a model.

        Raises:
            NoSuchAgent: there is none.
        """
        profile = self.profile(name)
        others = tuple(
            Colleague(str(each.name), each.about) for each in self._profiles.values() if each.name != profile.name
        )
        return BaseAgent(profile, service, Briefing(agents=others))
