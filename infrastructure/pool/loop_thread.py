"""An event loop in a thread of its own, for callers that have none.

Owns the thread, the loop, and the closing of what lives in it; or borrows a loop that somebody else runs.
"""

from __future__ import annotations

import asyncio
import os
import queue
import threading
from concurrent.futures import CancelledError
from contextlib import aclosing
from typing import TYPE_CHECKING, Generic, NoReturn, Protocol, TypeVar
from weakref import WeakKeyDictionary

from infrastructure.pool.crossing import Standstill, submitted
from infrastructure.pool.errors import LoopEnded, OtherProcess, PoolClosed
from infrastructure.pool.forked import leave_alone, let_go_of_sockets, tell_when_forked

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Coroutine, Iterator
    from concurrent.futures import Future

T = TypeVar("T")
R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)

LOOK_SECONDS = 0.5
"""How often who waits for a loop looks whether it still runs."""

_processes: WeakKeyDictionary[asyncio.AbstractEventLoop, int] = WeakKeyDictionary()


class WouldBlock(RuntimeError):
    """The synchronous call was made from the very loop that is to carry it out; await the asynchronous form."""

    def __init__(self) -> None:
        super().__init__(type(self).__doc__)


class Elsewhere(Protocol[R_co]):
    """A resource that lives in an event loop, usable from any thread."""

    def submit(self, work: Callable[[R_co], Coroutine[object, object, T]]) -> Future[T]:
        """Start the work there; cancelling the future cancels the work."""
        ...

    def wait(self, future: Future[T]) -> T:
        """Block until the future is done; if the wait is interrupted, or the loop stands still, cancel it."""
        ...

    def standstill(self) -> Standstill:
        """For who waits otherwise: a new look-out whether the loop still runs."""
        ...

    def refuse_own_loop(self) -> None:
        """Raise `WouldBlock` where this is called in that very loop."""
        ...

    def close(self) -> None:
        """End what was begun by this object, and wait for it."""
        ...


def iterate(there: Elsewhere[R], items: Callable[[R], AsyncGenerator[T, None]]) -> Iterator[T]:
    """What is generated there, item by item here; closing the iterator ends the generator.

    Raises:
        WouldBlock: at the first item, in the loop that would have to make it.
        LoopEnded: that loop does not run, or stops before the next item.
    """
    there.refuse_own_loop()
    came: queue.SimpleQueue[tuple[T] | None] = queue.SimpleQueue()

    async def pump(resource: R) -> None:
        try:
            async with aclosing(items(resource)) as stream:
                async for item in stream:
                    came.put((item,))
        finally:
            came.put(None)

    def following() -> tuple[T] | None:
        standstill = there.standstill()
        while True:
            try:
                return came.get(timeout=LOOK_SECONDS)
            except queue.Empty:
                if (
                    work.done()
                ):  # before its first step, or all has come in this moment: each piece is put before it ends
                    return None if came.empty() else came.get_nowait()
                standstill.look()

    work = there.submit(pump)
    try:
        while (item := following()) is not None:
            yield item[0]
        there.wait(work)
    finally:
        work.cancel()


async def awaited(there: Elsewhere[R], future: Future[T]) -> T:
    """What is done there, awaited in another loop; cancelling it cancels the work."""
    here, standstill = asyncio.wrap_future(future), there.standstill()
    try:
        while not (await asyncio.wait((here,), timeout=LOOK_SECONDS))[0]:
            standstill.look()
    except BaseException:
        here.cancel()
        raise
    if here.cancelled():  # not by us
        raise LoopEnded
    return here.result()


def remember_process(loop: asyncio.AbstractEventLoop) -> int:
    """The number of the process in which this was first asked of that loop: a fork has a copy that nothing runs."""
    return _processes.setdefault(loop, os.getpid())


class BorrowedLoop(Generic[R]):
    """A resource in a loop that somebody else runs and closes."""

    def __init__(self, resource: R, loop: asyncio.AbstractEventLoop) -> None:
        self._resource = resource
        self._loop = loop
        self._process = remember_process(loop)

    def submit(self, work: Callable[[R], Coroutine[object, object, T]]) -> Future[T]:
        """Start the work in that loop.

        Raises:
            OtherProcess: this process was forked from the one in which it runs.
            LoopEnded: the loop is closed.
        """
        if os.getpid() != self._process:
            raise OtherProcess  # nothing runs that loop here
        return submitted(self._loop, lambda: _carried_out(work, self._resource))

    def wait(self, future: Future[T]) -> T:
        """Block until it is done.

        Raises:
            LoopEnded: the loop stands still.
        """
        return _wait(future, self._loop, self.standstill())

    def standstill(self) -> Standstill:
        """Of the borrowed loop."""
        return Standstill(self._loop)

    def refuse_own_loop(self) -> None:
        """Raise where this is called in the borrowed loop."""
        _refuse(self._loop)

    def close(self) -> None:
        """Nothing: it is not ours."""


