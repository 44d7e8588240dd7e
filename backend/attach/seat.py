"""A command's seat at the engine: it holds the engine, or is a guest, and may come to hold it when the holder goes.

Owns that change, and the same face in both places. Events and results are read from the data directory, which outlives
every holder, so a watcher notices nothing but a pause.
"""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AbstractContextManager, AsyncExitStack, nullcontext
from types import TracebackType
from typing import TYPE_CHECKING, Self, TypeVar

from backend.attach.guest import Guest, HolderGone, HolderRefused
from backend.readers import Readers, open_readers
from backend.security.token import open_keys
from infrastructure.config.settings import Settings
from infrastructure.events.catalogue import PatchApplied
from infrastructure.events.log import Stored, follow_file, read_file
from infrastructure.ids import RunId
from infrastructure.running.errors import RunIsOver
from infrastructure.running.left import INTERRUPTED_EXIT, goes_on, is_guests, passes_on, rests_unasked
from infrastructure.running.naming import check_names
from infrastructure.storage.directory import DataDirectory
from infrastructure.storage.errors import MissingDatabase, OlderDatabase
from infrastructure.storage.lock import EngineLock, Holder, read_holder
from infrastructure.storage.runs import KeyReused, RequestKey, RunReader, RunRecord, RunState
from infrastructure.tasks import RunResult, TaskSpec, request_of

if TYPE_CHECKING:
    from backend.bootstrap import Application

LOOK_SECONDS = 0.1
"""How often a guest looks whether a run has ended, or its holder has an address."""

T = TypeVar("T")
OnGuest = Callable[[Holder], None]
OnAdmission = Callable[[Holder, Guest], Awaitable[None]]
OnStay = Callable[[int, Callable[[], None]], AbstractContextManager[None]]
OpenDoor = Callable[["Application"], AbstractAsyncContextManager[object]]
OpenApplication = Callable[..., AbstractAsyncContextManager["Application"]]


