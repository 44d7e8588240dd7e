"""The chat model itself: what LangChain asks of one, over the pool.

Owns the fields, and the four ways of asking: whole or in pieces, awaited or blocking.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from typing import Any, cast

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel, LanguageModelInput
from langchain_core.language_models.base import LangSmithParams
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatGenerationChunk, ChatResult
from langchain_core.runnables import Runnable, ensure_config
from pydantic import BaseModel, ConfigDict, Field, model_validator
from typing_extensions import override

from agents.model import Think, Tool
from infrastructure.chat_model.answers import Streamed, result_of
from infrastructure.chat_model.arguments import OptionValue, format_of, gathered, merged_options
from infrastructure.chat_model.asking import Asked, pieces, whole
from infrastructure.chat_model.choosing import ToolChoice, check_choice, offered
from infrastructure.chat_model.conversation import conversation
from infrastructure.chat_model.structured import Method, ToolDefinition, as_tool, structured
from infrastructure.chat_model.thread import shared
from infrastructure.connection_pool import Call, OllamaConnectionPool, get_ollama_pool
from infrastructure.pool.loop_thread import BorrowedLoop, Elsewhere, iterate, remember_process
from infrastructure.pool.messages import read_tools
from infrastructure.pool.options import OPTIONS
from infrastructure.transport.messages import Format
from infrastructure.transport.window import estimate_tokens

_UNSAID = ("stream", "strict", "ls_structured_output_format")
"""Of a call: streaming is decided before, a grammar is always strict, and the last is for traces."""


class ChatOllamaPool(BaseChatModel):
    """One model (or lane) of the pool, as LangChain and LangGraph know chat models.

    Ollama's options may stand beside the fields (`ChatOllamaPool(model="coder", temperature=0)`), and so may
    `max_tokens` (its `num_predict`) and `timeout` (the deadline of a call, in seconds). What is unknown is refused.
    Errors are the pool's: `OllamaError` with a hint. Cancelling a call, or leaving a stream, stops the generation.
    """

    model_config = ConfigDict(extra="forbid", arbitrary_types_allowed=True)

    model: str
    """A lane's name or a model's."""
    pool: OllamaConnectionPool | None = Field(default=None, exclude=True, repr=False)
    """None: the one of the process, and for synchronous calls another one of the same settings, in its own thread."""
    loop: asyncio.AbstractEventLoop | None = Field(default=None, exclude=True, repr=False)
    """In which `pool` lives; the one that runs when the model is made, if none is given. For synchronous calls."""
    call: Call = Field(default_factory=Call)
    """For whom, how urgent, until when. Without a `prefix` the thread of the LangGraph run is taken for it."""
    options: dict[str, OptionValue] = Field(default_factory=dict[str, OptionValue])
    """By Ollama's names; those of a call go before them."""
    reasoning: Think | None = None
    """Whether, or how hard, the model thinks first; None leaves it to the server."""
    streaming: bool = False
    """Whether `invoke` takes the answer in pieces, too, for callbacks that want tokens."""

    @model_validator(mode="before")
    @classmethod
    def _gathered(cls, given: object) -> object:
        return gathered(cast("Mapping[str, object]", given), cls.model_fields) if isinstance(given, Mapping) else given

    @model_validator(mode="after")
    def _placed(self) -> ChatOllamaPool:
        if self.pool is None and self.loop is not None:
            raise ValueError("loop says where pool lives: give the pool, too")
        if self.pool is not None and self.loop is None:
            self.loop = asyncio._get_running_loop()
        if self.loop is not None:
            remember_process(self.loop)
        return self

    @override
    def __deepcopy__(self, memo: dict[int, Any] | None = None) -> ChatOllamaPool:
        """A copy over the same pool."""
        memo = {} if memo is None else memo  # the one given: what is shared with things around stays shared
        memo.update({id(self.pool): self.pool, id(self.loop): self.loop})
        return super().__deepcopy__(memo)

    @override
    def __getstate__(self) -> dict[Any, Any]:
        """What is pickled.

        Raises:
            TypeError: the model was given a pool.
        """
        if self.pool is not None:
            raise TypeError(
                "a chat model that was given a pool cannot be pickled: its connections are of this process. Make it "
                "where it is used, or give it no pool: it then uses the one of the process that it comes to"
            )
        return super().__getstate__()

    # ---------------------------------------------------------------------------------------- asking
    @override
    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        asked = self._asked(messages, stop, kwargs)
        return result_of(await whole(await self._get_pool(), asked))

    @override
    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        stream, streamed = pieces(await self._get_pool(), self._asked(messages, stop, kwargs)), Streamed()
        try:
            async for piece in stream:
                chunk = streamed.chunk(piece)
                if run_manager is not None:
                    await run_manager.on_llm_new_token(chunk.text, chunk=chunk)
                yield chunk
        finally:
            await stream.aclose()

    @override
    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        asked, there = self._asked(messages, stop, kwargs), self._there()
        return result_of(there.wait(there.submit(lambda pool: whole(pool, asked))))

    @override
    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        asked, streamed = self._asked(messages, stop, kwargs), Streamed()
        for piece in iterate(self._there(), lambda pool: pieces(pool, asked)):
            chunk = streamed.chunk(piece)
            if run_manager is not None:
                run_manager.on_llm_new_token(chunk.text, chunk=chunk)
            yield chunk

    @override
    def bind_tools(
        self,
        tools: Sequence[ToolDefinition],
        *,
        tool_choice: ToolChoice = None,
        strict: bool | None = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, AIMessage]:
        """The same model with tools.

        Args:
            tools: functions, LangChain tools, pydantic types, or dicts of OpenAI's shape.
            tool_choice: "auto" (or None), "none", "any" (or "required", True), or the name of the one to be called.
            strict: unused; a call that has to be made is bound by a grammar, another cannot be.
            kwargs: bound, too.

        Raises:
            ValueError: the choice is none of these, or names no tool.
        """
        described = [as_tool(tool) for tool in tools]
        choice = check_choice(tool_choice, (tool.name for tool in read_tools(described)))
        return self.bind(tools=described, tool_choice=choice, **kwargs)

    @override
    def with_structured_output(
        self,
        schema: dict[str, Any] | type | None = None,
        *,
        method: Method = "json_schema",
        include_raw: bool = False,
        strict: bool | None = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, dict[str, Any] | BaseModel]:
        """The same model with answers of one shape.

        Args:
            schema: a pydantic type, a TypedDict, a JSON schema, or a function or tool in OpenAI's shape.
            method: "json_schema" and "function_calling" are enforced by a grammar on the server; "json_mode" gives
                any JSON object, of which the prompt has to say the shape.
            include_raw: a dict of `raw`, `parsed` and `parsing_error` instead of the value alone.
            strict: unused; a grammar is always strict.
            kwargs: bound, too.

        Raises:
            ValueError: there is no schema, and the method needs one.
        """
        return structured(self, schema, method, include_raw=include_raw, **kwargs)

    # ---------------------------------------------------------------------------------------- told of itself
    @property
    @override
    def _llm_type(self) -> str:
        return "chat-ollama-pool"

    @property
    @override
    def _identifying_params(self) -> dict[str, Any]:
        return {"model": self.model, "options": self.options, "reasoning": self.reasoning}

    @override
    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: Any) -> LangSmithParams:
        options = merged_options(self.options, {name: kwargs[name] for name in _named_options(kwargs)}, {"stop": stop})
        told = LangSmithParams(
            ls_provider="ollama", ls_model_name=str(kwargs.get("model") or self.model), ls_model_type="chat"
        )
        if isinstance(temperature := options.get("temperature"), int | float):
            told["ls_temperature"] = temperature
        if isinstance(longest := options.get("num_predict"), int):
            told["ls_max_tokens"] = longest
        if isinstance(words := options.get("stop"), list):
            told["ls_stop"] = words
        return told

    @override
    def get_num_tokens(self, text: str) -> int:
        """About as many tokens as the text takes, rather too many than too few; no tokenizer is fetched for it."""
        return estimate_tokens(prompt=text)

    @override
    def get_num_tokens_from_messages(
        self, messages: list[BaseMessage], tools: Sequence[ToolDefinition] | None = None
    ) -> int:
        """About as many tokens as the conversation takes, rather too many than too few; images are not counted."""
        return estimate_tokens(messages=conversation(messages), tools=_tools(tools or ()))

    @override
    def get_token_ids(self, text: str) -> list[int]:
        """Not known.

        Raises:
            NotImplementedError: only the server has the model's tokenizer.
        """
        if self.custom_get_token_ids is not None:
            return self.custom_get_token_ids(text)
        raise NotImplementedError("the tokenizer is the server's; use get_num_tokens for a number")

    # ---------------------------------------------------------------------------------------- pieces
    def _asked(self, messages: list[BaseMessage], stop: list[str] | None, given: Mapping[str, Any]) -> Asked:
        """What is asked, from the fields and what a call gives beside its messages.

        Raises:
            TypeError: a call gives what is unknown.
            ValueError: a value is of the wrong kind.
        """
        known = ("model", "tools", "tool_choice", "format", "response_format", "reasoning", "options", "call")
        named = _named_options(given)
        if unknown := sorted(given.keys() - set(known) - set(_UNSAID) - set(named)):
            raise TypeError(f"unknown in a call: {', '.join(unknown)}; Ollama's own options go into options={{…}}")
        return Asked(
            model=given.get("model") or self.model,
            messages=conversation(messages),
            offer=offered(_tools(given.get("tools") or ()), given.get("tool_choice")),
            format=_format(given),
            think=given.get("reasoning", self.reasoning),
            options=merged_options(
                self.options,
                cast("Mapping[str, object]", given.get("options") or {}),
                {name: given[name] for name in named},
                {} if stop is None else {"stop": stop},
            ),
            call=_of_thread(given.get("call") or self.call),
        )

    async def _get_pool(self) -> OllamaConnectionPool:
        return self.pool or await get_ollama_pool()

    def _there(self) -> Elsewhere[OllamaConnectionPool]:
        if self.pool is None:
            return shared.get()
        if self.loop is None:
            raise RuntimeError("a pool lives in an event loop: give loop=, too, or use the asynchronous methods")
        return BorrowedLoop(self.pool, self.loop)


def _named_options(given: Mapping[str, object]) -> tuple[str, ...]:
    return tuple(name for name in given if name in OPTIONS or name == "max_tokens")


def _tools(tools: Sequence[ToolDefinition]) -> tuple[Tool, ...]:
    return read_tools(as_tool(tool) for tool in tools)


def _format(given: Mapping[str, Any]) -> Format | None:
    if given.get("format") is not None:
        return given["format"]
    return None if given.get("response_format") is None else format_of(given["response_format"])


def _of_thread(call: Call) -> Call:
    """The call, in LangGraph with its thread for a prefix: calls of one thread share the beginning of their prompt."""
    thread = ensure_config().get("configurable", {}).get("thread_id")
    if call.prefix is not None or thread is None:
        return call
    return Call(client=call.client, band=call.band, prefix=str(thread), deadline=call.deadline)