class LoopThread(Generic[R]):
    """A resource in a loop and a thread of its own; both begin with the first work, in a forked process anew."""

    def __init__(self, make: Callable[[], R], end: Callable[[R], Coroutine[object, object, None]]) -> None:
        self._make = make
        self._end = end
        self._lock = threading.Lock()
        self._begun: tuple[asyncio.AbstractEventLoop, threading.Thread, R] | None = None
        self._tasks: set[asyncio.Task[object]] = set()
        self._closed = False
        tell_when_forked(self)

    def submit(self, work: Callable[[R], Coroutine[object, object, T]]) -> Future[T]:
        """Start the work in the loop.

        Raises:
            PoolClosed: the thread is closed.
        """
        with self._lock:
            if self._closed:
                raise PoolClosed
            loop, _, resource = self._begun = self._begun or self._begin()
        return submitted(loop, lambda: self._known(work, resource))

    def wait(self, future: Future[T]) -> T:
        """Block until it is done."""
        return _wait(future, self._begun[0] if self._begun else None, self.standstill())

    def standstill(self) -> Standstill:
        """Of the thread's loop, which runs until it is closed."""
        return Standstill(None)

    def refuse_own_loop(self) -> None:
        """Raise where this is called in the loop of the thread."""
        _refuse(self._begun[0] if self._begun else None)

    def close(self) -> None:
        """Close the resource, which ends all work, then the loop and the thread. Safe to repeat.

        Raises:
            WouldBlock: in the loop of the thread, which would wait for itself; nothing is closed.
        """
        with self._lock:
            self.refuse_own_loop()
            self._closed = True
            begun, self._begun = self._begun, None
        if begun is None:
            return
        loop, thread, resource = begun
        try:
            asyncio.run_coroutine_threadsafe(self._finish(resource), loop).result()
        finally:
            loop.call_soon_threadsafe(loop.stop)
            thread.join()
            loop.close()

    def __getstate__(self) -> NoReturn:
        """Raise TypeError: it can be neither pickled nor copied."""
        raise TypeError("a thread and its connections are of this process: make a LocalLLM where it is used")

    def begin_anew(self) -> None:
        """In a forked process: nothing is begun yet. The thread was not copied, and its work is the other's."""
        begun, tasks = self._begun, self._tasks
        self._begun, self._tasks, self._lock = None, set(), threading.Lock()
        if begun is not None:
            leave_alone(begun, tasks)
            let_go_of_sockets(begun[0])

    def _begin(self) -> tuple[asyncio.AbstractEventLoop, threading.Thread, R]:
        resource = self._make()  # first: it may fail, and a thread would be left
        loop = asyncio.new_event_loop()
        thread = threading.Thread(target=loop.run_forever, name="corral-llm", daemon=True)
        thread.start()
        return loop, thread, resource

    async def _known(self, work: Callable[[R], Coroutine[object, object, T]], resource: R) -> T:
        task = asyncio.current_task()
        assert task is not None, "a coroutine runs in a task"
        self._tasks.add(task)
        try:
            return await work(resource)
        finally:
            self._tasks.discard(task)

    async def _finish(self, resource: R) -> None:
        await self._end(resource)
        if self._tasks:
            await asyncio.wait(self._tasks)
        await asyncio.get_running_loop().shutdown_asyncgens()


async def _carried_out(work: Callable[[R], Coroutine[object, object, T]], resource: R) -> T:
    return await work(resource)


def _wait(future: Future[T], loop: asyncio.AbstractEventLoop | None, standstill: Standstill) -> T:
    try:
        _refuse(loop)
        while True:
            try:
                return future.result(LOOK_SECONDS)
            except TimeoutError:
                if future.done():  # in this moment, or the error is the work's own
                    return future.result()
                standstill.look()
    except CancelledError:  # by nobody here: a loop that ends cancels what is left in it
        raise LoopEnded from None
    except BaseException:  # also KeyboardInterrupt: who no longer waits wants no answer
        future.cancel()
        raise


def _refuse(loop: asyncio.AbstractEventLoop | None) -> None:
    if loop is not None and asyncio._get_running_loop() is loop:
        raise WouldBlock
