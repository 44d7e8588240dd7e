"""How fast one model is on one server: reading, writing, and several calls at once.

Owns the calls that are made for it, past any queue of ours, and what their figures come to. Rates are the servers' own
where it tells them; what all streams do together is measured here.
"""

from __future__ import annotations

import asyncio
import math
import statistics
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass

from agents.model import Message, Options
from infrastructure.config.settings import LaneSettings
from infrastructure.pool.lanes import canonical, lane_of
from infrastructure.pool.learning import WAIT_SECONDS
from infrastructure.transport.client import OllamaClient
from infrastructure.transport.errors import OllamaError, StreamBroken
from infrastructure.transport.messages import ChatRequest, Metrics
from infrastructure.transport.window import SMALLEST_WINDOW

WORTH = 1.15
"""More at once pay while all together get so much faster."""
_SHORT, _LONG = 512, 2048
"""Tokens of prompts, about, where the window holds them."""
_LITTLE = 48
"""Words of the prompts that answers follow, at most."""
_FEW = 16
"""Words by which is found how many tokens one is: of some models one, of those that count bytes five."""
_FIRST_WINDOW, _DOUBLINGS = 4096, 8
_FILLED, _WHOLE = 0.85, 0.97
"""How much of a window the prompt that tries it takes, and how much of the prompt must have been read."""
_TRIES = 2
_TEMPERATURES = (0.0, 0.7, 1.2)
"""A model that repeats itself gets the next one: Ollama ends its answer in the middle."""
_FILLER = ("time", "year", "people", "way", "day", "man", "thing", "life", "child", "world", "school", "state", "group")
_TASK = "Ignore the words above. Count from one to one thousand in words, one number a line, without stopping."


