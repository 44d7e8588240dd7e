"""What is checked before a task becomes a run: everything that can be known without asking a model."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import aiofiles.os

from infrastructure.config.settings import Settings
from infrastructure.connection_pool import OllamaConnectionPool
from infrastructure.judge.commands import parse_command
from infrastructure.pool.lanes import canonical
from infrastructure.pool.snapshot import PoolModel
from infrastructure.running.errors import TaskRefused
from infrastructure.running.naming import check_names
from infrastructure.tasks import TaskSpec
from infrastructure.transport.encoding import is_cloud
from infrastructure.transport.errors import CloudModelRefused
from infrastructure.workflow.lanes import SIMULATED_FAMILY, RoleLanes, choose_model
from infrastructure.workflow.standalone import offer_of
from infrastructure.workspace.errors import NotADirectory


@dataclass(frozen=True, slots=True)
class Admitted:
    """A task that can be begun, its model filled in; `simulated` is to be said wherever a person looks."""

    spec: TaskSpec
    simulated: bool


async def admit(spec: TaskSpec, settings: Settings, pool: OllamaConnectionPool) -> Admitted:
    """Check a task, and choose a model where nobody named one.

    Raises:
        TaskRefused: the task, a test file or the test command cannot be used.
        NotADirectory: there is no such folder.
        CloudModelRefused: the model runs elsewhere.
        NoServerAvailable, NoModel: no server can be reached, or none has a model to choose.
        ModelNotFound: no server has the model of a role, so that the run could only end as an error.
    """
    check_names(spec)
    _check_text(spec, settings)
    if spec.fork is None:  # a fork takes its files from the other run
        await _check_files(spec)
    _refuse_cloud(spec, settings)
    models = await pool.models()
    if not RoleLanes(settings, spec.model).complete:
        if settings.roles:
            raise TaskRefused(
                f"`roles` names a model for {', '.join(sorted(settings.roles))}, and nothing names one for the others",
                "Name it: corral config set model NAME.",
            )
        spec = spec.model_copy(update={"model": choose_model([offer_of(model) for model in models])})
    held = {canonical(model.name) for model in models}
    for lane in _lanes(spec, settings):
        if canonical(settings.lane_of(lane).model) not in held:
            await pool.show(lane)  # the pool knows why, and says so
    pool.plan(_lanes(spec, settings))  # says which of them have to take turns in memory
    return Admitted(spec, is_simulated(models))


async def _check_files(spec: TaskSpec) -> None:
    if not await aiofiles.os.path.isdir(spec.repo):
        raise NotADirectory(spec.repo)
    for test in spec.tests:
        if not await aiofiles.os.path.isfile(test):
            raise TaskRefused(f"there is no test file {test}", "Name an existing file with --tests.")


def is_simulated(models: Iterable[PoolModel]) -> bool:
    """Whether the servers only play at being some; that is to be said wherever a person looks."""
    return any(model.family == SIMULATED_FAMILY for model in models)


def _lanes(spec: TaskSpec, settings: Settings) -> list[str]:
    """The lanes that the roles of this task ask, each once."""
    named = [spec.model] if spec.model else [settings.model, *settings.roles.values()]
    return [lane for lane in dict.fromkeys(named) if lane]


def _refuse_cloud(spec: TaskSpec, settings: Settings) -> None:
    for lane in _lanes(spec, settings):
        if is_cloud(settings.lane_of(lane).model) and not settings.pool.allow_cloud:
            raise CloudModelRefused(lane)


def _check_text(spec: TaskSpec, settings: Settings) -> None:
    size = len(spec.task.encode())
    if not spec.task.strip():
        raise TaskRefused("the task is empty", 'Say what is to be done: corral run "add --json to this CLI".')
    if size > settings.run.task_bytes:
        raise TaskRefused(
            f"the task is {size:,} bytes long; at most {settings.run.task_bytes:,} are taken",
            "Shorten it, put the material into a file of the repository, or raise run.task_bytes.",
        )
    if spec.test_command is not None:
        try:
            parse_command(spec.test_command)
        except ValueError as error:
            raise TaskRefused(f"the test command cannot be read: {error}", "Quote it as for a shell.") from error
