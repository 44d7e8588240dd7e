"""Which model answers for an agent, and what it can do."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import cast

from agents.conversation.router import AgentRouter
from infrastructure.config.settings import LaneSettings, Settings
from infrastructure.connection_pool import OllamaConnectionPool
from infrastructure.conversation.models import ABLE_SECONDS, AgentModels
from infrastructure.storage.blobs import MemoryBlobs


@dataclass
class Info:
    capabilities: tuple[str, ...]


@dataclass
class Shows:
    """A pool that is only asked what its models can do."""

    able: dict[str, tuple[str, ...]]
    asked: list[str] = field(default_factory=list[str])

    async def show(self, model: str) -> Info:
        self.asked.append(model)
        return Info(self.able[model])


@dataclass
class Placed:
    """Models over such a pool, with settings and a time that can be changed."""

    shows: Shows
    settings: Settings
    now: float = 0.0

    def models(self) -> AgentModels:
        router = AgentRouter()
        pool = cast("OllamaConnectionPool", self.shows)
        return AgentModels(pool, lambda: self.settings, lambda: router, MemoryBlobs(), clock=lambda: self.now)


def settings(model: str) -> Settings:
    return Settings(model="eyes", lanes={"eyes": LaneSettings(model=model)})


async def test_a_server_is_asked_once_in_a_while_whether_a_model_can_see():
    placed = Placed(Shows({"seer": ("completion", "vision"), "blind": ("completion",)}), settings("seer"))
    models = placed.models()
    assert [await models.sees("ask"), await models.sees("coder"), await models.sees("ask")] == [True, True, True]
    assert placed.shows.asked == ["seer"]
    placed.shows.able["seer"] = ("completion",)  # pulled anew under its name
    placed.now = ABLE_SECONDS - 1
    assert await models.sees("ask")
    placed.now = ABLE_SECONDS
    assert not await models.sees("ask")
    assert placed.shows.asked == ["seer", "seer"]


async def test_other_settings_have_the_server_asked_anew():
    placed = Placed(Shows({"seer": ("vision",), "blind": ("completion",)}), settings("seer"))
    models = placed.models()
    assert await models.sees("ask")
    placed.settings = settings("blind")
    assert not await models.sees("ask")
    placed.settings = settings("seer")
    assert await models.sees("ask")
    assert placed.shows.asked == ["seer", "blind", "seer"]


async def test_what_could_not_be_learned_is_asked_again():
    placed = Placed(Shows({}), settings("seer"))
    models = placed.models()
    for _ in range(2):
        try:
            await models.sees("ask")
        except KeyError:
            continue
        raise AssertionError("it answered")
    placed.shows.able["seer"] = ()
    assert await models.sees("ask"), "a server that says nothing of its models is tried"
    assert placed.shows.asked == ["seer"] * 3
