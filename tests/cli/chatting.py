"""A person who is a list of answers, and a terminal that is two texts."""

from __future__ import annotations

import io
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from backend.cli.console import Terminal, open_terminal
from backend.cli.person import GivenUp, Person

Answering = str | BaseException | Callable[[], Awaitable[str]] | None


@dataclass
class Scripted(Person):
    """Gives its answers one after the other: a key, a line, a message, a text; None leaves, an exception is raised."""

    answers: list[Answering]
    asked: list[str] = field(default_factory=list)
    defaults: list[str] = field(default_factory=list)

    async def message(self, prompt: str) -> str | None:
        return await self._next(prompt)

    async def key(self, prompt: str) -> str | None:
        return await self._next(prompt)

    async def line(self, prompt: str, default: str = "") -> str:
        self.defaults.append(default)
        answer = await self._next(prompt)
        if answer is None:
            raise GivenUp
        return answer or default

    async def edit(self, text: str) -> str:
        return await self.line("edit", text)

    async def _next(self, prompt: str) -> str | None:
        self.asked.append(prompt)
        assert self.answers, f"nobody expected to be asked {prompt!r}"
        answer = self.answers.pop(0)
        if isinstance(answer, BaseException):
            raise answer
        return await answer() if callable(answer) else answer


class Screen:
    """What a command wrote: words on `out`, everything else on `err`."""

    def __init__(self, person_there: bool = True) -> None:
        self._out, self._err = io.StringIO(), io.StringIO()
        opened = open_terminal(self._out, self._err)
        self.terminal = Terminal(opened.out, opened.err, person_there)

    @property
    def out(self) -> str:
        return self._out.getvalue()

    @property
    def err(self) -> str:
        return self._err.getvalue()
