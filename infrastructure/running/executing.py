"""One execution of a run: taken up, driven through the graph, and its outcome written down.

Owns what an execution is made of, and that whatever goes wrong in it becomes its outcome. Which run is executed when,
and who is told, is the engine's.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from langgraph.types import Command
from pydantic import ValidationError

from infrastructure.config.manager import SettingsSource
from infrastructure.connection_pool import OllamaConnectionPool
from infrastructure.events.catalogue import ApprovalAsked, RunCreated, RunStarted
from infrastructure.events.causes import Cause, correlation, led_here
from infrastructure.events.log import UnreadableEvent
from infrastructure.ids import RunId
from infrastructure.pool.errors import NoServerAvailable
from infrastructure.running.admission import is_simulated
from infrastructure.running.driving import GraphInput, drive, has_begun, waits_for
from infrastructure.running.forking import forked
from infrastructure.running.gates import RunGates
from infrastructure.running.learning import NOTHING, Known, known_of, learn
from infrastructure.running.live import LiveRun, StopKind
from infrastructure.running.outcomes import Outcome, Outcomes, RunLog
from infrastructure.running.reading import read_recording
from infrastructure.running.recording import Recording
from infrastructure.running.results import Ending, failed
from infrastructure.running.scopes import ScopeMaker
from infrastructure.running.setups import RunSetup, setup_of
from infrastructure.sandbox import Sandbox
from infrastructure.sessions.hitl import HITLManager
from infrastructure.storage.blobs import Blobs
from infrastructure.storage.calls import CallStore
from infrastructure.storage.control import ControlStore
from infrastructure.storage.directory import DataDirectory
from infrastructure.storage.errors import StorageError
from infrastructure.storage.profiles import Profiles
from infrastructure.storage.recordings import RecordingStore
from infrastructure.storage.runs import RunStore
from infrastructure.workflow.graph import CodegenGraph
from infrastructure.workflow.lanes import RoleLanes
from infrastructure.workflow.models import PoolModels
from infrastructure.workspace.mapping.cache import SqliteTags
from infrastructure.workspace.mapping.mapper import Mapper

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineParts:
    """What the engine works with. `open_sandbox` is called when a run first needs it, and remembers.

    A run has the settings that `config` gives when it comes, to its end.
    """

    config: SettingsSource
    pool: OllamaConnectionPool
    open_sandbox: Callable[[], Awaitable[Sandbox]]
    graph: CodegenGraph
    log: RunLog
    runs: RunStore
    calls: CallStore
    blobs: Blobs
    control: ControlStore
    recordings: RecordingStore
    approvals: HITLManager
    owner: str


class Executor:
    """Executes runs that the engine has in hand."""

    def __init__(self, parts: EngineParts) -> None:
        self._parts = parts
        directory = DataDirectory(parts.config.current.paths.data)
        self._scopes = ScopeMaker(
            data=directory.root,
            log=parts.log,
            calls=parts.calls,
            blobs=parts.blobs,
            recordings=parts.recordings,
            mapper=Mapper(SqliteTags(directory.tags)),
        )
        self._profiles = Profiles(directory.profiles)
        self.outcomes = Outcomes(
            graph=parts.graph, runs=parts.runs, log=parts.log, scopes=self._scopes, gates=RunGates(parts.approvals)
        )

    async def execute(self, live: LiveRun, given: GraphInput) -> Outcome:
        """One execution: to its end, its interruption, or its question. A run's errors end here, as its result."""
        asked = None
        try:
            await self._begin(live)
            asked = await self._drive(live, given)
            ending = Ending()
        except asyncio.CancelledError:
            ending = Ending(status="cancelled")
        except Exception as error:  # noqa: BLE001 - the boundary of a run: whatever it is becomes its result
            ending = failed(error)
        live.ending = True  # nothing stops it from here on
        if asked is not None:
            return await self.outcomes.ask(live.run, asked, live.execution, no_input=live.spec.no_input)
        if ending.status != "cancelled":
            return await self._finish(live, ending)
        if live.stop is StopKind.CANCEL:
            stopped = Ending(status="cancelled", reason=live.reason)
            return await self.outcomes.finish(live.run, stopped, live.execution)
        return await self.outcomes.rest(live.run, live.reason or "interrupted", live.execution)

    async def _finish(self, live: LiveRun, ending: Ending) -> Outcome:
        """End the run, and learn from it; what cannot be learned is no fault of the run's."""
        outcome = await self.outcomes.finish(live.run, ending, live.execution)
        try:
            setup = await self._setup(live.run)
            if outcome.unwritten is None and setup is not None and setup.model_digest and live.spec.fork is None:
                model = live.settings.lane_of(setup.lanes["coder"]).model
                await learn(self._profiles, self._parts.log, live.run, model, setup.model_digest)
        except (StorageError, UnreadableEvent):
            _logger.warning("run %s: nothing could be learned from it", live.run, exc_info=True)
        return outcome

    async def _begin(self, live: LiveRun) -> None:
        """Take the run up, in the table and in the log, and tell of its creation where that is not told yet."""
        parts = self._parts
        live.execution = await parts.runs.begin(live.run, parts.owner)
        if live.execution == 1 and await self.outcomes.created(live.run) is None:
            simulated = is_simulated(await parts.pool.models())
            created = RunCreated(task=live.spec.task, repo=str(live.spec.repo), simulated=simulated)
            await parts.log.append(live.run, 0, created)
        started = await parts.log.append(live.run, live.execution, RunStarted(resumed=live.execution > 1))
        led_here(Cause(correlation(), started))  # to all of this execution, whose task this is
        live.has_begun()

    async def _drive(self, live: LiveRun, given: GraphInput) -> ApprovalAsked | None:
        """Drive the graph; the question the run waits with, or None when it came to its end."""
        parts = self._parts
        lanes = RoleLanes(live.settings, live.spec.model)
        known = await self._known(live, lanes)
        source = PoolModels(parts.pool.with_lanes(live.settings.lanes), lanes)
        if live.sandbox is None:
            live.sandbox = await parts.open_sandbox()
        scope = await self._scopes.make(live.run, live.spec, live.settings, source, live.sandbox, known.measured)
        if live.spec.fork is not None:
            scope = await forked(scope, live.spec.fork, self._read)
        if given is None and not await has_begun(parts.graph, live.run):
            setup = setup_of(live.run, live.spec, live.settings, known)
            await parts.recordings.keep_setup(live.run, setup.model_dump_json())
            given = setup.given(live.run)
        elif given is None:
            given = await self._answered(live.run)
        return await drive(parts.graph, given, scope, parts.log, live.run, live.execution)

    async def _answered(self, run: RunId) -> GraphInput:
        """What a person said to what the run waits with, where its execution ended before it came to that."""
        asked = await waits_for(self._parts.graph, run)
        answer = None if asked is None else await self.outcomes.gates.given(run, asked)
        return None if answer is None else Command(resume=answer)

    async def _known(self, live: LiveRun, lanes: RoleLanes) -> Known:
        """What is known of the coder's model: what was when the run began, or is now where it has not begun."""
        parts = self._parts
        setup = await self._setup(live.run)
        if setup is not None:
            return setup.known
        wanted = live.settings.run.profiles if live.spec.profiles is None else live.spec.profiles
        if not wanted or await has_begun(parts.graph, live.run):
            return NOTHING
        try:
            models = await parts.pool.models()
            return await known_of(self._profiles, models, live.settings.lane_of(lanes.of("coder")).model)
        except (NoServerAvailable, StorageError):
            return NOTHING  # a run needs no profile; what is wrong with the servers it will tell itself

    async def _setup(self, run: RunId) -> RunSetup | None:
        """What the run began with; None where that was not kept, or by another version."""
        text = (await self._parts.recordings.of_run(run)).setup_json
        try:
            return RunSetup.model_validate_json(text) if text else None
        except ValidationError:
            return None

    async def _read(self, run: str) -> Recording:
        """The recording of another run, for one that begins as that did."""
        parts = self._parts
        record = await parts.runs.get(run)
        return await read_recording(
            record,
            calls=parts.calls,
            recordings=parts.recordings,
            blobs=parts.blobs,
            events=parts.log.read,
            tree=self._scopes.trees_of(record.run),
        )
