"""Whether an answer is asked for again.

Owns the count, and what is done first: an answer that broke off or outgrew its window is asked for once more; a prompt,
or an answer, that did not fit is asked for once more in a larger window, where that may be had.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeAlias

from infrastructure.pool.errors import Preempted
from infrastructure.pool.windows import Outgrown
from infrastructure.transport.errors import ContextExceeded, OllamaError, StreamBroken, WindowOverrun

if TYPE_CHECKING:
    from agents.model import Options
    from infrastructure.pool.calls import Reply

_ATTEMPTS = 2
_ANSWER_TOKENS = 4096
"""What an answer gets in a larger window where nobody said how long it may be."""


Widen: TypeAlias = Callable[[Outgrown], Awaitable[bool]]
"""Gives the model a larger window; whether it has one now."""


class Attempts:
    """The attempts at one answer."""

    def __init__(self, options: Options, widen: Widen) -> None:
        """With the options that are sent, as far as the caller sets them."""
        wanted = options.get("num_predict")
        self._wanted = wanted if isinstance(wanted, int) and wanted > 0 else None
        self._fixed = "num_ctx" in options
        self._widen = widen
        self._broken = 0
        self._widened = False

    async def worth_another(self, error: OllamaError) -> bool:
        """Whether to ask again after this error, if nobody has had a part that cannot be taken back."""
        if isinstance(error, Preempted):  # it lost its slot, nothing is wrong: it waits for the next one
            return True
        if isinstance(error, ContextExceeded):
            return await self._has_more_room(error.prompt_tokens, error.window)
        if not isinstance(error, StreamBroken | WindowOverrun):
            return False
        self._broken += 1
        if self._broken == _ATTEMPTS:
            error.hint = f"asked {_ATTEMPTS} times; {error.hint}"
            return False
        if isinstance(error, WindowOverrun):  # without a larger window too: the bound is right the next time
            await self._has_more_room(error.prompt_tokens, error.window)
        return True

    async def cut_short(self, reply: Reply) -> bool:
        """Whether the window ended the answer before the length that was asked for, and there is a larger one now."""
        metrics = reply.metrics
        if reply.finish != "length" or not 0 < metrics.completion_tokens < (self._wanted or 0):
            return False
        window = metrics.prompt_tokens + metrics.completion_tokens
        return await self._has_more_room(metrics.prompt_tokens, window)

    async def _has_more_room(self, prompt_tokens: int | None, window: int | None) -> bool:
        if self._fixed or self._widened:
            return False
        answer = self._wanted or _ANSWER_TOKENS
        self._widened = await self._widen(Outgrown(prompt_tokens=prompt_tokens, answer_tokens=answer, window=window))
        return self._widened
