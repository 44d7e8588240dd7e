"""Who waits for an answer in this process. A waiter that is cancelled leaves nothing behind."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from infrastructure.ids import ApprovalId
from infrastructure.sessions.approvals import Approval, ApprovalError, ApprovalState


class ApprovalsClosed(ApprovalError):
    """The manager was closed; what waits is still there when it opens again."""

    hint = "Start Corral again; the question is still there."


class Waiters:
    """Futures by approval. Of one event loop."""

    def __init__(self) -> None:
        self._waiting: dict[ApprovalId, set[asyncio.Future[Approval]]] = {}
        self._closed = False

    def __len__(self) -> int:
        return sum(map(len, self._waiting.values()))

    async def wait(self, approval: ApprovalId, look: Callable[[], Awaitable[Approval]]) -> Approval:
        """The approval once it is no longer pending; `look` reads it as it is now.

        Raises:
            ApprovalsClosed: nobody tells of answers any more.
        """
        if self._closed:
            raise ApprovalsClosed
        waiter: asyncio.Future[Approval] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(approval, set()).add(waiter)
        try:
            now = await look()  # after the waiter is there, so that no answer falls between
            return now if now.state is not ApprovalState.PENDING else await waiter
        finally:
            if waiter.done() and not waiter.cancelled():
                waiter.exception()  # looked at, if nobody did
            self._drop(approval, waiter)

    def tell(self, approval: Approval) -> None:
        """Let those go who wait for this one."""
        for waiter in self._waiting.get(approval.id, ()):
            if not waiter.done():
                waiter.set_result(approval)

    def close(self) -> None:
        """Let everybody go with `ApprovalsClosed`. Idempotent."""
        self._closed = True
        for waiters in self._waiting.values():
            for waiter in waiters:
                if not waiter.done():
                    waiter.set_exception(ApprovalsClosed())

    def _drop(self, approval: ApprovalId, waiter: asyncio.Future[Approval]) -> None:
        waiters = self._waiting[approval]
        waiters.discard(waiter)
        if not waiters:
            del self._waiting[approval]
