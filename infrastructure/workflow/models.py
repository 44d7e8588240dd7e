"""The workflow's `ModelSource` over the pool: each role asks its lane."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial

from agents.fitting import Room
from agents.model import Question
from infrastructure.connection_pool import OllamaConnectionPool
from infrastructure.local_llm import AsyncLocalLLM
from infrastructure.pool.calls import Call, Watch
from infrastructure.transport.window import estimate_tokens
from infrastructure.workflow.lanes import RoleLanes
from infrastructure.workflow.ports import Answered, ModelSource, OnDelta

_NANO = 1e9


@dataclass(frozen=True, slots=True)
class PoolModels(ModelSource):
    """Answers for every role from a pool of servers."""

    pool: OllamaConnectionPool
    lanes: RoleLanes

    def model_of(self, role: str) -> str:
        """The role's lane."""
        return self.lanes.of(role)

    async def room(self, role: str) -> Room:
        """As the pool knows it: its lane's window, and the ratio that the servers' own counts have shown."""
        known = await self.pool.room(self.lanes.of(role))
        return Room(window=known.window, sure=known.sure, count=partial(_estimate, known.ratio))

    async def ask(self, role: str, question: Question, call: Call, on_delta: OnDelta, watch: Watch) -> Answered:
        """Ask the role's lane; a stream that breaks is asked once more."""
        started = datetime.now(UTC)
        model = AsyncLocalLLM(self.lanes.of(role), pool=self.pool).bound(call=call, on_delta=on_delta, watch=watch)
        reply = await model.reply(question)
        metrics = reply.metrics
        return Answered(
            completion=reply.completion,
            server=reply.server,
            queued_seconds=reply.queued_seconds + metrics.slot_wait_ns / _NANO,
            load_seconds=metrics.load_ns / _NANO,
            prompt_seconds=metrics.prompt_ns / _NANO,
            decode_seconds=metrics.decode_ns / _NANO,
            started=started,
            cached_tokens=reply.cached_tokens,
            window=reply.window,
            num_predict=reply.num_predict,
            doubted=reply.doubted,
        )


def _estimate(ratio: float, question: Question) -> int:
    return estimate_tokens(messages=question.messages, tools=question.tools, ratio=ratio)
