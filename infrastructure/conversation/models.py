"""The conversation's models over the pool: which lane answers for which agent.

Owns the order: a custom agent's own lane, the setting for its name under `roles`, the common setting, and where nobody
named one the model that a run would take.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from agents.conversation.router import AgentRouter
from agents.fitting import Room
from agents.model import Question
from infrastructure.config.settings import Settings
from infrastructure.connection_pool import OllamaConnectionPool
from infrastructure.conversation.images import VISION, Images
from infrastructure.pool.calls import Call, Watch
from infrastructure.storage.blobs import Blobs
from infrastructure.workflow.lanes import RoleLanes, choose_model
from infrastructure.workflow.models import PoolModels
from infrastructure.workflow.ports import Answered, ModelSource, OnDelta
from infrastructure.workflow.standalone import offer_of

ABLE_SECONDS = 60.0
"""What a server says a model can do is taken for true as long: it may be pulled anew under its name."""


@dataclass(frozen=True, slots=True)
class _Able:
    """What a model can do, and until when (on the clock) that holds."""

    abilities: tuple[str, ...]
    until: float


@dataclass(frozen=True, slots=True)
class AgentLanes(RoleLanes):
    """Agent to lane name."""

    router: AgentRouter

    def of(self, role: str) -> str:
        """The lane of an agent.

        Raises:
            NoModel: nobody named one.
        """
        own = self.router.profile(role).lane if role in self.router else ""
        named = own or self.settings.roles.get(role) or self.settings.model
        return named or RoleLanes(self.settings, self.model).of(role)


class AgentModels(ModelSource):
    """Answers for every agent from a pool of servers.

    Args:
        pool: The servers.
        settings: As they are now.
        router: Which agents there are now.
        blobs: What is in the images that messages name.
        clock: Seconds from any fixed moment.
    """

    def __init__(
        self,
        pool: OllamaConnectionPool,
        settings: Callable[[], Settings],
        router: Callable[[], AgentRouter],
        blobs: Blobs,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._pool = pool
        self._settings = settings
        self._router = router
        self._clock = clock
        self._chosen: str | None = None
        self._able: dict[str, _Able] = {}
        self._able_under: Settings | None = None
        self.images = Images(blobs, self.sees)

    def model_of(self, role: str) -> str:
        """The agent's lane; `room` or `ask` finds it where nobody named one."""
        return self._lanes().of(role)

    async def room(self, role: str) -> Room:
        """As the pool knows it."""
        return await (await self._models(role)).room(role)

    async def ask(self, role: str, question: Question, call: Call, on_delta: OnDelta, watch: Watch) -> Answered:
        """Ask the agent's lane; a stream that breaks is asked once more."""
        question = replace(question, messages=await self.images.shown(question.messages, role))
        return await (await self._models(role)).ask(role, question, call, on_delta, watch)

    async def sees(self, role: str) -> bool:
        """Whether the agent's model takes images, as its server says; one that says nothing of its models is tried.

        A server's word holds for `ABLE_SECONDS`, and as long as the settings are the same.
        """
        lane = (await self._models(role)).model_of(role)
        settings = self._settings()
        known = settings.lanes.get(lane)
        able = await self._abilities(known.model if known else lane, settings)
        return VISION in able or not able

    async def _abilities(self, model: str, settings: Settings) -> Sequence[str]:
        if settings is not self._able_under:  # other servers may be asked
            self._able_under, self._able = settings, {}
        cache, now = self._able, self._clock()
        found = cache.get(model)
        if found is None or now >= found.until:
            shown = await self._pool.show(model)
            found = cache[model] = _Able(tuple(shown.capabilities), now + ABLE_SECONDS)
        return found.abilities

    async def _models(self, role: str) -> PoolModels:
        settings, router = self._settings(), self._router()
        own = router.profile(role).lane if role in router else ""
        if not (own or settings.roles.get(role) or settings.model) and self._chosen is None:
            self._chosen = choose_model([offer_of(model) for model in await self._pool.models()])
        return PoolModels(self._pool, self._lanes())

    def _lanes(self) -> AgentLanes:
        return AgentLanes(self._settings(), self._chosen, self._router())
