"""The manager of approvals: asks, waits, takes the answer, and lets it be used once.

Owns the tables `approvals` and `rules`. A row and the event that tells of it are one transaction, so what anybody
sees is on disk; nothing is kept in memory but who waits. Time comes from an injected clock.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable, Iterable
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Self

from infrastructure.danger.levels import worst
from infrastructure.events.catalogue import AnyEvent, ApprovalAsked
from infrastructure.ids import ApprovalId, RunId
from infrastructure.sessions import approval_table as table
from infrastructure.sessions import asking, gating, moves
from infrastructure.sessions.approvals import (
    ALL_DECISIONS,
    ActionRequest,
    Approval,
    ApprovalExpired,
    ApprovalMismatch,
    ApprovalState,
    Decision,
    DecisionKind,
    Gate,
    Scope,
    action_sha,
)
from infrastructure.sessions.due import DueWatch, Pause
from infrastructure.sessions.expiring import Expiring, Patience, Work, expire, for_ever
from infrastructure.sessions.ports import Recorder
from infrastructure.sessions.rulebook import Rulebook
from infrastructure.sessions.rules import covering
from infrastructure.sessions.waiting import Waiters
from infrastructure.storage.database import Database
from infrastructure.storage.times import Now, utc_now

Answerer = Callable[[Approval, Decision, str], Awaitable[Approval]]
"""Takes an approval, its answer and who gave it; gives the approval as it is then."""


class HITLManager:
    """Asks people, and remembers what they said. One a data directory; use it in `async with`.

    Args:
        database: Where the tables are.
        log: Where each question and answer is told.
        now: The time.
        pause: Sleeps until the next question is due.
        home: The user's, as paths are judged by it.
        patience: Asked at each question about a call: how long it waits where nobody says so.

    Raises from every method: StorageError.
    """

    def __init__(
        self,
        database: Database,
        log: Recorder,
        *,
        now: Now = utc_now,
        pause: Pause = asyncio.sleep,
        home: Path | None = None,
        patience: Patience = for_ever,
    ) -> None:
        self._database, self._log, self._now, self._patience = database, log, now, patience
        self.rulebook = Rulebook(database, now, home)
        self._waiters = Waiters()
        self._answerers: dict[Gate, Answerer] = {}
        self._expiring = Expiring(database, self._write, now)
        self._watch = DueWatch(self._expiring.and_look, now, pause)

    async def __aenter__(self) -> Self:
        await self.expire_due()
        self._watch.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Stop watching the time and let every waiter go with `ApprovalsClosed`. Idempotent."""
        self._waiters.close()
        await self._watch.aclose()

    @property
    def waiting(self) -> int:
        """How many wait for an answer in this process."""
        return len(self._waiters)

    # ------------------------------------------------------------------------------------------------- asking
    async def request(
        self,
        owner: str,
        key: str,
        action: ActionRequest,
        *,
        workspace: str = "",
        allowed: Iterable[DecisionKind] = ALL_DECISIONS,
        expires: datetime | None = None,
        held: str = "",
    ) -> Approval:
        """Ask whether a tool may be called so. The same owner and key ask once, whatever has come of it since.

        The danger is judged here; the action's own can only raise it. A call that rules cover is approved at once, and
        so is one that a sandbox of the level `held` will hold: whoever uses that yes must run it there and nowhere else
        (`asking.held_by`).

        Raises:
            ApprovalMismatch: the key was used for another action.
            ValueError: the arguments cannot be said in JSON.
        """
        approval = await self._requested(
            owner, key, action, workspace=workspace, allowed=tuple(allowed), expires=expires, held=held
        )
        assert approval is not None  # somebody may be asked
        self._watch.look_again()
        return approval

    async def request_unasked(
        self, owner: str, key: str, action: ActionRequest, *, workspace: str = "", held: str = ""
    ) -> Approval | None:
        """As `request` where nobody is there: the answer of rules or of the sandbox, or None, and then nothing is kept.

        Raises as `request`.
        """
        approval = await self._requested(owner, key, action, workspace=workspace, held=held, may_ask=False)
        return None if approval is None or approval.state is ApprovalState.PENDING else approval

    async def _requested(
        self,
        owner: str,
        key: str,
        action: ActionRequest,
        *,
        workspace: str,
        allowed: tuple[DecisionKind, ...] = ALL_DECISIONS,
        expires: datetime | None = None,
        held: str,
        may_ask: bool = True,
    ) -> Approval | None:
        parts = await self.rulebook.parts(action, workspace)
        action = asking.raised(action, worst(*(part.judgement for part in parts)))
        fresh = asking.fresh(
            owner,
            key,
            "tool",
            action,
            workspace=workspace,
            allowed=allowed,
            asked=self._now(),
            expires=expires or self._due(),
        )

        def work(connection: sqlite3.Connection) -> tuple[Approval | None, AnyEvent | None]:
            known = table.keyed(connection, owner, key)
            if known is not None:
                if action_sha(known.action) != action_sha(action):
                    raise ApprovalMismatch(owner, key)
                return known, None
            rules = table.rules_for(connection, owner, workspace)
            approval = asking.answered(fresh, covering(rules, action.tool, action.arguments, parts), held)
            if approval.state is ApprovalState.PENDING and not may_ask:
                return None, None
            table.keep(connection, approval)
            return approval, asking.told(approval)

        return await self._log.append_with(RunId(owner), 0, work)

    async def ask_gate(
        self,
        owner: str,
        key: str,
        asked: ApprovalAsked,
        *,
        sha: str,
        execution: int,
        allowed: Iterable[DecisionKind],
    ) -> Approval:
        """Put a question of a run, told by `asked`. Asking again asks anew: only the last answer counts."""
        return await self._write(owner, execution, self.asking_gate(owner, key, asked, sha=sha, allowed=allowed))

    def asking_gate(
        self, owner: str, key: str, asked: ApprovalAsked, *, sha: str, allowed: Iterable[DecisionKind]
    ) -> Work:
        """The work of `ask_gate`, for somebody else's transaction."""
        return gating.put(owner, key, asked, sha=sha, allowed=allowed, now=self._now)

    async def withdraw(self, owner: str, key: str | None = None) -> tuple[Approval, ...]:
        """Take back what an owner asks, since it no longer waits: all of it, or what it asks under one key."""
        gone: list[Approval] = []
        work, tell = self.withdrawal(owner, gone, key)
        await self._database.write(work)
        tell()
        return tuple(gone)

    def withdrawal(
        self, owner: str, gone: list[Approval] | None = None, key: str | None = None
    ) -> tuple[Callable[[sqlite3.Connection], None], Callable[[], None]]:
        """The work of `withdraw`, for somebody else's transaction, and what tells who waits once that is on disk."""
        found: list[Approval] = [] if gone is None else gone

        def work(connection: sqlite3.Connection) -> None:
            asked = (each for each in table.pending(connection, owner) if key is None or each.key == key)
            found[:] = [moves.withdrawn(each, self._now()) for each in asked]
            for approval in found:
                table.keep(connection, approval)

        def tell() -> None:
            for approval in found:
                self._waiters.tell(approval)

        return work, tell

    # ------------------------------------------------------------------------------------------------ looking
    async def pending(self, owner: str | None = None) -> tuple[Approval, ...]:
        """What waits for an answer, oldest first; what has waited too long is not among it."""
        now = self._now()
        found = await self._database.read(lambda connection: table.pending(connection, owner))
        return tuple(each for each in found if not moves.is_due(each, now))

    async def get(self, approval: str) -> Approval:
        """The approval of this id.

        Raises:
            UnknownApproval: there is none.
        """
        return await self._database.read(lambda connection: table.find(connection, approval))

    async def find(self, owner: str, key: str) -> Approval | None:
        """What was asked under this key; None where nothing was."""
        return await self._database.read(lambda connection: table.keyed(connection, owner, key))

    async def wait(self, approval: str) -> Approval:
        """The approval once it has its answer, or has expired or been withdrawn. A cancelled waiter leaves nothing.

        Raises:
            UnknownApproval: there is none.
            ApprovalsClosed: the manager was closed; the question is still there when it opens again.
        """
        return await self._waiters.wait(ApprovalId(approval), lambda: self.get(approval))

    # ----------------------------------------------------------------------------------------------- deciding
    async def decide(
        self,
        approval: str,
        decision: Decision,
        *,
        by: str,
        nonce: str,
        scope: Scope = "once",
        patterns: tuple[str, ...] = (),
    ) -> Approval:
        """Answer a question. The same answer with the same nonce again changes nothing.

        With another scope than `once` a yes makes rules: `patterns`, or those that are proposed.

        Raises:
            UnknownApproval: there is none.
            StaleApproval: it was asked anew since.
            AlreadyDecided, ApprovalExpired: it has another answer.
            DecisionRefused: this answer is not allowed, or a pattern is none, does not cover this call, or no rule may.
        """
        now = await self.get(approval)
        if now.gate in self._answerers and now.state is ApprovalState.PENDING:
            moves.decided(now, decision, self._now(), by=by, nonce=nonce, scope=scope, patterns=())
            return await self._answerers[now.gate](now, decision, by)
        shown = await self.rulebook.patterns(now, decision, scope, patterns)

        def work(connection: sqlite3.Connection) -> tuple[Approval, AnyEvent | None]:
            known = table.find(connection, approval)
            if moves.is_due(known, self._now()):
                return expire(connection, known, self._now())
            told = moves.decided(
                known, decision, self._now(), by=by, nonce=nonce, scope=scope, patterns=shown, named=bool(patterns)
            )
            if told is known:
                return known, None
            told = self.rulebook.keep(connection, told)
            table.keep(connection, told)
            return told, asking.told_answer(told)

        told = await self._write(now.owner, 0, work)
        if told.state is ApprovalState.EXPIRED:
            raise ApprovalExpired(approval)
        return told

    async def use(self, approval: str, sha: str) -> Approval:
        """Spend an approval on what has this hash (`call_sha`); what is done is `arguments` of the result.

        Raises:
            UnknownApproval: there is none.
            NotApproved: it waits, or the answer was no.
            AlreadyUsed: it was spent before.
            StaleApproval: it was given for something else.
        """

        def work(connection: sqlite3.Connection) -> Approval:
            spent = moves.used(table.find(connection, approval), sha, self._now())
            table.keep(connection, spent)
            return spent

        return await self._database.write(work)

    def hand_over(self, gates: Iterable[Gate], answerer: Answerer) -> None:
        """Let somebody else answer these gates: the engine, whose runs must go on with the answer."""
        self._answerers.update(dict.fromkeys(gates, answerer))

    async def settle(
        self, approval: Approval, decision: Decision, *, by: str, sha: str, execution: int = 0
    ) -> Approval:
        """Decide and use in one transaction, for an owner that goes on with the answer at once, whatever it is.

        Raises:
            StaleApproval: it was asked anew since, or `sha` is not that of what was shown.
            AlreadyDecided, DecisionRefused: as `decide`.
        """
        work = gating.settled(approval, decision, by=by, sha=sha, now=self._now)
        return await self._write(approval.owner, execution, work)

    async def expire_due(self) -> tuple[Approval, ...]:
        """Turn down whatever has waited too long, each told as an event."""
        return await self._expiring.expire_due()

    # ------------------------------------------------------------------------------------------------- within
    def _due(self) -> datetime | None:
        """When a question that is asked now has waited too long."""
        patience = self._patience()
        return None if patience is None else self._now() + patience

    async def _write(self, owner: str, execution: int, work: Work) -> Approval:
        approval = await self._log.append_with(RunId(owner), execution, work)
        if approval.state is not ApprovalState.PENDING:
            self._waiters.tell(approval)
        return approval
