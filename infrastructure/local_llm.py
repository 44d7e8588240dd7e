"""A language model over the pool: `AsyncLocalLLM`, and `LocalLLM` for code without an event loop.

Owns what a model adds to a call: fixed options, one further attempt when an answer breaks off or does not fit, typed
answers, and what is told to whoever watches the text grow.
"""

from __future__ import annotations

import asyncio
import copy
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Self, TypeAlias, TypeVar

from pydantic import BaseModel

from agents.errors import UnusableAnswer
from agents.model import Completion, JsonObject, Message, Options, Question, Think
from infrastructure.connection_pool import (
    Call,
    ChunkStream,
    OllamaConnectionPool,
    Reply,
    get_ollama_pool,
    new_ollama_pool,
)
from infrastructure.pool.attempts import Attempts
from infrastructure.pool.deltas import Delta, OnDelta, Restarted, TextDelta, ThinkingDelta
from infrastructure.pool.loop_thread import BorrowedLoop, Elsewhere, LoopThread, awaited, iterate
from infrastructure.pool.messages import MessageLike, ToolLike, read_messages, read_tools
from infrastructure.pool.options import check_elsewhere, check_named
from infrastructure.pool.structured import asked_again, read_structured, schema_of
from infrastructure.transport.errors import OllamaError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Coroutine, Iterable, Iterator
    from concurrent.futures import Future
    from types import TracebackType

    from infrastructure.pool.calls import Watch

__all__ = ["AsyncLocalLLM", "Delta", "LocalLLM", "OnDelta", "Restarted", "TextDelta", "ThinkingDelta"]

T = TypeVar("T", bound=BaseModel)
R = TypeVar("R")
OptionValue: TypeAlias = "str | int | float | bool | list[str]"


