"""The manager of approvals: asks, waits, takes the answer, and lets it be used once.

Owns the tables `approvals` and `rules`. A row and the event that tells of it are one transaction, so what anybody
sees is on disk; nothing is kept in memory but who waits. Time comes from an injected clock.
"""

from __future__ import annotations

import asyncio
import secrets
import sqlite3
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self, TypeVar

from infrastructure.danger.levels import Judgement, worst
from infrastructure.events.catalogue import AnyEvent, ApprovalAsked, ApprovalDecided
from infrastructure.ids import ApprovalId, RunId, new_id
from infrastructure.sessions import approval_table as table
from infrastructure.sessions import moves
from infrastructure.sessions.approvals import (
    ALL_DECISIONS,
    ActionRequest,
    Approval,
    ApprovalExpired,
    ApprovalMismatch,
    ApprovalState,
    Approve,
    Decision,
    DecisionKind,
    Gate,
    Reject,
    Respond,
    Scope,
    StaleApproval,
    action_sha,
    kind_of,
)
from infrastructure.sessions.due import DueWatch, Pause
from infrastructure.sessions.rulebook import Rulebook
from infrastructure.sessions.rules import Rule, covering
from infrastructure.sessions.waiting import Waiters
from infrastructure.storage.database import Database
from infrastructure.storage.times import Now, utc_now

T = TypeVar("T")
Answerer = Callable[[Approval, Decision, str], Awaitable[Approval]]
"""Takes an approval, its answer and who gave it; gives the approval as it is then."""


class Recorder(Protocol):
    """The event log as it is needed here."""

    async def append_with(
        self, run: RunId, execution: int, work: Callable[[sqlite3.Connection], tuple[T, AnyEvent | None]]
    ) -> T:
        """Do a work and keep the event it gives, in one transaction; its value, once both are on disk."""
        ...