@dataclass(frozen=True, slots=True, kw_only=True)
class Prefill:
    """Reading a prompt."""

    prompt_tokens: int
    seconds: float
    tokens_per_second: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Level:
    """So many streams at once."""

    at_once: int
    total_tokens_per_second: float
    """All of them together, from the first that is sent to the last that ends."""
    stream_tokens_per_second: float
    """One of them while it writes, the median."""
    first_token_seconds: float
    """The median."""
    first_token_seconds_worst: float
    waited: int
    """How many the server let wait for a slot."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Benchmark:
    """All of it."""

    server: str
    model: str
    num_ctx: int | None
    """The window, as loaded."""
    on_gpu: float | None
    """Share of the model that is in GPU memory; None if that is not known."""
    load_seconds: float
    prefill: tuple[Prefill, ...]
    decode_tokens_per_second: float
    first_token_seconds: float
    levels: tuple[Level, ...]
    fitted: str
    """What was measured with less than usual, for the window holds no more; empty where nothing was."""
    advice_at_once: int
    advice: str


@dataclass(frozen=True, slots=True)
class Scale:
    """What a prompt comes to: tokens without a word of filler, and for each word."""

    fixed: int
    a_word: float

    def words(self, tokens: float) -> int:
        """The words with which a prompt is so many tokens at most; none where it is more without any."""
        return max(0, int((tokens - self.fixed) / self.a_word))

    def tokens(self, words: int) -> int:
        """The tokens of a prompt of so many words, about."""
        return self.fixed + math.ceil(self.a_word * words)


@dataclass(frozen=True, slots=True)
class Sizes:
    """What is asked in a window. `prompts` and `answer` are tokens, `little` the words of the prompts of answers."""

    prompts: tuple[int, ...]
    little: int
    answer: int
    fitted: str


@dataclass(frozen=True, slots=True)
class _Stream:
    metrics: Metrics
    first_token_seconds: float


async def measure(
    client: OllamaClient, lane: LaneSettings, *, most: int, tokens: int, tell: Callable[[str], None]
) -> Benchmark:
    """Measure a lane's model. Loads it where it is not in memory.

    Args:
        client: Of the server.
        lane: The model, with the options it is loaded with.
        most: Streams at once, at most; powers of two up to it are tried.
        tokens: Of each answer.
        tell: Told what goes on.

    Raises:
        OllamaError: a call failed.
    """
    bench = Calls(client, lane)
    tell(f"loading {lane.model}")
    began = time.perf_counter()
    await client.load(lane.model, bench.options, lane.keep_alive, shift=lane.shift)
    load_seconds = time.perf_counter() - began
    here = next((each for each in await client.ps() if canonical(each.name) == canonical(lane.model)), None)
    window = (here.context_length if here else None) or lane.num_ctx or SMALLEST_WINDOW
    scale = await bench.scale(_FEW)
    sizes = sizes_in(window, scale, tokens)
    if sizes.fitted:
        tell(sizes.fitted)
    prefill: list[Prefill] = []
    for length in sizes.prompts:
        tell(f"reading {length:,} tokens")
        prefill.append(await bench.prefill(scale.words(length)))
    levels: list[Level] = []
    for at_once in _powers(most):
        tell(f"writing {sizes.answer:,} tokens, {at_once} at once")
        levels.append(await bench.level(at_once, sizes.little, sizes.answer))
    best, said = advise(levels)
    return Benchmark(
        server=client.server.label,
        model=lane.model,
        num_ctx=here.context_length if here else None,
        on_gpu=here.size_vram / here.size if here and here.size else None,
        load_seconds=load_seconds,
        prefill=tuple(prefill),
        decode_tokens_per_second=levels[0].stream_tokens_per_second,
        first_token_seconds=levels[0].first_token_seconds,
        levels=tuple(levels),
        fitted=sizes.fitted,
        advice_at_once=best,
        advice=said,
    )


def sizes_in(window: int, scale: Scale, tokens: int) -> Sizes:
    """What a window holds: two prompts of which the longer takes half of it, and answers that end before its end."""
    wanted = (min(_SHORT, window // 4), min(_LONG, window // 2))
    prompts = tuple(dict.fromkeys(max(scale.fixed, length) for length in wanted))
    little = min(_LITTLE, scale.words(window // 2))
    answer = max(1, min(tokens, window // 2, window - scale.tokens(little)))
    less = [f"{_and(prompts)} tokens read instead of {_and((_SHORT, _LONG))}"] if prompts != (_SHORT, _LONG) else []
    if answer < tokens:
        less.append(f"{answer:,} written instead of {tokens:,}")
    fitted = f"the window of {window:,} tokens holds no more: {', '.join(less)}" if less else ""
    return Sizes(prompts, little, answer, fitted)


def advise(levels: Sequence[Level]) -> tuple[int, str]:
    """How many at once pay, and why: the last step up that made all together a good deal faster.

    Where a server lets calls wait, there are more than it has slots: they would wait in the pool instead.
    """
    best = first = levels[0]
    crowded = next((level for level in levels[1:] if level.waited), None)
    for level in levels[1:]:
        if crowded is not None and level.at_once >= crowded.at_once:
            break
        if level.total_tokens_per_second > WORTH * best.total_tokens_per_second:
            best = level
    all_together, alone = best.total_tokens_per_second, first.total_tokens_per_second
    said = f"{best.at_once} at once {'pays' if best is first else 'pay'}: {all_together:,.0f} tokens/s"
    if best is not first and alone:
        said += f", {all_together / alone:.1f} times one alone"
    if crowded is not None:
        slots = max(1, crowded.at_once - crowded.waited)
        many = "1 slot" if slots == 1 else f"{slots} slots"
        return best.at_once, f"{said}; the server has about {many} for it (OLLAMA_NUM_PARALLEL), others wait there"
    after = next((level for level in levels if level.at_once > best.at_once), None)
    if after is not None and all_together:
        change = 100 * (after.total_tokens_per_second / all_together - 1)
        said += f"; {after.at_once} at once change that by {change:+.0f} %"
    return best.at_once, said


async def windows(
    client: OllamaClient, lane: LaneSettings, window: int, *, tell: Callable[[str], None]
) -> AsyncGenerator[int, None]:
    """Try longer and longer prompts; each window in which one was read whole, as the server's own count shows.

    It ends where a prompt is refused or cut, and with the window itself. Close it when leaving early.

    Raises:
        OllamaError: one of the first, short calls failed.
    """
    bench = Calls(client, lane)
    scale = await bench.scale(_FEW)
    scale = await bench.scale(max(_FEW, min(2 * _SHORT, scale.words(window // 2))))
    sizes = [size for size in (_FIRST_WINDOW << power for power in range(_DOUBLINGS)) if size < window]
    for size in (*sizes, window):
        words = scale.words(_FILLED * size)
        tell(f"reading {_FILLED * size:,.0f} tokens in a window of {size:,}")
        try:
            read = await bench.read(words)
        except OllamaError:
            return  # it is longer than what works: that is what was to be found out
        if read < _WHOLE * scale.tokens(words):
            return
        yield size


class Calls:
    """The calls that are measured, of one lane to one server."""

    def __init__(self, client: OllamaClient, lane: LaneSettings) -> None:
        self.options: Options = {**lane_of(lane, {}).options}
        self._client, self._lane = client, lane
        self._number = time.time_ns()
        self._temperatures = [*_TEMPERATURES]

    async def scale(self, words: int) -> Scale:
        """What a prompt comes to, by one without a word and one of so many."""
        fixed = await self.read(0)
        return Scale(fixed, max(0.1, (await self.read(words) - fixed) / words))

    async def prefill(self, words: int) -> Prefill:
        """The best of a few, each with a prompt that no cache knows."""
        tried = [(await self._stream(words, 1)).metrics for _ in range(_TRIES)]
        best = max(tried, key=lambda metrics: _rate(metrics.prompt_tokens, metrics.prompt_ns))
        return Prefill(
            prompt_tokens=best.prompt_tokens,
            seconds=best.prompt_ns / 1e9,
            tokens_per_second=_rate(best.prompt_tokens, best.prompt_ns),
        )

    async def read(self, words: int) -> int:
        """The tokens of a prompt of so many words, as the server counts what it read."""
        return (await self._stream(words, 1)).metrics.prompt_tokens

    async def level(self, at_once: int, words: int, tokens: int) -> Level:
        """So many streams beside each other; again, where the model repeats itself, at a higher temperature."""
        while True:
            try:
                return await self._level(at_once, words, tokens)
            except ExceptionGroup as group:
                if group.split(StreamBroken)[1] is not None or len(self._temperatures) == 1:
                    raise
                del self._temperatures[0]

    async def _level(self, at_once: int, words: int, tokens: int) -> Level:
        began = time.perf_counter()
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self._stream(words, tokens)) for _ in range(at_once)]
        seconds = time.perf_counter() - began
        streams = [task.result() for task in tasks]
        # All began together: one without a slot waits for a whole answer of another.
        answer = min(stream.metrics.decode_ns for stream in streams) / 1e9
        written = sum(stream.metrics.completion_tokens for stream in streams)
        first = [stream.first_token_seconds for stream in streams]
        return Level(
            at_once=at_once,
            total_tokens_per_second=written / seconds if seconds > 0 else 0.0,
            stream_tokens_per_second=statistics.median(
                _rate(stream.metrics.completion_tokens, stream.metrics.decode_ns) for stream in streams
            ),
            first_token_seconds=statistics.median(first),
            first_token_seconds_worst=max(first),
            waited=sum(stream.metrics.slot_wait_ns / 1e9 >= max(WAIT_SECONDS, answer / 2) for stream in streams),
        )

    async def _stream(self, words: int, tokens: int) -> _Stream:
        """A prompt of so many words, answered by so many tokens."""
        self._number += 1
        filler = " ".join(_FILLER[(self._number + place) % len(_FILLER)] for place in range(words))
        request = ChatRequest(
            model=self._lane.model,
            messages=(Message("user", f"{self._number} {filler}\n{_TASK}"),),
            options={**self.options, "num_predict": tokens, "temperature": self._temperatures[0]},
            keep_alive=self._lane.keep_alive,
            shift=self._lane.shift,
        )
        began, first, metrics = time.perf_counter(), 0.0, Metrics()
        async with self._client.chat(request) as chunks:
            async for chunk in chunks:
                first = first or time.perf_counter() - began
                if chunk.final is not None:
                    metrics = chunk.final.metrics
        return _Stream(metrics, first)


def _and(numbers: Sequence[int]) -> str:
    return " and ".join(f"{number:,}" for number in numbers)


def _powers(most: int) -> list[int]:
    return [2**power for power in range(most.bit_length()) if 2**power <= most]


def _rate(count: int, nanoseconds: int) -> float:
    return count / (nanoseconds / 1e9) if nanoseconds else 0.0