class Seat:
    """The engine, wherever it is. Use it as an async context manager.

    Leaving it as the holder waits until the guests' runs are done too, or until whoever was told of it wants to go;
    they then go on with whoever takes the lock next.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        verb: str,
        on_guest: OnGuest = lambda holder: None,
        on_admission: OnAdmission | None = None,
        on_hold: Callable[[], None] = lambda: None,
        on_stay: OnStay = lambda runs, leave: nullcontext(),
    ) -> None:
        """A seat, not taken yet.

        Args:
            settings: All of them.
            verb: What the person ran, for others to see.
            on_guest: Told whose guest this has become, and whose it becomes after that.
            on_admission: Given each holder, and itself as its guest, before anything else is asked of it; may raise.
            on_hold: Told when this comes to hold the engine after it was a guest.
            on_stay: Told for how many runs of guests this stays, when it could go, and what to call to go all the
                same; its context is open meanwhile.
        """
        self._settings = settings
        self._directory = DataDirectory(settings.paths.data)
        self._lock = EngineLock(self._directory.lock, verb=verb)
        self._verb = verb
        self._on_guest, self._on_admission = on_guest, on_admission
        self._on_hold, self._on_stay = on_hold, on_stay
        self._stack = AsyncExitStack()
        self._application: Application | None = None
        self._readers: Readers | None = None
        self._token = ""
        self._host: str | None = None
        self._admitted: str | None = None
        self._wanted: dict[RunId, bool] = {}  # the runs that this seat began or went on with, and their `no_input`
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
    async def admit(self) -> None:
        """Return when this may be the guest of its holder, or holds the engine; raises what `on_admission` does."""
        if self._on_admission is not None and self._admitted != self._host:
            await self._do(_nothing, _nothing)

    async def start(self, spec: TaskSpec, request: RequestKey | None = None) -> RunId:
        """Begin a task, here or at the holder; errors as the engine's, or `HolderRefused`.

        Args:
            spec: The task.
            request: Its name, so that it is begun once whoever holds the engine; one is made where there is none. What
                was asked for is told by the task, here as at a holder's door.
        """
        check_names(spec)  # before it is written down anywhere, as its key is made of it
        key = request.key if request is not None else uuid.uuid4().hex
        run = await self._do(
            lambda app: app.engine.start(spec, request_of(key, spec)), lambda guest: guest.start(spec, key)
        )
        self._wanted[run] = spec.no_input
        return run

    async def resume(self, run: RunId, *, no_input: bool = False) -> None:
        """Go on with a run from its last step.

        Raises:
            RunIsOver: it has ended.
        """
        record = await self.record_of(run)
        if record.state is RunState.FINISHED:
            raise RunIsOver(record.run, record.status)
        try:
            await self._do(
                lambda app: app.engine.resume(run, no_input=no_input),
                lambda guest: guest.resume(run, no_input=no_input),
            )
        except HolderRefused as refused:
            if refused.error_class != RunIsOver.__name__:
                raise
            raise RunIsOver(run, (await self.record_of(run)).status) from refused
        self._wanted[run] = no_input

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
        while True:
            if self._application is not None:
                async for stored in self._application.engine.follow(run, after):
                    yield stored
                return
            async for stored in follow_file(self._reading().database, run, after, ends_when_interrupted=True):
                after = stored.seq
                yield stored
            record = await self.record_of(run)
            if not (goes_on(record) or self._is_left(record)):
                return
            await asyncio.sleep(LOOK_SECONDS)

    async def result(self, run: RunId) -> RunResult:
        """What came of a run, when it is finished, rests, or ends for want of an answer."""
        while True:
            if self._fault is not None:
                raise self._fault
            if self._application is not None:
                return await self._application.engine.result(run)
            record = await self.record_of(run)
            if record.result_json and record.state in (RunState.FINISHED, RunState.WAITING):
                return RunResult.model_validate_json(record.result_json)
            await self.admit()  # by whoever goes on with it now
            if self._is_left(record):
                with contextlib.suppress(RunIsOver):
                    await self.resume(run, no_input=self._wanted[run])
            elif record.state is RunState.INTERRUPTED and not passes_on(record):
                return RunResult(
                    run=run, status="cancelled", judge="none", exit_code=INTERRUPTED_EXIT, reason=record.reason
                )
            await asyncio.sleep(LOOK_SECONDS)

    async def record_of(self, run: str) -> RunRecord:
        """The run as the table has it."""
        return await self._runs().get(run)

    async def ready(self) -> None:
        """Return when a server answers; a guest leaves that question to the holder.

        Raises:
            NoServerAvailable: none does.
        """
        if self._application is not None:
            await self._application.pool.models()

    async def keyed(self, request: RequestKey) -> RunId | None:
        """The run that a request began, by its key alone: whoever began it has compared what was asked for."""
        try:
            return await self._runs().keyed(request)
        except KeyReused as known:
            return known.run

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
        open_application = await asyncio.to_thread(_import_application)
        importing = asyncio.ensure_future(asyncio.to_thread(_import_door))  # it takes as long as the rest together
        application = await self._stack.enter_async_context(
            open_application(self._settings, verb=self._verb, lock=self._lock)
        )
        await self._stack.enter_async_context((await importing)(application))
        for run in self._wanted:
            await self._take_over(run, application)
        self._application = application
        self._held.set()

    async def _take_over(self, run: RunId, application: Application) -> None:
        """Go on with a run of ours that the engine does not go on with by itself, since no guest began it."""
        record = await application.runs.get(run)
        if self._is_left(record) or (record.state is RunState.WAITING and not is_guests(record)):
            await application.engine.resume(run, no_input=self._wanted[run])

    def _is_left(self, record: RunRecord) -> bool:
        """Whether a run that this seat wants rests for no reason of its own, and nobody else goes on with it."""
        return record.run in self._wanted and rests_unasked(record) and not is_guests(record)

    async def _sit_down(self) -> None:
        """Be a guest; or hold the engine after all, when its holder has gone before there was anything to read."""
        self._token = (await asyncio.to_thread(open_keys, self._directory.token)).token
        while self._readers is None:
            holder = await asyncio.to_thread(read_holder, self._directory.lock)
            try:
                self._readers = await self._stack.enter_async_context(open_readers(self._settings))
            except (MissingDatabase, OlderDatabase):
                if holder is not None and holder.address:
                    raise
                # The holder has only just come and makes the database, or brings it up to date.
                if await asyncio.to_thread(self._lock.try_acquire):
                    return await self._hold()
                await asyncio.sleep(LOOK_SECONDS)
        self._greet(await asyncio.to_thread(read_holder, self._directory.lock))
        self._succeeding = asyncio.get_running_loop().create_task(self._succeed(), name="wait to hold the engine")
        return None

    def _greet(self, holder: Holder | None) -> None:
        if holder is not None and holder.epoch != self._host:
            self._host = holder.epoch
            self._on_guest(holder)

    async def _succeed(self) -> None:
        """Take the lock when the holder goes. What stands in the way then is raised to whoever waits."""
        try:
            await self._lock.wait(on_wait=self._greet)
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
                    return await there(await self._guest_of(holder))
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._held.wait(), LOOK_SECONDS)

    async def _guest_of(self, holder: Holder) -> Guest:
        guest = Guest(holder.address, self._token)
        if self._on_admission is not None and self._admitted != holder.epoch:
            await self._on_admission(holder, guest)
            self._admitted = holder.epoch
        return guest

    async def _stay_for_guests(self) -> None:
        application = self._application
        if application is None:
            return
        wants_to_go = asyncio.Event()
        while (live := application.engine.manage_resources().live) and not wants_to_go.is_set():
            with self._on_stay(len(live), wants_to_go.set):
                ends = [asyncio.ensure_future(application.engine.result(run)) for run in live]
                await _all_or(ends, wants_to_go)

    def _runs(self) -> RunReader:
        """The runs as they are stored: what became of a holder is for this seat itself to find out."""
        return RunReader(self._reading().database) if self._application is None else self._application.runs

    def _reading(self) -> Readers:
        if self._readers is None:
            raise RuntimeError("a seat is used inside its context")
        return self._readers


async def _nothing(_: object) -> None:
    """There or here, nothing is done."""


def _import_application() -> OpenApplication:
    """The engine and LangGraph behind it. In a thread, so that the loop goes on meanwhile."""
    from backend.bootstrap import open_application  # noqa: PLC0415 - a guest needs none of it

    return open_application


def _import_door() -> OpenDoor:
    """FastAPI and all that is behind it. In a thread, so that the loop goes on meanwhile."""
    from backend.server import open_door  # noqa: PLC0415 - a guest needs none of it

    return open_door


async def _all_or(ends: Sequence[asyncio.Future[RunResult]], event: asyncio.Event) -> None:
    """Wait for all, or for the event. How a guest's run ends is the guest's affair, also where it broke."""
    all_done = asyncio.ensure_future(asyncio.wait(ends))
    told = asyncio.ensure_future(event.wait())
    try:
        await asyncio.wait([all_done, told], return_when=asyncio.FIRST_COMPLETED)
    finally:
        for each in (all_done, told, *ends):
            each.cancel()
        await asyncio.wait([all_done, told, *ends])
        for end in ends:
            _ = end.cancelled() or end.exception()  # looked at, so that it is not told as one that nobody saw
