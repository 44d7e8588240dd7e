"""Whatever is asked, answered, used and restarted in whatever order: nothing runs unapproved, twice, or is lost."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections import Counter
from collections.abc import Awaitable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import ClassVar, TypeVar

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from infrastructure.events.catalogue import ApprovalAsked, ApprovalDecided
from infrastructure.sessions.approvals import (
    ApprovalError,
    ApprovalState,
    Approve,
    Decision,
    Edit,
    Reject,
    Respond,
    call_sha,
)
from tests.approvals.conftest import SESSION, Clock, Desk, command, opened
from tests.fuzzing import examples

T = TypeVar("T")
KEYS = st.sampled_from(["a", "b"])
MOSTLY = st.sampled_from([True, True, True, True, False])
SELDOM = MOSTLY.map(lambda often: not often)
DECISIONS = st.sampled_from([Approve(), Approve("fine"), Reject("no"), Respond("done"), Edit({"command": "make lint"})])
MAKE, LINT = (call_sha("run_command", {"command": text}) for text in ("make", "make lint"))


@dataclass
class Known:
    """What was acknowledged of one approval."""

    id: str
    nonce: str
    expires: datetime | None
    decision: Decision | None = None
    used: int = 0

    def sha(self) -> str:
        return LINT if isinstance(self.decision, Edit) else MAKE

    def may_be_used(self) -> bool:
        return isinstance(self.decision, (Approve, Edit)) and self.used == 0


class Approvals:
    happened: ClassVar[Counter[str]] = Counter()

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp())
        self.clock = Clock()
        self.known: dict[str, Known] = {}
        self.runner = asyncio.Runner()
        self.desk = self.do(self.open())
        self.begin()

    def do(self, work: Awaitable[T]) -> T:
        async def wrapped() -> T:
            return await work

        return self.runner.run(wrapped())

    async def open(self) -> Desk:
        self.stack = AsyncExitStack()
        return await self.stack.enter_async_context(opened(self.folder, self.clock))

    def teardown(self) -> None:
        self.nothing_acknowledged_is_lost()
        self.every_question_and_answer_was_told_once()
        self.do(self.stack.aclose())
        self.runner.close()
        shutil.rmtree(self.folder)

    def last(self, key: str) -> Known:
        """The last that was asked under the key or its like."""
        return self.known.get(f"{key}'") or self.known[key]

    def is_due(self, known: Known) -> bool:
        return known.decision is None and known.expires is not None and known.expires <= self.clock()

    def begin(self) -> None:
        for key in ("a", "b"):
            self.request(key, None)

    def request(self, key: str, seconds: int | None) -> None:
        if self.known.get(key) is not None and (self.known[key].used or self.is_due(self.known[key])):
            key += "'"  # its like, once more
        expires = None if seconds is None else self.clock() + timedelta(seconds=seconds)
        told = self.do(self.desk.manager.request(SESSION, key, command("make"), expires=expires))
        known = self.known.setdefault(key, Known(told.id, told.nonce, expires))
        assert (told.id, told.nonce) == (known.id, known.nonce), "a key asks once"

    def decide(self, key: str, decision: Decision, right: bool, cancelled: bool) -> None:
        known = self.last(key)
        taken = self.do(self._decide(known, decision, known.nonce if right else "wrong", cancelled))
        may = right and known.decision in (None, decision) and not self.is_due(known)
        if taken:
            assert may
        if may and (taken or cancelled):
            now = self.do(self.desk.manager.get(known.id))
            assert cancelled or now.decision == decision
            known.decision = now.decision
        self.happened["decided" if taken else "refused"] += 1

    async def _decide(self, known: Known, decision: Decision, nonce: str, cancelled: bool) -> bool:
        deciding = asyncio.ensure_future(self.desk.manager.decide(known.id, decision, by="test", nonce=nonce))
        if cancelled:
            await asyncio.sleep(0)
            deciding.cancel()
        try:
            await deciding
        except (ApprovalError, asyncio.CancelledError):
            return False
        return True

    def use(self, key: str, right: bool, times: int) -> None:
        known = self.last(key)
        sha = known.sha() if right else {MAKE: LINT, LINT: MAKE}[known.sha()]
        may = known.may_be_used() and sha == known.sha()
        done = self.do(self._use(known, sha, times))
        assert done == (1 if may else 0), "used exactly once, and only what was approved"
        known.used += done
        self.happened["used" if done else "not used"] += 1

    async def _use(self, known: Known, sha: str, times: int) -> int:
        told = await asyncio.gather(
            *(self.desk.manager.use(known.id, sha) for _ in range(times)), return_exceptions=True
        )
        assert all(isinstance(each, ApprovalError) for each in told if isinstance(each, BaseException))
        return sum(not isinstance(each, BaseException) for each in told)

    def time_passes(self, seconds: int, expires: bool) -> None:
        self.clock.move(seconds)
        if expires:
            self.happened["expired"] += len(self.do(self.desk.manager.expire_due()))

    def restart(self) -> None:
        self.do(self.stack.aclose())
        self.desk = self.do(self.open())
        self.nothing_acknowledged_is_lost()
        self.happened["restarted"] += 1

    def nothing_acknowledged_is_lost(self) -> None:
        pending = {approval.id for approval in self.do(self.desk.manager.pending())}
        for known in self.known.values():
            told = self.do(self.desk.manager.get(known.id))
            assert told.decision == known.decision
            assert (told.state is ApprovalState.USED) is (known.used == 1)
            assert (known.id in pending) is (known.decision is None and not self.is_due(known))

    def every_question_and_answer_was_told_once(self) -> None:
        events = self.do(self.desk.events())
        asked = [event.id for event in events if isinstance(event, ApprovalAsked)]
        answered = [event.id for event in events if isinstance(event, ApprovalDecided) and event.decision != "expired"]
        assert sorted(asked) == sorted(known.id for known in self.known.values())
        assert sorted(answered) == sorted(known.id for known in self.known.values() if known.decision is not None)


OPERATIONS = st.one_of(
    st.tuples(st.just("request"), KEYS, st.sampled_from([None, 10])),
    st.tuples(st.just("decide"), KEYS, DECISIONS, MOSTLY, SELDOM),
    st.tuples(st.just("use"), KEYS, MOSTLY, st.integers(1, 3)),
    st.tuples(st.just("time_passes"), st.sampled_from([1, 5, 20]), st.booleans()),
    st.tuples(st.just("restart")),
)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_sequences_of_approvals() -> None:
    @given(st.lists(OPERATIONS, min_size=20, max_size=40))
    @settings(max_examples=examples(20), deadline=None, suppress_health_check=list(HealthCheck))
    def check(sequence: list[tuple[object, ...]]) -> None:
        approvals = Approvals()
        try:
            for name, *arguments in sequence:
                getattr(approvals, str(name))(*arguments)
        finally:
            approvals.teardown()

    Approvals.happened.clear()
    check()
    enough = {what: Approvals.happened[what] >= 3 for what in ("decided", "refused", "used", "not used", "restarted")}
    assert all(enough.values()), Approvals.happened