class AsyncLocalLLM:
    """One model (or lane) of a pool, with what is the same in all its calls. A `LanguageModel`.

    An answer whose stream breaks in the middle is asked for once more, and `on_delta` is told to drop the pieces; if
    it breaks again, that `StreamBroken` is raised. So is one that does not fit into the window, in a larger one where
    nobody has set it (`OllamaConnectionPool.widen`). Cancelling any call stops the generation on the server.
    """

    def __init__(
        self,
        model: str,
        *,
        pool: OllamaConnectionPool | None = None,
        call: Call | None = None,
        options: Options | None = None,
        think: Think | None = None,
    ) -> None:
        """A model by its name or its lane's.

        Args:
            model: lane or model.
            pool: the process-wide one, at first use, when there is none.
            call: for whom, how urgent, until when.
            options: of every call, also ones that no documentation has; a call's own go before them.
            think: of every call that does not say otherwise; None leaves it to the server.

        Raises:
            TypeError: an option is the name of something that is said elsewhere (`max_tokens`, `system`, …).
        """
        self.model = model
        self._pool = pool
        self._call = call or Call()
        self._options: Options = dict(options or {})
        check_elsewhere(self._options)
        self._think: Think | None = think
        self._on_delta: OnDelta | None = None
        self._watch: Watch | None = None

    def bound(
        self, *, call: Call | None = None, on_delta: OnDelta | None = None, watch: Watch | None = None
    ) -> AsyncLocalLLM:
        """The same model for one purpose: what is given replaces what was bound before."""
        other = copy.copy(self)
        other._call = call or self._call
        other._on_delta = on_delta or self._on_delta
        other._watch = watch or self._watch
        return other

    def over(self, pool: OllamaConnectionPool) -> AsyncLocalLLM:
        """The same model over another pool."""
        other = copy.copy(self)
        other._pool = pool
        return other

    async def answer(self, question: Question) -> Completion:
        """Ask, wait for the whole answer, return it.

        Raises:
            OllamaError: the call could not be carried out, or its stream broke twice.
        """
        return (await self.reply(question)).completion

    async def reply(self, question: Question) -> Reply:
        """As `answer`, with which server answered and what it took."""
        pool = await self._get_pool()
        options = {**self._options, **question.options}

        def ask() -> ChunkStream:
            return pool.stream_chat(
                model=self.model,
                messages=question.messages,
                tools=question.tools,
                format=question.format,
                think=self._think if question.think is None else question.think,
                options=options,
                call=self._call,
                watch=self._watch,
                whole=self._on_delta is None,
            )

        return await self._whole(ask, self._attempts(pool, options))

    async def generate(self, prompt: str, **options: OptionValue) -> str:
        """The text that completes the prompt; errors as for `answer`.

        Raises:
            TypeError: a name is none of Ollama's documented options; the text says where it belongs.
        """
        check_named(options)
        pool = await self._get_pool()
        attempts = self._attempts(pool, {**self._options, **options})
        return (await self._whole(lambda: self._generation(pool, prompt, options), attempts)).text

    async def stream(self, prompt: str, **options: OptionValue) -> AsyncGenerator[str, None]:
        """The text piece by piece. Close it (`contextlib.aclosing`) when leaving early.

        Pieces cannot be taken back, so a stream that breaks is asked for again only as long as there was none.

        Raises:
            StreamBroken: it broke after the first piece, or twice before it; `partial` holds what had come.
            TypeError: a name is none of Ollama's documented options; the text says where it belongs.
        """
        check_named(options)
        pool = await self._get_pool()
        attempts = self._attempts(pool, {**self._options, **options})
        begun = False
        while True:
            try:
                async with self._generation(pool, prompt, options, whole=False) as stream:
                    async for chunk in stream:
                        if chunk.text:
                            begun = True
                            yield chunk.text
                return
            except OllamaError as error:
                if begun or not await attempts.worth_another(error):
                    raise

    async def chat(
        self,
        messages: Iterable[MessageLike],
        *,
        tools: Iterable[ToolLike] = (),
        format: JsonObject | None = None,  # noqa: A002 - the API's own name
        think: Think | None = None,
        options: Options | None = None,
    ) -> Completion:
        """The answer to a conversation, ours or in Ollama's dict shape; errors as for `answer`."""
        return await self.answer(_question(messages, tools, format, think, options))

    async def structured(
        self, prompt: str | Iterable[MessageLike], kind: type[T], *, options: Options | None = None
    ) -> T:
        """The answer as a value of `kind`: its schema is enforced by the server and checked here.

        Raises:
            UnusableAnswer: also the second answer, given after it was said what is wrong with the first.
            OllamaError: as for `answer`.
        """
        messages = (Message("user", prompt),) if isinstance(prompt, str) else read_messages(prompt)
        question = _question(messages, (), schema_of(kind), None, options)
        first = await self.answer(question)
        try:
            return read_structured(first.text, kind, cut=first.finish == "length")
        except UnusableAnswer as problem:
            self._tell(Restarted(problem.reason))
            again = replace(question, messages=asked_again(messages, first.text, problem))
        second = await self.answer(again)
        return read_structured(second.text, kind, cut=second.finish == "length")

    def _generation(
        self, pool: OllamaConnectionPool, prompt: str, options: Options, *, whole: bool | None = None
    ) -> ChunkStream:
        return pool.stream_generate(
            model=self.model,
            prompt=prompt,
            think=self._think,
            options={**self._options, **options},
            call=self._call,
            watch=self._watch,
            whole=self._on_delta is None if whole is None else whole,
        )

    def _attempts(self, pool: OllamaConnectionPool, options: Options) -> Attempts:
        return Attempts(options, partial(pool.widen, self.model))

    async def _whole(self, ask: Callable[[], ChunkStream], attempts: Attempts) -> Reply:
        while True:
            try:
                reply = await self._read(ask())
            except OllamaError as error:
                if not await attempts.worth_another(error):
                    raise
                reason = str(error)
            else:
                if not await attempts.cut_short(reply):
                    return reply
                reason = "the window ended the answer; there is a larger one now"
            self._tell(Restarted(reason))

    async def _read(self, stream: ChunkStream) -> Reply:
        async with stream:
            async for chunk in stream:
                if self._on_delta is not None:
                    if chunk.thinking:
                        self._on_delta(ThinkingDelta(chunk.thinking))
                    if chunk.text:
                        self._on_delta(TextDelta(chunk.text))
        assert stream.reply is not None, "a stream that ended without an error has its reply"
        return stream.reply

    def _tell(self, delta: Delta) -> None:
        if self._on_delta is not None:
            self._on_delta(delta)

    async def _get_pool(self) -> OllamaConnectionPool:
        return self._pool or await get_ollama_pool()


