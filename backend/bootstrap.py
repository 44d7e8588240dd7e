"""The application: every concrete part named, opened in order, closed in reverse.

Owns the wiring. The server, each command, the worker and the tests all enter `open_application`; this is the only file
that names concrete parts.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version

from backend.cleaning import Cleaner
from backend.reconfiguring import Reconfiguring, addresses_of, loaded_ahead
from backend.store import Store
from infrastructure.checkpoints import CheckpointStore, open_checkpointer
from infrastructure.config.manager import ConfigurationManager, SettingsSource
from infrastructure.config.settings import Settings
from infrastructure.connection_pool import OllamaConnectionPool
from infrastructure.conversation.keeping import KeptSessions
from infrastructure.conversation.opening import Foundation, open_conversations
from infrastructure.conversation.orchestrator import HEARD, MultiAgentOrchestrator
from infrastructure.conversation.people import AskedPeople
from infrastructure.conversation.undoing import Undoing
from infrastructure.engine import EngineParts, TaskOrchestrator
from infrastructure.events.audit import AUDITED, Audit
from infrastructure.events.bus import EventBus
from infrastructure.events.causes import Cause, correlation, led_here
from infrastructure.events.log import EventLog, SqliteEventLog
from infrastructure.events.system import SystemEvents
from infrastructure.ids import new_id
from infrastructure.sandbox import Level, Sandbox, open_sandbox
from infrastructure.sessions.contexts import AsyncAgentContextManager
from infrastructure.sessions.hitl import HITLManager
from infrastructure.sessions.manager import AsyncSessionManager
from infrastructure.storage.blobs import BlobStore
from infrastructure.storage.calls import CallStore
from infrastructure.storage.control import ControlStore
from infrastructure.storage.database import Database
from infrastructure.storage.directory import DataDirectory
from infrastructure.storage.errors import StorageError
from infrastructure.storage.lock import EngineLock, Holder
from infrastructure.storage.recordings import RecordingStore
from infrastructure.storage.runs import RunStore
from infrastructure.storage.writes import WriteStore
from infrastructure.telemetry import names
from infrastructure.telemetry.calls import CallMetrics
from infrastructure.telemetry.events import EventMetrics
from infrastructure.telemetry.exporting import Exporting, open_exporting
from infrastructure.telemetry.figures import Figures
from infrastructure.telemetry.gauges import Gauges
from infrastructure.telemetry.loop import LoopWatch
from infrastructure.tools.containing import Containment
from infrastructure.tools.journal import WriteJournal
from infrastructure.tools.local import local_tools
from infrastructure.tools.mcp import McpServers
from infrastructure.workflow.graph import compile_codegen_graph
from infrastructure.workflow.values import STORED_TYPES

OpenSandbox = Callable[[], Awaitable[Sandbox]]
TALKING = ("serve", "chat")
"""Verbs that go on with the turns of sessions which a killed process left; others leave them as they are."""

TURN_SECONDS = 0.0002
"""How long a thread that is ready waits for the interpreter's lock before it demands it; Python's own is 5 ms."""

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Application:
    """Everything that is open."""

    config: ConfigurationManager
    directory: DataDirectory
    pool: OllamaConnectionPool
    engine: TaskOrchestrator
    log: EventLog
    bus: EventBus
    """Hands on what the log has committed; subscribe before the engine is entered."""
    runs: RunStore
    calls: CallStore
    blobs: BlobStore
    control: ControlStore
    recordings: RecordingStore
    sessions: AsyncSessionManager
    agent_contexts: AsyncAgentContextManager
    conversations: MultiAgentOrchestrator
    undoing: Undoing
    """What sessions wrote, and how it is taken back."""
    approvals: HITLManager
    checkpoints: CheckpointStore
    cleaner: Cleaner
    open_sandbox: OpenSandbox
    figures: Figures
    """What is measured, all of it."""
    exporting: Exporting | None
    """The way to a collector, where the settings name one."""
    lock: EngineLock
    epoch: str
    """Which engine this is, of those that have held the data directory: when it took the lock."""

    @property
    def settings(self) -> Settings:
        """Those that hold now: other ones may hold for the next piece of work."""
        return self.config.current

    async def announce(self, address: str) -> None:
        """Say in the engine's lock where this application listens; an empty address takes that back."""
        await asyncio.to_thread(self.lock.announce, address)


