"""A `Runs` without an engine: a run ends as its task says, when the test lets it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from infrastructure.batch import KnownRun, RunOutcome
from infrastructure.ids import RunId
from infrastructure.pool.errors import NoServerAvailable
from infrastructure.storage.runs import RequestKey
from infrastructure.tasks import RunResult, TaskSpec


def result(run: str, status: str, error: str = "") -> RunResult:
    told = {"class": error, "message": f"{error} happened", "hint": "Mend it."} if error else None
    return RunResult.model_validate(
        {"run": run, "status": status, "judge": "given", "exit_code": 0, "error": told, "patch": f"patch of {run}\n"}
    )


@dataclass
class FakeRuns:
    """Keeps runs in memory, as the runs table would over several commands.

    Attributes:
        ending: What a run of a task ends as: a status, or an error's class after `error:`; asked each time.
        gate: Runs end once it is set.
        up: Whether a server answers.
    """

    ending: Callable[[TaskSpec], str] = lambda spec: "done"
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    up: bool = True
    room: int = 2
    results: dict[RunId, RunResult] = field(default_factory=dict[RunId, RunResult])
    specs: dict[RunId, TaskSpec] = field(default_factory=dict[RunId, TaskSpec])
    begun: list[RunId] = field(default_factory=list[RunId])
    refuses: Exception | None = None
    most_at_once: int = 0
    _going: dict[RunId, asyncio.Future[bool]] = field(default_factory=dict[RunId, "asyncio.Future[bool]"])

    _news: asyncio.Event = field(default_factory=asyncio.Event)

    async def until_begun(self, number: int) -> None:
        """Wait until so many were begun."""
        while len(self.begun) < number:
            self._news.clear()
            await self._news.wait()

    async def known(self, key: RequestKey) -> KnownRun | None:
        run = RunId(key.key)
        return KnownRun(run, run in self.results) if run in self.specs else None

    async def ensure(self, key: RequestKey, spec: TaskSpec) -> RunId:
        run = RunId(key.key)
        if not self.up:
            raise NoServerAvailable({"gpu": "connection refused"})
        if self.refuses is not None:
            raise self.refuses
        self.specs.setdefault(run, spec)
        self.begun.append(run)
        self._going[run] = asyncio.get_running_loop().create_future()
        self._news.set()
        self.most_at_once = max(self.most_at_once, len(self._going))
        return run

    async def outcome(self, run: RunId) -> RunOutcome:
        if run in self.results:
            return RunOutcome(result=self.results[run])
        gate = asyncio.ensure_future(self.gate.wait())
        await asyncio.wait([gate, self._going[run]], return_when=asyncio.FIRST_COMPLETED)
        gate.cancel()
        interrupted = self._going.pop(run).done()
        if interrupted:
            return RunOutcome(result=result(run, "cancelled"), resting=True)
        status, _, error = self.ending(self.specs[run]).partition(":")
        self.results[run] = result(run, status, error)
        return RunOutcome(result=self.results[run])

    async def interrupt(self, run: RunId, reason: str) -> None:
        if run in self._going and not self._going[run].done():
            self._going[run].set_result(True)

    def slots(self) -> int:
        return self.room