class LocalLLM:
    """`AsyncLocalLLM` for code without an event loop: same methods, same text, same errors, but they block.

    It has a thread with a loop and a pool of its own, made at the first call, unless it is given a pool together with
    the loop in which that pool lives. Use it from any thread; close it, or use it as a context manager.
    """

    def __init__(
        self,
        model: str,
        *,
        pool: OllamaConnectionPool | None = None,
        loop: asyncio.AbstractEventLoop | None = None,
        call: Call | None = None,
        options: Options | None = None,
        think: Think | None = None,
    ) -> None:
        """Arguments as for `AsyncLocalLLM`; `pool` and `loop` only together.

        Raises:
            ValueError: one of `pool` and `loop` without the other.
        """
        self.model = model
        self._llm = AsyncLocalLLM(model, call=call, options=options, think=think)
        if pool is not None and loop is not None:
            self._there: Elsewhere[OllamaConnectionPool] = BorrowedLoop(pool, loop)
        elif pool is None and loop is None:
            self._there = LoopThread(new_ollama_pool, OllamaConnectionPool.aclose)
        else:
            raise ValueError("a pool lives in an event loop: give both pool and loop, or neither")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def bound(
        self, *, call: Call | None = None, on_delta: OnDelta | None = None, watch: Watch | None = None
    ) -> LocalLLM:
        """The same model for one purpose, in the same thread, which closing either of them closes.

        `on_delta` and `watch` are called in the thread of the loop.
        """
        other = copy.copy(self)
        other._llm = self._llm.bound(call=call, on_delta=on_delta, watch=watch)
        return other

    def answer(self, question: Question) -> Completion:
        """Ask, wait for the whole answer, return it."""
        return self._run(lambda llm: llm.answer(question))

    def generate(self, prompt: str, **options: OptionValue) -> str:
        """The text that completes the prompt."""
        return self._run(lambda llm: llm.generate(prompt, **options))

    async def generate_async(self, prompt: str, **options: OptionValue) -> str:
        """As `generate`, for a coroutine: the loop that awaits it goes on. Cancelling it stops the generation."""
        return await awaited(self._there, self._submit(lambda llm: llm.generate(prompt, **options)))

    def stream(self, prompt: str, **options: OptionValue) -> Iterator[str]:
        """The text piece by piece; closing the iterator stops the generation."""
        llm = self._llm
        return iterate(self._there, lambda pool: llm.over(pool).stream(prompt, **options))

    def chat(
        self,
        messages: Iterable[MessageLike],
        *,
        tools: Iterable[ToolLike] = (),
        format: JsonObject | None = None,  # noqa: A002 - the API's own name
        think: Think | None = None,
        options: Options | None = None,
    ) -> Completion:
        """The answer to a conversation."""
        return self.answer(_question(messages, tools, format, think, options))

    def structured(self, prompt: str | Iterable[MessageLike], kind: type[T], *, options: Options | None = None) -> T:
        """The answer as a value of `kind`."""
        return self._run(lambda llm: llm.structured(prompt, kind, options=options))

    def close(self) -> None:
        """End the thread and its pool; calls under way fail with `PoolClosed`. A borrowed pool is left alone.

        Raises:
            WouldBlock: from within a call, where `on_delta` is told of its answer: it would wait for itself.
        """
        self._there.close()

    def _run(self, work: Callable[[AsyncLocalLLM], Coroutine[object, object, R]]) -> R:
        return self._there.wait(self._submit(work))

    def _submit(self, work: Callable[[AsyncLocalLLM], Coroutine[object, object, R]]) -> Future[R]:
        llm = self._llm
        return self._there.submit(lambda pool: work(llm.over(pool)))


def _question(
    messages: Iterable[MessageLike],
    tools: Iterable[ToolLike],
    schema: JsonObject | None,
    think: Think | None,
    options: Options | None,
) -> Question:
    if options:
        check_elsewhere(options)
    return Question(
        messages=read_messages(messages),
        tools=read_tools(tools),
        format=schema,
        think=think,
        options=options or {},
    )
