"""What is checked before a task becomes a run: everything that can be known without asking a model."""

from __future__ import annotations

from dataclasses import dataclass

import aiofiles.os

from infrastructure.config.settings import Settings
from infrastructure.connection_pool import OllamaConnectionPool
from infrastructure.judge.commands import parse_command
from infrastructure.running.errors import TaskRefused
from infrastructure.tasks import TaskSpec
from infrastructure.transport.encoding import is_cloud
from infrastructure.transport.errors import CloudModelRefused
from infrastructure.workflow.lanes import RoleLanes, choose_model
from infrastructure.workflow.standalone import offer_of
from infrastructure.workspace.errors import NotADirectory

SIMULATED_FAMILY = "simulated"


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
    """
    _check_text(spec, settings)
    if not await aiofiles.os.path.isdir(spec.repo):
        raise NotADirectory(spec.repo)
    for test in spec.tests:
        if not await aiofiles.os.path.isfile(test):
            raise TaskRefused(f"there is no test file {test}", "Name an existing file with --tests.")
    if spec.model and is_cloud(settings.lane_of(spec.model).model) and not settings.pool.allow_cloud:
        raise CloudModelRefused(spec.model)
    models = await pool.models()
    simulated = any(model.family == SIMULATED_FAMILY for model in models)
    if not RoleLanes(settings, spec.model).complete:
        spec = spec.model_copy(update={"model": choose_model([offer_of(model) for model in models])})
    return Admitted(spec, simulated)


def _check_text(spec: TaskSpec, settings: Settings) -> None:
    size = len(spec.task.encode("utf-8", "surrogatepass"))
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