@asynccontextmanager
async def open_application(
    settings: Settings,
    *,
    verb: str = "run",
    on_wait: Callable[[Holder | None], None] = lambda holder: None,
    lock: EngineLock | None = None,
    pool: OllamaConnectionPool | None = None,
    sandbox: OpenSandbox | None = None,
    config: ConfigurationManager | None = None,
) -> AsyncGenerator[Application]:
    """Open the whole application on the settings' data directory.

    Args:
        settings: All of them.
        verb: What the person ran, for others who wait for the lock.
        on_wait: Told who holds the lock, before this waits for it.
        lock: The engine's lock, where the caller holds it already; it is let go at the end.
        pool: Instead of one made from the settings; it is closed here all the same.
        sandbox: Instead of the one the settings choose.
        config: Whose settings these are, where they may change while this is open.

    Raises:
        StorageError: the data directory cannot be used.
    """
    config = config or ConfigurationManager.fixed(settings)
    if not correlation():
        led_here(Cause(new_id()))  # a command is what began all that it does, but for what it does for others
    directory = DataDirectory(settings.paths.data)
    await asyncio.to_thread(directory.prepare)
    async with AsyncExitStack() as stack:
        lock = stack.enter_context(lock or EngineLock(directory.lock, verb=verb))
        await lock.wait(on_wait=on_wait)
        settings = config.current  # others may hold by now
        stack.enter_context(_quick_turns())
        database = await stack.enter_async_context(Database(directory.database))
        asyncio.get_running_loop().set_debug(settings.debug.asyncio or asyncio.get_running_loop().get_debug())
        loop_watch = await stack.enter_async_context(LoopWatch())
        release, addresses = await asyncio.to_thread(_version), {**addresses_of(settings)}
        exporting = await stack.enter_async_context(
            open_exporting(settings.telemetry, version=release, addresses=addresses)
        )
        log = SqliteEventLog(database)
        stack.push_async_callback(log.aclose)
        bus = await stack.enter_async_context(EventBus(log))
        event_metrics = await _subscribe(bus, log, database)
        if exporting is not None:
            bus.subscribe("telemetry", exporting.hear, kinds=exporting.kinds)
        system = SystemEvents(log)
        await system.started(release, verb)
        stack.push_async_exit(system.left)
        checkpoints = await stack.enter_async_context(open_checkpointer(directory.checkpoints, STORED_TYPES))
        runs, calls, blobs = RunStore(database), CallStore(database), BlobStore(directory.blobs)
        approvals = await stack.enter_async_context(
            HITLManager(database, log, patience=lambda: config.current.conversation.patience)
        )
        control, recordings = ControlStore(directory.control), RecordingStore(database)
        sessions = await stack.enter_async_context(AsyncSessionManager(database, log, settings.sessions))
        agent_contexts = AsyncAgentContextManager(sessions, database, log, bus)
        pool = await stack.enter_async_context(
            pool or OllamaConnectionPool(settings.servers, lanes=settings.lanes, settings=settings.pool)
        )
        call_metrics = CallMetrics(addresses)
        pool.observe(call_metrics)
        pool.observe_servers(system)
        gauges = Gauges()
        gauges.add(names.SESSIONS, lambda: len(sessions))
        following = Reconfiguring(pool=pool, addresses=addresses, log=log, verb=verb)
        stack.callback(config.subscribe(following))
        opener = sandbox or sandbox_opener(config)
        parts = EngineParts(
            config=config,
            pool=pool,
            open_sandbox=opener,
            graph=compile_codegen_graph(checkpointer=checkpoints),
            log=log,
            runs=runs,
            calls=calls,
            blobs=blobs,
            control=control,
            recordings=recordings,
            approvals=approvals,
            owner=f"{socket.gethostname()}:{os.getpid()}",
        )
        engine = await stack.enter_async_context(TaskOrchestrator(parts))
        servers = await stack.enter_async_context(McpServers(settings.tools.mcp))
        writes = WriteStore(database)
        journal = WriteJournal(writes, blobs)
        bus.subscribe("journal", journal.hear, kinds=("session.deleted",))
        foundation = Foundation(
            settings=lambda: config.current,
            include=config.include,
            pool=pool,
            database=database,
            log=log,
            sessions=sessions,
            contexts=agent_contexts,
            approvals=AskedPeople(approvals, Containment(opener)),
            journal=journal,
            blobs=blobs,
            open_sandbox=opener,
            tools=local_tools(),
            outside_tools=servers.tools,
        )
        conversations = await stack.enter_async_context(open_conversations(foundation, recover=verb in TALKING))
        bus.subscribe("conversations", conversations.hear, kinds=HEARD)
        figures = Figures(
            pool=pool,
            runs=runs,
            approvals=approvals,
            bus=bus,
            calls=call_metrics,
            events=event_metrics,
            loop=loop_watch,
            gauges=gauges,
            exporting=exporting,
        )
        if exporting is not None:
            await stack.enter_async_context(exporting.measuring(figures.families))
        if ahead := loaded_ahead(settings, verb):
            pool.preload(ahead)
        yield Application(
            config=config,
            directory=directory,
            pool=pool,
            engine=engine,
            log=log,
            bus=bus,
            runs=runs,
            calls=calls,
            blobs=blobs,
            control=control,
            recordings=recordings,
            sessions=sessions,
            agent_contexts=agent_contexts,
            conversations=conversations,
            undoing=Undoing(conversations, journal, KeptSessions(sessions, agent_contexts)),
            approvals=approvals,
            checkpoints=checkpoints,
            cleaner=Cleaner(
                Store(
                    directory=directory,
                    database=database,
                    log=log,
                    runs=runs,
                    calls=calls,
                    blobs=blobs,
                    recordings=recordings,
                    writes=writes,
                    checkpoints=checkpoints,
                )
            ),
            open_sandbox=opener,
            figures=figures,
            exporting=exporting,
            lock=lock,
            epoch=lock.epoch,
        )


