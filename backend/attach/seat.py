"""A command's seat at the engine: it holds the engine, or is a guest, and may come to hold it when the holder goes.

Owns that change, and the same face in both places. Events and results are read from the data directory, which outlives
every holder, so a watcher notices nothing but a pause.
"""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Self, TypeVar

from backend.attach.guest import Guest, HolderGone
from backend.bootstrap import Application, open_application
from backend.readers import Readers, open_readers
from backend.security.token import open_keys
from infrastructure.config.settings import Settings
from infrastructure.engine import INTERRUPTED_EXIT, passes_on
from infrastructure.events.catalogue import PatchApplied
from infrastructure.events.log import Stored, follow_file, read_file
from infrastructure.ids import RunId
from infrastructure.running.errors import RunIsOver
from infrastructure.storage.directory import DataDirectory
from infrastructure.storage.lock import EngineLock, Holder, read_holder
from infrastructure.storage.runs import RequestKey, RunRecord, RunState
from infrastructure.tasks import RunResult, TaskSpec, request_of

LOOK_SECONDS = 0.1
"""How often a guest looks whether a run has ended, or its holder has an address."""

T = TypeVar("T")
OnGuest = Callable[[Holder], None]
OnStay = Callable[[int], None]


class Seat:
    """The engine, wherever it is. Use it as an async context manager.

    Leaving it as the holder waits until the guests' runs are done too, or until it is cancelled; they then go on
    with whoever takes the lock next.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        verb: str,
        on_guest: OnGuest = lambda holder: None,
        on_hold: Callable[[], None] = lambda: None,
        on_stay: OnStay = lambda runs: None,
    ) -> None:
        """A seat, not taken yet.

        Args:
            settings: All of them.
            verb: What the person ran, for others to see.
            on_guest: Told whose guest this has become.
            on_hold: Told when this comes to hold the engine after it was a guest.
            on_stay: Told for how many runs of guests this stays, when it could go.
        """
        self._settings = settings
        self._directory = DataDirectory(settings.paths.data)
        self._lock = EngineLock(self._directory.lock, verb=verb)
        self._verb = verb
        self._on_guest, self._on_hold, self._on_stay = on_guest, on_hold, on_stay
        self._stack = AsyncExitStack()
        self._application: Application | None = None
        self._readers: Readers | None = None
        self._token = ""
        self._held = asyncio.Event()
        self._succeeding: asyncio.Task[None] | None = None
        self._fault: BaseException | None = None

    async def __aenter__(self) -> Self:
        await asyncio.to_thread(self._directory.prepare)
        try:
            if await asyncio.to_thread(self._lock.try_acquire):
                await self._hold()
            else:
                await self._sit_down()
        except BaseException:
            await self._stack.aclose()
            await asyncio.to_thread(self._lock.close)
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if self._succeeding is not None:
                self._succeeding.cancel()
                await asyncio.wait([self._succeeding])
            if kind is None:
                await self._stay_for_guests()
        finally:
            await self._stack.aclose()
            await asyncio.to_thread(self._lock.close)

    # -------------------------------------------------------------------------------------- steering
    async def start(self, spec: TaskSpec, request: RequestKey | None = None) -> RunId:
        """Begin a task, here or at the holder; errors as the engine's, or `HolderRefused`.

        Args:
            spec: The task.
            request: Its name, so that it is begun once whoever holds the engine; one is made where there is none.
        """
        key = request.key if request is not None else uuid.uuid4().hex
        return await self._do(
            lambda app: app.engine.start(spec, request or request_of(key, spec)),
            lambda guest: guest.start(spec, key),
        )

    async def resume(self, run: RunId, *, no_input: bool = False) -> None:
        """Go on with a run from its last step.

        Raises:
            RunIsOver: it has ended.
        """
        record = await self.record_of(run)
        if record.state is RunState.FINISHED:
            raise RunIsOver(record.run, record.status)
        await self._do(
            lambda app: app.engine.resume(run, no_input=no_input), lambda guest: guest.resume(run, no_input=no_input)
        )

    async def answer(self, run: RunId, approval: str, approved: bool, reason: str = "") -> None:
        """Answer what a run waits for.

        Raises:
            RunNotWaiting: it does not wait for that.
        """
        await self._do(
            lambda app: app.engine.answer(run, approval, approved, reason),
            lambda guest: guest.answer(run, approval, approved, reason),
        )

    async def interrupt(self, run: RunId, reason: str) -> None:
        """Stop a run at a step, so that it can go on later."""
        await self._do(lambda app: app.engine.interrupt(run, reason), lambda guest: guest.interrupt(run))

    # -------------------------------------------------------------------------------------- watching
    async def follow(self, run: RunId, after: int = 0) -> AsyncGenerator[Stored]:
        """A run's events after a number, until it is finished or rests. A pause between two holders ends nothing."""
        async for stored in self._events(run, after):
            yield stored

    async def result(self, run: RunId) -> RunResult:
        """What came of a run, when it is finished, rests, or ends for want of an answer."""
        while True:
            if self._fault is not None:
                raise self._fault
            if self._application is not None:
                return await self._application.engine.result(run)
            record = await self.record_of(run)
            if record.result_json:
                return RunResult.model_validate_json(record.result_json)
            if record.state is RunState.INTERRUPTED and not passes_on(record):
                return RunResult(
                    run=run, status="cancelled", judge="none", exit_code=INTERRUPTED_EXIT, reason=record.reason
                )
            await asyncio.sleep(LOOK_SECONDS)

    async def record_of(self, run: str) -> RunRecord:
        """The run as the table has it."""
        if self._application is not None:
            return await self._application.runs.get(run)
        return await self._reading().runs.get(run)

    async def ready(self) -> None:
        """Return when a server answers; a guest leaves that question to the holder.

        Raises:
            NoServerAvailable: none does.
        """
        if self._application is not None:
            await self._application.pool.models()

    async def keyed(self, request: RequestKey) -> RunId | None:
        """The run that a request began."""
        if self._application is not None:
            return await self._application.runs.keyed(request)
        return await self._reading().runs.keyed(request)

    async def events_of(self, run: RunId, after: int = 0, limit: int = 1000) -> tuple[Stored, ...]:
        """A page of a run's events."""
        if self._application is not None:
            return await self._application.log.read(run, after, limit)
        return await read_file(self._reading().database, run, after, limit)

    async def note_applied(self, run: RunId, files: tuple[str, ...], branch: str | None = None) -> None:
        """Tell in a run's log that its patch was applied. A guest leaves that to the receipt in `control.db`."""
        if self._application is not None:
            record = await self._application.runs.get(run)
            await self._application.log.append(record.run, record.execution, PatchApplied(files=files, branch=branch))

    @property
    def directory(self) -> DataDirectory:
        """The data directory."""
        return self._directory

    @property
    def application(self) -> Application | None:
        """The open application, while this holds the engine."""
        return self._application

    # ----------------------------------------------------------------------------------- where we sit
    async def _hold(self) -> None:
        """Open the application on the lock we have, and a door beside it for guests."""
        application = await self._stack.enter_async_context(
            open_application(self._settings, verb=self._verb, lock=self._lock)
        )
        # FastAPI costs half a second to import, and a command that nobody visits should not wait for it.
        from backend.server import open_door  # noqa: PLC0415

        await self._stack.enter_async_context(open_door(application))
        self._application = application
        self._held.set()

    async def _sit_down(self) -> None:
        self._token = (await asyncio.to_thread(open_keys, self._directory.token)).token
        self._readers = await self._stack.enter_async_context(open_readers(self._settings))
        holder = await asyncio.to_thread(read_holder, self._directory.lock)
        if holder is not None:
            self._on_guest(holder)
        self._succeeding = asyncio.get_running_loop().create_task(self._succeed(), name="wait to hold the engine")

    async def _succeed(self) -> None:
        """Take the lock when the holder goes. What stands in the way then is raised to whoever waits."""
        try:
            await self._lock.wait(on_wait=lambda holder: None)
            self._on_hold()
            await self._hold()
        except Exception as error:  # noqa: BLE001 - raised by the next call of this seat, not swallowed
            self._fault = error
            self._held.set()

    async def _do(self, here: Callable[[Application], Awaitable[T]], there: Callable[[Guest], Awaitable[T]]) -> T:
        """Do it here, or ask the holder; when it is gone, wait for the next one, or for holding the engine."""
        while True:
            if self._fault is not None:
                raise self._fault
            if self._application is not None:
                return await here(self._application)
            holder = await asyncio.to_thread(read_holder, self._directory.lock)
            if holder is not None and holder.address:
                with contextlib.suppress(HolderGone):
                    return await there(Guest(holder.address, self._token))
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._held.wait(), LOOK_SECONDS)

    async def _events(self, run: RunId, after: int) -> AsyncIterator[Stored]:
        while True:
            if self._application is not None:
                async for stored in self._application.engine.follow(run, after):
                    yield stored
                return
            async for stored in follow_file(self._reading().database, run, after, ends_when_interrupted=True):
                after = stored.seq
                yield stored
            if not passes_on(await self.record_of(run)):
                return
            await asyncio.sleep(LOOK_SECONDS)

    async def _stay_for_guests(self) -> None:
        application = self._application
        if application is None:
            return
        while live := application.engine.manage_resources().live:
            self._on_stay(len(live))
            await asyncio.gather(*(application.engine.result(run) for run in live))

    def _reading(self) -> Readers:
        if self._readers is None:
            raise RuntimeError("a seat is used inside its context")
        return self._readers
