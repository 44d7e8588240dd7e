"""Questions to models, as callers put them.

Owns how a question becomes an errand: the lane that its model and options name, and whether an equal one that is under
way is waited for instead. What the pool is besides is in `infrastructure.connection_pool`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from infrastructure.pool.asks import Ask, ChatAsk, EmbedAsk, GenerateAsk
from infrastructure.pool.calls import Call, Reply, Watch
from infrastructure.pool.coalescing import Flights, is_deterministic
from infrastructure.pool.errand import Errand
from infrastructure.pool.messages import MessageLike, ToolLike, check_prompt, read_messages, read_tools
from infrastructure.pool.run import Run
from infrastructure.pool.stream import ChunkStream
from infrastructure.transport.encoding import is_cloud
from infrastructure.transport.errors import CloudModelRefused
from infrastructure.transport.messages import ChatRequest, EmbedRequest, Format, GenerateRequest

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from agents.model import Options, Think
    from infrastructure.pool.dispatcher import Dispatcher
    from infrastructure.pool.lanes import LaneBook

_NO_OPTIONS: Options = {}
_NO_CALL = Call()


class Questions:
    """The part of a pool that is asked."""

    def __init__(self, lanes: LaneBook, dispatcher: Dispatcher) -> None:
        self._lanes = lanes
        self._dispatcher = dispatcher
        self._flights = Flights()

    async def generate(
        self,
        *,
        model: str,
        prompt: str,
        system: str | None = None,
        suffix: str | None = None,
        raw: bool = False,
        format: Format | None = None,  # noqa: A002 - the API's own name
        think: Think | None = None,
        options: Options = _NO_OPTIONS,
        call: Call = _NO_CALL,
        watch: Watch | None = None,
    ) -> str:
        """The text that completes the prompt.

        Args:
            model: a lane's name or a model's.
            prompt: what to complete.
            system: instead of the model's own system text.
            suffix: what follows the gap that is to be filled, for models that can.
            raw: send the prompt as it is, without the model's template.
            format: a JSON schema, or "json".
            think: whether or how hard to think first; None leaves it to the server.
            options: sampling options; a load-time one that differs from the lane's makes a lane of its own.
            call: for whom, how urgent, until when.
            watch: told of every change of the call's state.

        Raises:
            OllamaError: the call could not be carried out; the class says why, `hint` what to do.
        """
        check_prompt(prompt)
        request = GenerateRequest(
            model=model, prompt=prompt, system=system, suffix=suffix, raw=raw, format=format, think=think
        )
        return (await self._whole(model, GenerateAsk(request), options, call, watch)).text

    def stream_generate(
        self,
        *,
        model: str,
        prompt: str,
        system: str | None = None,
        suffix: str | None = None,
        raw: bool = False,
        format: Format | None = None,  # noqa: A002 - the API's own name
        think: Think | None = None,
        options: Options = _NO_OPTIONS,
        call: Call = _NO_CALL,
        watch: Watch | None = None,
        whole: bool = False,
    ) -> ChunkStream:
        """As `generate`, chunk by chunk; with `whole` only the last one, and the call may begin anew until then."""
        check_prompt(prompt)
        request = GenerateRequest(
            model=model, prompt=prompt, system=system, suffix=suffix, raw=raw, format=format, think=think
        )
        return ChunkStream(self._run(model, GenerateAsk(request), options, call, watch, whole=whole))

    async def chat(
        self,
        *,
        model: str,
        messages: Iterable[MessageLike],
        tools: Iterable[ToolLike] = (),
        format: Format | None = None,  # noqa: A002 - the API's own name
        think: Think | None = None,
        options: Options = _NO_OPTIONS,
        call: Call = _NO_CALL,
        watch: Watch | None = None,
    ) -> Reply:
        """The whole answer to a conversation; arguments and errors as for `generate`.

        `messages` and `tools` may be ours or of Ollama's dict shape. Until the answer is whole, a speculative call
        that is pre-empted begins anew by itself.
        """
        request = ChatRequest(
            model=model, messages=read_messages(messages), tools=read_tools(tools), format=format, think=think
        )
        return await self._whole(model, ChatAsk(request), options, call, watch)

    def stream_chat(
        self,
        *,
        model: str,
        messages: Iterable[MessageLike],
        tools: Iterable[ToolLike] = (),
        format: Format | None = None,  # noqa: A002 - the API's own name
        think: Think | None = None,
        options: Options = _NO_OPTIONS,
        call: Call = _NO_CALL,
        watch: Watch | None = None,
        whole: bool = False,
    ) -> ChunkStream:
        """The answer to a conversation, chunk by chunk; see `ChunkStream`."""
        request = ChatRequest(
            model=model, messages=read_messages(messages), tools=read_tools(tools), format=format, think=think
        )
        return ChunkStream(self._run(model, ChatAsk(request), options, call, watch, whole=whole))

    async def embed(
        self,
        *,
        model: str,
        input: str | Sequence[str],  # noqa: A002 - the API's own name
        options: Options = _NO_OPTIONS,
        dimensions: int | None = None,
        truncate: bool = False,
        call: Call = _NO_CALL,
        watch: Watch | None = None,
    ) -> list[tuple[float, ...]]:
        """One vector for each text, in their order. A text longer than the window is refused unless `truncate`."""
        texts = (input,) if isinstance(input, str) else tuple(input)
        ask = EmbedAsk(EmbedRequest(model=model, input=texts, dimensions=dimensions, truncate=truncate))
        if watch is not None or call.deadline is not None:
            await self._run(model, ask, options, call, watch, whole=True).whole()
            return ask.vectors

        self._dispatcher.home.check()  # an equal question may be under way in another loop

        async def vectors() -> list[tuple[float, ...]]:
            await self._run(model, ask, options, call, watch, whole=True).whole()
            return ask.vectors

        return list(await self._flights.share(ask.question(options, call.band), vectors))

    async def _whole(self, model: str, ask: Ask, options: Options, call: Call, watch: Watch | None) -> Reply:
        """The whole answer; an equal one that is under way is waited for, where it would be the same."""
        if watch is not None or call.deadline is not None or not is_deterministic(options):
            return await self._run(model, ask, options, call, watch, whole=True).whole()
        self._dispatcher.home.check()  # as in `embed`
        return await self._flights.share(
            ask.question(options, call.band), lambda: self._run(model, ask, options, call, watch, whole=True).whole()
        )

    def _run(self, model: str, ask: Ask, options: Options, call: Call, watch: Watch | None, *, whole: bool) -> Run:
        self._dispatcher.check_open()
        settings = self._lanes.settings(model)
        if is_cloud(settings.model) and not self._dispatcher.settings.allow_cloud:
            raise CloudModelRefused(settings.model)
        lane, rest = self._lanes.split(settings, options)
        lane = self._dispatcher.inventory.aliases.lane(lane)
        errand = Errand(ask=ask, settings=settings, lane=lane, options=rest, call=call, watch=watch, whole=whole)
        return Run(errand, self._dispatcher)