class HITLManager:
    """Asks people, and remembers what they said. One a data directory; use it in `async with`.

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
    ) -> None:
        self._database, self._log, self._now = database, log, now
        self.rulebook = Rulebook(database, now, home)
        self._waiters = Waiters()
        self._answerers: dict[Gate, Answerer] = {}
        self._watch = DueWatch(self._expire_and_look, now, pause)

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
    ) -> Approval:
        """Ask whether a tool may be called so. The same owner and key ask once, whatever has come of it since.

        The danger is judged here; the action's own can only raise it. A call that rules cover is approved at once.

        Raises:
            ApprovalMismatch: the key was used for another action.
            ValueError: the arguments cannot be said in JSON.
        """
        parts = await self.rulebook.parts(action, workspace)
        action = _raised(action, worst(*(part.judgement for part in parts)))
        fresh = self._fresh(owner, key, "tool", action, workspace, tuple(allowed), expires)

        def work(connection: sqlite3.Connection) -> tuple[Approval, AnyEvent | None]:
            known = table.keyed(connection, owner, key)
            if known is not None:
                if action_sha(known.action) != action_sha(action):
                    raise ApprovalMismatch(owner, key)
                return known, None
            rules = table.rules_for(connection, owner, workspace)
            approval = _by_rules(fresh, covering(rules, action.tool, action.arguments, parts))
            table.keep(connection, approval)
            return approval, _decided(approval) if approval.decision is not None else _asked(approval)

        approval = await self._write(owner, 0, work)
        self._watch.look_again()
        return approval

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
        action = ActionRequest(tool=asked.gate, arguments={"answers": asked.answers}, description=asked.question)
        fresh = replace(self._fresh(owner, key, asked.gate, action, "", tuple(allowed), None), sha=sha)

        def work(connection: sqlite3.Connection) -> tuple[Approval, AnyEvent | None]:
            known = table.keyed(connection, owner, key)
            approval = fresh if known is None else moves.asked_anew(known, fresh)
            table.keep(connection, approval)
            return approval, asked.model_copy(update={"id": approval.id})

        return await self._write(owner, execution, work)

    async def withdraw(self, owner: str) -> tuple[Approval, ...]:
        """Take back what an owner asks, since it no longer waits."""

        def work(connection: sqlite3.Connection) -> tuple[Approval, ...]:
            gone = tuple(moves.withdrawn(each, self._now()) for each in table.pending(connection, owner))
            for approval in gone:
                table.keep(connection, approval)
            return gone

        gone = await self._database.write(work)
        for approval in gone:
            self._waiters.tell(approval)
        return gone

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
                return self._expire(connection, known)
            told = moves.decided(known, decision, self._now(), by=by, nonce=nonce, scope=scope, patterns=shown)
            if told is known:
                return known, None
            told = self.rulebook.keep(connection, told)
            table.keep(connection, told)
            return told, _decided(told)

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

        def work(connection: sqlite3.Connection) -> tuple[Approval, AnyEvent | None]:
            known = table.find(connection, approval.id)
            now = self._now()
            if known.state is not ApprovalState.PENDING or sha != known.sha:
                raise StaleApproval(f"approval {known.key} of {known.owner} is not what was shown")
            told = moves.decided(known, decision, now, by=by, nonce=approval.nonce, scope="once", patterns=())
            told = moves.used(told, sha, now) if told.granted else replace(told, state=ApprovalState.USED, used=now)
            table.keep(connection, told)
            return told, _decided(told)

        return await self._write(approval.owner, execution, work)

    async def expire_due(self) -> tuple[Approval, ...]:
        """Turn down whatever has waited too long, each told as an event."""
        found = await self._database.read(lambda connection: table.pending(connection, None))
        gone: list[Approval] = []
        for each in found:
            if not moves.is_due(each, self._now()):
                continue

            def work(connection: sqlite3.Connection, name: ApprovalId = each.id) -> tuple[Approval, AnyEvent | None]:
                known = table.find(connection, name)
                return self._expire(connection, known) if moves.is_due(known, self._now()) else (known, None)

            told = await self._write(each.owner, 0, work)
            if told.state is ApprovalState.EXPIRED:
                gone.append(told)
        return tuple(gone)

    # ------------------------------------------------------------------------------------------------- within
    def _fresh(
        self,
        owner: str,
        key: str,
        gate: Gate,
        action: ActionRequest,
        workspace: str,
        allowed: tuple[DecisionKind, ...],
        expires: datetime | None,
    ) -> Approval:
        return Approval(
            id=ApprovalId(new_id()),
            owner=owner,
            key=key,
            gate=gate,
            action=action,
            workspace=workspace,
            allowed=allowed,
            sha=action_sha(action),
            nonce=secrets.token_urlsafe(12),
            state=ApprovalState.PENDING,
            asked=self._now(),
            expires=expires,
        )

    def _expire(self, connection: sqlite3.Connection, approval: Approval) -> tuple[Approval, AnyEvent | None]:
        gone = moves.expired(approval, self._now())
        table.keep(connection, gone)
        return gone, _decided(gone)

    async def _expire_and_look(self) -> datetime | None:
        await self.expire_due()
        return await self._database.read(table.next_expiry)

    async def _write(
        self, owner: str, execution: int, work: Callable[[sqlite3.Connection], tuple[Approval, AnyEvent | None]]
    ) -> Approval:
        approval = await self._log.append_with(RunId(owner), execution, work)
        if approval.state is not ApprovalState.PENDING:
            self._waiters.tell(approval)
        return approval


def _raised(action: ActionRequest, judged: Judgement) -> ActionRequest:
    """The action with the danger that code finds in it, where that is more."""
    if judged.level.rank < action.danger.rank:
        return action
    return replace(action, danger=judged.level, why=judged.why or action.why)


def _by_rules(fresh: Approval, rules: tuple[Rule, ...]) -> Approval:
    if not rules:
        return fresh
    return replace(
        fresh,
        state=ApprovalState.DECIDED,
        decision=Approve(),
        scope=rules[0].scope,
        patterns=tuple(rule.shown for rule in rules),
        by=moves.BY_RULE,
        rule=",".join(rule.id for rule in rules),
        decided=fresh.asked,
    )


def _asked(approval: Approval) -> ApprovalAsked:
    question = approval.action.description or approval.action.tool
    return ApprovalAsked(approval=approval.id, gate=approval.gate, question=question, id=approval.id)


def _decided(approval: Approval) -> ApprovalDecided:
    named = approval.id if approval.gate == "tool" else approval.key
    if approval.decision is None:
        return ApprovalDecided(
            approval=named, id=approval.id, decision="expired", by=approval.by, reason=moves.TOO_LATE
        )
    reason = ""
    match approval.decision:
        case Approve(said) | Reject(said) | Respond(said):
            reason = said
        case _:
            pass
    return ApprovalDecided(
        approval=named,
        id=approval.id,
        decision=kind_of(approval.decision),
        scope=approval.scope,
        by=approval.by,
        rule=approval.rule,
        reason=reason,
    )
