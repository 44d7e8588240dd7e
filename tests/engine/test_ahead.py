"""What an engine does with models before anything is asked: loaded ahead, and told where they take turns."""

from __future__ import annotations

from pathlib import Path

import pytest

from backend.bootstrap import open_application
from infrastructure.config.settings import LaneSettings
from infrastructure.simulator import Simulator, SimulatorSettings
from infrastructure.tasks import TaskSpec
from tests.engine.world import settings_of


def simulator(places: int = 3) -> Simulator:
    return Simulator(SimulatorSettings(time_scale=0, max_loaded_models=places))


@pytest.mark.parametrize(
    ("verb", "preload", "loaded"),
    [
        ("serve", None, {"oracle:latest", "echo:latest"}),
        ("serve", ("echo",), {"echo:latest"}),
        ("run", ("echo",), {"echo:latest"}),
    ],
)
async def test_a_server_loads_the_models_of_its_roles_or_what_the_settings_say(
    tmp_path: Path, verb: str, preload: tuple[str, ...] | None, loaded: set[str]
):
    async with simulator() as gpu:
        settings = settings_of(tmp_path, [gpu])
        pool = settings.pool.model_copy(update={"preload": preload})
        settings = settings.model_copy(update={"roles": {"planner": "echo"}, "pool": pool})
        async with open_application(settings, verb=verb):
            await gpu.truth.until(lambda truth: {load.model for load in truth.loads} == loaded)
        assert {record.model for record in gpu.truth.requests} == loaded


@pytest.mark.parametrize(("verb", "preload"), [("run", None), ("serve", ())])
async def test_otherwise_nothing_is_asked_before_the_first_call(
    tmp_path: Path, verb: str, preload: tuple[str, ...] | None
):
    async with simulator() as gpu:
        settings = settings_of(tmp_path, [gpu])
        settings = settings.model_copy(update={"pool": settings.pool.model_copy(update={"preload": preload})})
        async with open_application(settings, verb=verb) as app:
            await app.pool.models()
        assert not gpu.truth.requests


async def test_a_run_says_once_that_its_models_take_turns(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    (tmp_path / "repo").mkdir()
    async with simulator() as gpu:
        settings = settings_of(tmp_path, [gpu])
        lanes = {"wide": LaneSettings(model="oracle", num_ctx=16384), "usual": LaneSettings(model="oracle")}
        named = {"model": "usual", "roles": {"planner": "wide"}, "lanes": lanes}
        settings = settings.model_copy(update=named)
        async with open_application(settings) as app:
            for _ in range(2):
                run = await app.engine.start(TaskSpec(task="what is this?", repo=tmp_path / "repo"))
                await app.engine.cancel(run)
    assert [message for message in caplog.messages if "take turns" in message] == [
        ("wide has no place of its own in memory beside usual (gpu0): they take turns, and each turn is a load")
    ]