async def _subscribe(bus: EventBus, log: SqliteEventLog, database: Database) -> EventMetrics:
    """Let metrics and the audit hear of everything from now on; the audit first takes over what a kill kept from it."""
    metrics, audit = EventMetrics(), Audit(database)
    try:
        await audit.catch_up()
    except StorageError as error:
        _logger.warning("the audit is taken up at the next start: %s", error)
    bus.subscribe("metrics", metrics.hear)
    bus.subscribe("audit", audit.hear, kinds=AUDITED)
    log.observe(metrics.committed)
    log.observe(bus.publish)
    return metrics


def _version() -> str:
    try:
        return version("corral")
    except PackageNotFoundError:
        return "0+unknown"


def sandbox_opener(config: SettingsSource) -> OpenSandbox:
    """The sandbox is chosen and checked when a run first needs it, and again when the settings choose another."""
    opened: dict[tuple[object, ...], Sandbox] = {}

    async def opener() -> Sandbox:
        wanted = config.current.sandbox
        choice = wanted.level, wanted.at_once, wanted.read
        if choice not in opened:
            level = "auto" if wanted.level == "auto" else Level(wanted.level)
            found = await open_sandbox(level, at_once=wanted.at_once, extra_read=wanted.read)
            opened.clear()  # runs that have the last one keep it
            opened[choice] = found
        return opened[choice]

    return opener


@contextmanager
def _quick_turns() -> Generator[None]:
    """Let threads take turns sooner.

    A thread of the database gives the interpreter's lock back at every statement, and wants it again: behind a busy
    event loop it waits for a whole turn each time.
    """
    before = sys.getswitchinterval()
    sys.setswitchinterval(min(before, TURN_SECONDS))
    try:
        yield
    finally:
        sys.setswitchinterval(before)
