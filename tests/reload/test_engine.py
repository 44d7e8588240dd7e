"""Runs and reloads: a run keeps what it began with, the next one has what holds then."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest

from backend.bootstrap import Application, open_application
from infrastructure.config.errors import ConfigError, Problem
from infrastructure.config.load import Loaded
from infrastructure.config.manager import ConfigSource, ConfigurationManager, NotReloaded, Reloaded
from infrastructure.config.settings import LaneSettings, Settings
from infrastructure.events.catalogue import ApprovalAsked, Event
from infrastructure.ids import SYSTEM, RunId
from infrastructure.running.errors import TaskRefused
from infrastructure.running.setups import RunSetup
from infrastructure.tasks import TaskSpec
from infrastructure.transport.errors import ModelNotFound
from tests.engine.world import CODER, TASK, repository, settings_of, simulator


class Source:
    """Settings that a test changes."""

    def __init__(self, folder: Path, settings: Settings) -> None:
        self.settings: Settings | ConfigError = settings
        self.config = ConfigurationManager(Loaded(settings, {}), ConfigSource(folder / "corral.toml", self.read))

    def read(self) -> Loaded:
        if isinstance(self.settings, ConfigError):
            raise self.settings
        return Loaded(self.settings, {})

    async def become(self, **changes: object) -> None:
        assert isinstance(self.settings, Settings)
        self.settings = self.settings.model_copy(update=changes)
        assert isinstance(await self.config.reload(), Reloaded)


@asynccontextmanager
async def opened(source: Source) -> AsyncIterator[Application]:
    async with open_application(source.config.current, config=source.config, verb="serve") as app:
        yield app


async def until(app: Application, run: RunId, kind: str, node: str) -> Event:
    """Follow a run until an event of this kind and step."""
    async for stored in app.engine.follow(run):
        if (stored.event.kind, stored.event.node) == (kind, node):
            return stored.event
    raise AssertionError(f"the run ended without {kind} in {node}")


async def lanes_of(app: Application, run: RunId) -> set[str]:
    """The lanes that a run began with."""
    return {*RunSetup.model_validate_json((await app.recordings.of_run(run)).setup_json).lanes.values()}


async def test_a_run_keeps_its_lanes_and_limits_and_the_next_one_has_those_of_then(tmp_path: Path):
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(simulator(tmp_path))
        settings = settings_of(tmp_path, [server]).model_copy(
            update={"model": "mine", "lanes": {"mine": LaneSettings(model="oracle", num_ctx=16384)}}
        )
        source = Source(tmp_path, settings)
        app = await stack.enter_async_context(opened(source))
        repo = repository(tmp_path / "repo")
        server.hold(CODER)
        run = await app.engine.start(TaskSpec(task=TASK, repo=repo))
        await until(app, run, "call.waiting", "write")

        await source.become(
            model="yours",
            lanes={"yours": LaneSettings(model="oracle", num_ctx=8192)},
            run=settings.run.model_copy(update={"task_bytes": 5}),
        )
        with pytest.raises(TaskRefused, match="at most 5 are taken"):
            await app.engine.start(TaskSpec(task=TASK, repo=repo))
        server.release(CODER)
        assert (await app.engine.result(run)).status == "done"
        assert await lanes_of(app, run) == {"mine"}

        await source.become(run=settings.run)
        other = await app.engine.start(TaskSpec(task=TASK, repo=repo))
        assert (await app.engine.result(other)).status == "done"
        assert await lanes_of(app, other) == {"yours"}
        assert app.settings.model == "yours"


async def test_a_run_goes_on_over_servers_that_are_exchanged(tmp_path: Path):
    async with AsyncExitStack() as stack:
        (tmp_path / "two").mkdir()
        first = await stack.enter_async_context(simulator(tmp_path))
        second = await stack.enter_async_context(simulator(tmp_path / "two"))
        source = Source(tmp_path, settings_of(tmp_path, [first]))
        app = await stack.enter_async_context(opened(source))
        first.hold(CODER)
        run = await app.engine.start(TaskSpec(task=TASK, repo=repository(tmp_path / "repo")))
        await until(app, run, "call.waiting", "write")
        await source.become(servers=settings_of(tmp_path, [second]).servers)
        asked = len(first.truth.requests)
        first.release(CODER)
        assert (await app.engine.result(run)).status == "done"
        assert len(first.truth.requests) == asked
        assert second.truth.requests


async def test_a_run_that_waits_for_a_person_keeps_its_settings_too(tmp_path: Path):
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(simulator(tmp_path))
        settings = settings_of(tmp_path, [server], approve=("plan",))
        source = Source(tmp_path, settings)
        app = await stack.enter_async_context(opened(source))
        run = await app.engine.start(TaskSpec(task=TASK, repo=repository(tmp_path / "repo")))
        asked = await until(app, run, "approval.asked", "approve_plan")
        assert isinstance(asked, ApprovalAsked)
        await source.become(model="no-such-model")
        await app.engine.answer(run, asked.approval, True)
        assert (await app.engine.result(run)).status == "done"
        with pytest.raises(ModelNotFound):
            await app.engine.start(TaskSpec(task=TASK, repo=tmp_path / "repo"))


async def test_the_log_has_what_was_reloaded_and_refused_under_the_name_of_the_system(tmp_path: Path):
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(simulator(tmp_path))
        source = Source(tmp_path, settings_of(tmp_path, [server]))
        app = await stack.enter_async_context(opened(source))
        before = len(await app.log.read(SYSTEM))
        await source.become(model="mine", lanes={"mine": LaneSettings(model="oracle")})
        source.settings = ConfigError(Problem("file corral.toml", "model", "it is wrong"))
        assert isinstance(await source.config.reload(), NotReloaded)
        await app.log.flush(SYSTEM)
        told = [stored.event for stored in (await app.log.read(SYSTEM))[before:]]
        assert [event.model_dump(exclude={"node", "candidate", "round"}) for event in told] == [
            {"kind": "config.reloaded", "changed": ("model", "lanes.mine"), "later": ()},
            {"kind": "config.refused", "problems": ("file corral.toml: model: it is wrong",)},
        ]


async def test_another_sandbox_is_opened_for_runs_that_come_later(tmp_path: Path):
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(simulator(tmp_path))
        settings = settings_of(tmp_path, [server])
        source = Source(
            tmp_path, settings.model_copy(update={"sandbox": settings.sandbox.model_copy(update={"level": "none"})})
        )
        app = await stack.enter_async_context(opened(source))
        first = await app.open_sandbox()
        await source.become(model="other")
        assert await app.open_sandbox() is first
        await source.become(sandbox=settings.sandbox.model_copy(update={"level": "none", "at_once": 1}))
        assert await app.open_sandbox() is not first


async def test_an_application_that_is_closed_is_told_nothing(tmp_path: Path):
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(simulator(tmp_path))
        source = Source(tmp_path, settings_of(tmp_path, [server]))
        async with opened(source):
            await asyncio.sleep(0)
        await source.become(model="other")
