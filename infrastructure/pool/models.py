"""The models of all servers together.

Owns the questions about models (list, show, pull) and which server is asked.
"""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import TYPE_CHECKING

from infrastructure.pool.errors import NoServerAvailable
from infrastructure.pool.lanes import canonical
from infrastructure.pool.refusal import refusal
from infrastructure.pool.snapshot import PoolModel
from infrastructure.pool.states import Health

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from infrastructure.pool.dispatcher import Dispatcher
    from infrastructure.transport.messages import LocalModel, ModelInfo, PullProgress


class Catalogue:
    """What there is on the servers, asked anew each time; who asks at the same time shares the answer."""

    def __init__(self, dispatcher: Dispatcher) -> None:
        self._pool = dispatcher
        self._shows: dict[tuple[str, str], asyncio.Task[ModelInfo]] = {}

    async def models(self) -> tuple[PoolModel, ...]:
        """All models of all servers that can be reached, by name."""
        self._pool.home.check()
        await self._look(list(self._pool.servers))
        if not self._up():
            raise NoServerAvailable(self._pool.fleet.reasons())
        found: dict[str, list[tuple[str, LocalModel]]] = {}
        for server in self._up():
            for model in self._pool.inventory.holdings(server).models or ():
                found.setdefault(canonical(model.name), []).append((server, model))
        return tuple(self._entry(holders) for _, holders in sorted(found.items()))

    async def show(self, model: str, server: str | None) -> ModelInfo:
        """What a server knows of the model."""
        self._pool.home.check()
        name = self._pool.fleet.named(server) if server is not None else await self._holder(model)
        key = (name, canonical(model))
        task = self._shows.get(key)
        if task is None:
            client = self._pool.inventory.client(name)
            task = self._shows[key] = self._pool.background.start(client.show(model), f"show {model}")
            task.add_done_callback(lambda _: self._shows.pop(key, None))
        return await asyncio.shield(task)

    async def pull(self, model: str, server: str | None) -> AsyncGenerator[PullProgress, None]:
        """Have a server download the model."""
        self._pool.home.check()
        if server is not None:
            name = self._pool.fleet.named(server)
        else:
            await self._look(list(self._pool.servers))
            name = next(iter(self._up()), None)
            if name is None:
                raise NoServerAvailable(self._pool.fleet.reasons(), model)
        async with aclosing(self._pool.inventory.client(name).pull(model)) as progress:
            async for step in progress:
                yield step
        if name in self._pool.servers:  # else it was removed meanwhile
            await self._look([name])

    async def _holder(self, model: str) -> str:
        await self._look(list(self._pool.servers))
        wanted = canonical(model)
        for server in self._up():
            models = self._pool.inventory.holdings(server).models
            if models is None or any(canonical(each.name) == wanted for each in models):
                return server
        raise refusal(model, self._pool.fleet.found())

    async def _look(self, servers: list[str]) -> None:
        looks = [self._pool.inventory.look(server) for server in servers]
        if looks:
            await asyncio.wait(looks)

    def _up(self) -> list[str]:
        states = self._pool.scheduler.servers
        return [name for name in self._pool.servers if states[name].health is Health.UP]

    def _entry(self, holders: list[tuple[str, LocalModel]]) -> PoolModel:
        model = holders[0][1]
        wanted = canonical(model.name)
        labels = {server: self._pool.servers[server].label for server, _ in holders}
        return PoolModel(
            name=model.name,
            size=model.size,
            family=model.family,
            parameter_size=model.parameter_size,
            quantization=model.quantization,
            capabilities=model.capabilities,
            servers=tuple(labels.values()),
            loaded_on=tuple(
                label
                for server, label in labels.items()
                if any(canonical(each.name) == wanted for each in self._pool.inventory.holdings(server).loaded)
            ),
            remote_host=model.remote_host,
            digests=tuple(dict.fromkeys(held.digest for _, held in holders)),
        )
