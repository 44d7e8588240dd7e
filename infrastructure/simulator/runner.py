"""Owns one loaded model: its slots, their queue, and the batches in which it evaluates and decodes.

Time goes in iterations, as in an engine with continuous batching: in each, every slot that decodes makes
one token, and slots with a prompt share up to `num_batch` prompt tokens. A long prompt on one slot
therefore delays the streams on the others batch by batch.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum

from infrastructure.simulator.caching import PromptCache
from infrastructure.simulator.generation import Generation
from infrastructure.simulator.holding import Holds
from infrastructure.simulator.models import Model
from infrastructure.simulator.options import LoadOptions
from infrastructure.simulator.records import RequestRecord, SlotSpan
from infrastructure.simulator.truth import Truth

_BURST = 32


@dataclass(frozen=True, slots=True)
class Speed:
    """How fast a runner works; seconds, at no load."""

    per_prompt_token: float
    per_token: float
    per_restored_token: float
    """Taking a token of a prompt back from memory."""
    slowdown: float
    """Extra share of `per_token` for each further slot that decodes."""
    putting_away: float
    """What a slot holds, before another prompt is read there; nothing else is done meanwhile."""

    def step(self, prompt_tokens: int, decoding: int) -> float:
        """Length of one iteration."""
        decode = self.per_token * (1 + self.slowdown * (decoding - 1)) if decoding else 0.0
        return prompt_tokens * self.per_prompt_token + decode


class JobState(StrEnum):
    """Where a job stands."""

    WAITING = "waiting"
    PREFILL = "prefill"
    DECODE = "decode"
    OVER = "over"


@dataclass(slots=True)
class Job:
    """One request at a runner. Callbacks run in the loop; none may block."""

    generation: Generation
    record: RequestRecord
    on_over: Callable[[], None]
    """Called once, when the answer is complete; not when it was cancelled."""
    on_lost: Callable[[bool], None]
    """Called once if the runner dies, with whether the job had a slot."""
    state: JobState = JobState.WAITING
    slot: int = -1
    left: int = 0
    """Prompt tokens still to evaluate."""
    restore: float = 0.0
    put_away: float = 0.0
    cancelled: bool = False
    blocked: bool = False
    """The client reads too slowly: the slot makes no tokens until it catches up."""
    prefill_started: float = 0.0
    prefill_ended: float = 0.0
    decode_ended: float = 0.0


@dataclass(slots=True)
class Runner:
    """A loaded model and its slots."""

    model: Model
    options: LoadOptions
    speed: Speed
    parallel: int
    kept_prompts: int
    """Prompts that stay in memory after they lost their slot."""
    truth: Truth
    loop: asyncio.AbstractEventLoop
    holds: Holds = field(default_factory=Holds)
    loses_slots_every: int = 0
    """Of so many streams that are left while tokens come, one keeps its slot; 0: none."""
    lost: int = 0
    """Slots that were."""
    left: int = 0
    """Streams that were."""
    slots: list[Job | None] = field(init=False)
    waiting: deque[Job] = field(default_factory=deque[Job])
    _cache: PromptCache = field(init=False)
    _timer: asyncio.TimerHandle | None = None
    _due: float = 0.0
    _taking: dict[int, int] = field(default_factory=dict[int, int])
    _decoding: list[Job] = field(default_factory=list[Job])
    dead: bool = False

    def __post_init__(self) -> None:
        self.slots = [None] * self.parallel
        self._cache = PromptCache(self.parallel, self.kept_prompts)

    @property
    def busy(self) -> int:
        """Slots taken, or lost."""
        return self.lost + sum(job is not None for job in self.slots)

    def submit(self, job: Job) -> None:
        """Queue a job; it starts when a slot is free, in order of arrival."""
        self.waiting.append(job)
        self._fill_slots(self.loop.time())

    def cancel(self, job: Job) -> None:
        """Stop a job: at once while it waits or nothing is computed, else at the end of the present batch."""
        job.cancelled = True
        if job.state is JobState.WAITING:
            self.waiting.remove(job)
            job.state = JobState.OVER
        elif job.state is not JobState.OVER and self._timer is None:
            self._free(job, self.loop.time())

    def leave(self, job: Job) -> None:
        """Stop a job whose stream the client left; the server may lose its slot with it."""
        if job.state is JobState.DECODE and self.loses_slots_every:
            self.left += 1
            self.lost += self.left % self.loses_slots_every == 0
        self.cancel(job)

    def unblock(self, job: Job) -> None:
        """The client caught up: the job makes tokens again."""
        job.blocked = False
        self._keep_going(self.loop.time())

    def go_on(self) -> None:
        """Answers that were held may make tokens again."""
        self._keep_going(self.loop.time())

    def kill(self) -> None:
        """Die as a crashed process does: jobs with a slot lose their answer, the others their place."""
        self.dead = True
        if self._timer is not None:
            self._timer.cancel()
        now = self.loop.time()
        working = [job for job in self.slots if job is not None]
        queued = list(self.waiting)
        self.waiting.clear()
        for job in working:
            self._free(job, now)
        for job in queued:
            job.state = JobState.OVER
        for job in working:
            if not job.cancelled:
                job.on_lost(True)
        for job in queued:
            job.on_lost(False)

    # ------------------------------------------------------------------------------ slots

    def _fill_slots(self, now: float) -> None:
        while self.waiting and self.busy < self.parallel and not self.dead:
            self._take_slot(self.waiting.popleft(), now)
        self._keep_going(now)

    def _take_slot(self, job: Job, now: float) -> None:
        prompt, count = job.generation.prompt, job.generation.prompt_tokens
        found = self._cache.take([number for number, taken in enumerate(self.slots) if taken is None], prompt)
        cached = min(job.generation.tokenizer.count(prompt[: found.shared]), count - 1) if found.shared else 0
        self.slots[found.slot] = job
        job.slot, job.state, job.prefill_started = found.slot, JobState.PREFILL, now
        job.left = max(1, count - cached)
        job.restore = cached * self.speed.per_restored_token if found.restored else 0.0
        job.put_away = self.speed.putting_away if found.put_away else 0.0
        record = job.record
        record.slot, record.slot_taken_at, record.cached_tokens = found.slot, now, cached
        record.restored_tokens = cached if found.restored else 0
        self.truth.noted()

    def _free(self, job: Job, now: float) -> None:
        self.slots[job.slot] = None
        self._cache.keep(job.slot, _known_of(job))
        job.state = JobState.OVER
        record = job.record
        record.slot_freed_at = now
        self.truth.slots.append(SlotSpan(record.model, job.slot, record.number, record.slot_taken_at or now, now))
        self.truth.noted()
        self._fill_slots(now)

    # ------------------------------------------------------------------------- iterations

    def _keep_going(self, now: float) -> None:
        if self._timer is None and not self.dead and self._plan(now):
            self._wait()

    def _plan(self, start: float) -> bool:
        """Decide what the next iteration does and when it ends; False where there is nothing to do."""
        budget = max(1, self.options.num_batch)
        self._taking.clear()
        self._decoding.clear()
        restore = 0.0
        for job in self.slots:
            if job is None:
                continue
            if job.state is JobState.DECODE and not self._stands_still(job):
                self._decoding.append(job)
            elif job.state is JobState.PREFILL and budget:
                self._taking[job.slot] = min(job.left, budget)
                budget -= self._taking[job.slot]
                start = max(start, job.prefill_started)  # the clock may lag where the loop was held up
                if job.put_away:
                    start = job.prefill_started = start + job.put_away
                    job.put_away = 0.0
                restore, job.restore = restore + job.restore, 0.0
        self._due = start + restore + self.speed.step(sum(self._taking.values()), len(self._decoding))
        return bool(self._taking or self._decoding)

    def _wait(self) -> None:
        self._timer = self.loop.call_at(self._due, self._end)

    def _end(self) -> None:
        """Finish the iterations that are due, several where the loop is behind, and wait for the next."""
        for _ in range(_BURST):
            self._finish_iteration(self._due)
            if self.dead:
                return
            if not self._plan(self._due):
                self._timer = None
                return
            if self._due > self.loop.time():
                break
        self._wait()

    def _finish_iteration(self, now: float) -> None:
        for number, taken in list(self._taking.items()):
            job = self.slots[number]
            if job is not None:
                self._read(job, taken, now)
        for job in list(self._decoding):
            if job.state is JobState.DECODE and (job.cancelled or not self._stands_still(job)):
                self._decode(job, now)
        for job in list(self.slots):
            if job is not None and job.cancelled:
                self._free(job, max(now, self.loop.time()))

    def _read(self, job: Job, taken: int, now: float) -> None:
        job.left -= taken
        job.record.prefilled_tokens += taken
        read = job.left <= 0 and not job.cancelled
        if read:
            job.state, job.prefill_ended, job.decode_ended = JobState.DECODE, now, now
            job.record.first_token_at = now
        self.truth.noted()
        if read:
            self._decode(job, now)

    def _stands_still(self, job: Job) -> bool:
        return job.blocked or self.holds.stops(job.generation.prompt, job.record.tokens_made)

    def _decode(self, job: Job, now: float) -> None:
        job.decode_ended = now
        job.record.tokens_made += 1
        if job.record.left_at is not None:
            job.record.tokens_after_leaving += 1
        if not job.cancelled and not job.generation.step():
            self._free(job, now)
            job.on_over()


def _known_of(job: Job) -> str:
    """What a slot knows after a job: of a prompt that was given up, what was evaluated."""
    generation = job.generation
    if job.left <= 0:
        return generation.prompt + generation.said
    tokenizer = generation.tokenizer
    ids = tokenizer.encode(generation.prompt)
    return tokenizer.decode(ids[: max(0, generation.prompt_tokens - job.left)])
