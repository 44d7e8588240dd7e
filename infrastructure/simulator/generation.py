"""Owns one answer in the making: tokens come from a brain, text goes to a sink, until something ends it."""

from collections.abc import Iterator
from enum import StrEnum
from typing import Protocol

from infrastructure.simulator.filters import RepeatGuard, StopWords
from infrastructure.simulator.tokens import Tokenizer


class Ending(StrEnum):
    """Why an answer ended; the first two are the wire's `done_reason`."""

    STOP = "stop"
    LENGTH = "length"
    REPEATED = "repeated"
    """The repeat guard: the server says nothing more, not even `done`."""


class Sink(Protocol):
    """Where an answer's text goes."""

    def piece(self, text: str, token: str) -> None:
        """Text of one token; empty where it is held back."""
        ...


class Generation:
    """The state of one answer."""

    def __init__(
        self,
        *,
        prompt: str,
        prompt_tokens: int,
        tokens: Iterator[str],
        limit: int,
        stop: StopWords,
        guard: RepeatGuard | None,
        sink: Sink,
        tokenizer: Tokenizer,
    ) -> None:
        self.prompt = prompt
        self.prompt_tokens = prompt_tokens
        self.tokenizer = tokenizer
        self.made = 0
        self.ending: Ending | None = None
        self._said: list[str] = []
        self._tokens = tokens
        self._limit = limit
        self._stop = stop
        self._guard = guard
        self._sink = sink

    @property
    def said(self) -> str:
        """The text so far, stop words and all."""
        return "".join(self._said)

    def step(self) -> bool:
        """Make one token; False when it was the last."""
        token = next(self._tokens, None)
        self.made += 1
        if token is None:
            return self._over(Ending.STOP)
        self._said.append(token)
        if self._guard is not None and self._guard.trips(token):
            self.ending = Ending.REPEATED
            return False
        text, stopped = self._stop.feed(token)
        if text or not stopped:
            self._sink.piece(text, token)
        if stopped:
            self.ending = Ending.STOP
            return False
        if self.made >= self._limit:
            return self._over(Ending.LENGTH)
        return True

    def _over(self, ending: Ending) -> bool:
        if rest := self._stop.rest():
            self._sink.piece(rest, rest)
        self.ending = ending
        return False
