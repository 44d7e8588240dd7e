"""Which lane answers for a role.

Owns the order: the task's own model, the role's setting, the common setting; and the pure choice of a model where
nobody named one: the loaded one, else the largest, of those that complete text; of simulated models the oracle.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from agents.codegen import ROLES
from infrastructure.config.settings import Settings

ROLE_NAMES = frozenset(role.name for role in ROLES)
SIMULATED_FAMILY = "simulated"
"""What a simulated server says its models belong to."""
ORACLE = "oracle"
"""The one of them that can solve a task; the others echo, or say random words."""


@dataclass(frozen=True, slots=True)
class Offer:
    """A model that a server has: `size` in bytes, `completes` False for one that only embeds."""

    name: str
    size: int
    loaded: bool
    completes: bool = True
    simulated: bool = False
    """Whether a simulated server has it."""


class NoModel(Exception):
    """No server has a model that completes text, and none was named."""

    hint = "Get one with `ollama pull qwen2.5-coder:7b`, or name one with --model."

    def __str__(self) -> str:
        return "no server has a model that completes text"


def choose_model(offers: Sequence[Offer]) -> str:
    """The loaded model, else the largest; ties by name, so that the choice is the same each time.

    A simulated model is taken only where there are no others, and then the oracle.

    Raises:
        NoModel: there is none.
    """
    usable = [offer for offer in offers if offer.completes]
    if not usable:
        raise NoModel
    real = [offer for offer in usable if not offer.simulated]
    usable = real or [offer for offer in usable if offer.name.partition(":")[0] == ORACLE] or usable
    return min(usable, key=lambda offer: (not offer.loaded, -offer.size, offer.name)).name


@dataclass(frozen=True, slots=True)
class RoleLanes:
    """Role to lane name."""

    settings: Settings
    model: str | None

    def of(self, role: str) -> str:
        """The lane of a role.

        Raises:
            NoModel: nobody named one.
        """
        lane = self.model or self.settings.roles.get(role) or self.settings.model
        if not lane:
            raise NoModel
        return lane

    @property
    def complete(self) -> bool:
        """Whether every role has a lane without choosing one."""
        return bool(self.model or self.settings.model) or self.settings.roles.keys() >= ROLE_NAMES
