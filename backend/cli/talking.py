"""One turn of a conversation at the command line: followed to its end, asked about, stopped by Ctrl-C.

Owns the loop around a turn. Who watches decides nothing but what the person decides: the turn is the orchestrator's.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable
from contextlib import aclosing, suppress
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias, TypeVar

from agents.conversation.chunks import StreamChunk
from backend.attach.guest import HolderGone, HolderRefused
from backend.cli.console import Terminal
from backend.cli.hosting import Host
from backend.cli.interrupts import interruptible
from backend.cli.permitting import Answer, Permission, said_of
from backend.cli.person import GivenUp, Person
from backend.cli.speaking import Spoken
from infrastructure.conversation.feed import RESTS
from infrastructure.conversation.saying import Said
from infrastructure.sessions.approvals import (
    AlreadyDecided,
    Approval,
    ApprovalError,
    ApprovalState,
    DecisionRefused,
)

T = TypeVar("T")
_AGAIN_SECONDS = 0.2
"""How soon a turn is stopped again that its holder had not heard of yet."""
Status: TypeAlias = Literal["done", "failed", "cancelled", "waiting", "left"]


@dataclass(slots=True)
class Ending:
    """How a turn stands when it is no longer watched.

    Attributes:
        status: `waiting` where nobody was there to be asked, `left` where the person went with a question open.
        agent: Who spoke last.
        text: What was said in whole messages.
        reason: Why it failed.
        waits: Calls that wait for a person or the client.
    """

    status: Status = "done"
    agent: str = ""
    text: list[str] = field(default_factory=list[str])
    reason: str = ""
    waits: list[StreamChunk] = field(default_factory=list[StreamChunk])


class _Elsewhere:
    """No answer of this person's: somebody else gave one, or the question was taken back."""


class Turn:
    """Watches one turn of a session. `person` is None where nobody can be asked."""

    def __init__(self, host: Host, session: str, spoken: Spoken, terminal: Terminal, person: Person | None) -> None:
        self._host, self._session = host, session
        self._spoken, self._terminal, self._person = spoken, terminal, person
        self._question: asyncio.Future[Any] | None = None
        self._stopped: asyncio.Task[None] | None = None
        self._over = asyncio.Event()
        """Nothing more comes of the turn."""
        self._pieces: list[str] = []
        self._ending = Ending()

    async def see(self, said: Said | None = None) -> Ending | None:
        """Watch until the turn ends, rests with nobody to ask, or the person leaves; None where none is open.

        Args:
            said: What begins the turn; None: it is the one that is open.

        Raises:
            ConversationError, SessionError, HolderRefused: nothing was said.
            HolderGone: whoever held the engine is gone; the turn goes on with the next one.
        """
        seen, rests, turns = False, self._person is None, self._host.turns
        if said is None:
            followed = turns.follow(self._session, ends_when_waiting=rests)
        else:
            followed = turns.say(self._session, said, ends_when_waiting=rests)
        try:
            with interruptible(self._stop, (signal.SIGINT,)):
                async with aclosing(followed) as chunks:
                    async for chunk in chunks:
                        seen = True
                        self._take(chunk)
                        if chunk.kind in RESTS and not await self._asked(chunk):
                            break
                self._over.set()
                if self._stopped is not None:
                    await self._stopped
        finally:
            self._over.set()
            self._spoken.close()
        return self._ending if seen else None

    # ------------------------------------------------------------------------------------ what is told
    def _take(self, chunk: StreamChunk) -> None:
        self._spoken.show(chunk, self._session)
        ending = self._ending
        ending.agent = chunk.agent or ending.agent
        match chunk.kind:
            case "text":
                self._pieces.append(chunk.text)
                if chunk.message:
                    ending.text.append("".join(self._pieces))
                    self._pieces.clear()
            case "restarted":
                self._pieces.clear()
            case "approval" | "client_call":
                ending.waits.append(chunk)
                ending.status = "waiting"
            case "tool_result":
                ending.waits = [each for each in ending.waits if each.call != chunk.call]
            case "done" | "failed":
                ending.waits.clear()
                ending.reason = chunk.text
                ending.status = chunk.kind
                if chunk.kind == "failed" and self._stopped is not None:
                    ending.status = "cancelled"
            case _:
                pass

    # ------------------------------------------------------------------------------------ stopping
    def _stop(self) -> None:
        """The first Ctrl-C: the turn ends, the chat does not."""
        question = self._question
        if question is not None:
            question.cancel()
        self._stopped = asyncio.ensure_future(self._cancel(question))

    async def _cancel(self, question: asyncio.Future[Any] | None) -> None:
        if question is not None:
            await asyncio.wait([question])  # it ends its line
        self._spoken.line("stopping the agent; Ctrl-C again ends this at once", "yellow")
        while not await self._host.turns.cancel(self._session) and not self._over.is_set():
            with suppress(TimeoutError):  # a message goes its own way, which the stop may have overtaken
                await asyncio.wait_for(self._over.wait(), _AGAIN_SECONDS)

    # ------------------------------------------------------------------------------------ asking
    async def _asked(self, chunk: StreamChunk) -> bool:
        """Put what waits to the person, if there is one. Whether to go on watching."""
        if self._person is None or self._stopped is not None:
            return True
        answered = self._permit(chunk, self._person) if chunk.approval else self._stand_in(chunk, self._person)
        if await answered:
            self._ending.status = "done"
            return True
        self._ending.status = "left"
        return False

    async def _permit(self, chunk: StreamChunk, person: Person) -> bool:
        asked = await self._host.questions.get(chunk.approval)
        permission = Permission(asked, self._host.questions, person, self._terminal)
        while asked.state is ApprovalState.PENDING and self._stopped is None:
            self._spoken.line("")
            answer = await self._unless_answered(asked, permission.ask())
            if isinstance(answer, _Elsewhere) or self._stopped is not None:
                break
            if answer is None:
                return False
            if await self._decide(asked, answer):
                return True
        if self._stopped is None:
            self._spoken.line("that has its answer from elsewhere", "dim")
        return True

    async def _decide(self, asked: Approval, answer: Answer) -> bool:
        """Hand the answer over; False where it has to be given anew."""
        try:
            await self._host.questions.decide(asked, answer.decision, answer.scope, answer.patterns)
        except DecisionRefused as refused:
            self._terminal.problem(str(refused), refused.hint)
            return False
        except AlreadyDecided:
            self._spoken.line("that has its answer from elsewhere", "dim")
        except ApprovalError as error:  # it is too old by now: a no, which the turn is told
            self._terminal.problem(str(error), error.hint)
        else:
            if said := said_of(answer):
                self._spoken.line(f"  {said}", "dim")
        return True

    async def _stand_in(self, chunk: StreamChunk, person: Person) -> bool:
        """A call of the session's client, which is not here: the person does it, or says that it is not done."""
        self._terminal.say("the program that does this is not here; you can say what came of it", "yellow")
        typed = await self._interruptible(self._result(person))
        if isinstance(typed, _Elsewhere):
            return True
        if typed is None:
            return False
        text, ok = typed
        await self._host.turns.submit(self._session, chunk.call, text, ok)
        return True

    async def _result(self, person: Person) -> tuple[str, bool] | None:
        while True:
            pressed = await person.key("[r]esult, [n]ot done; Ctrl-D leaves it waiting: ")
            if pressed is None:
                return None
            if pressed == "n":
                return "The person at the terminal could not do this.", False
            if pressed == "r":
                with suppress(GivenUp):
                    return await person.line("Result: "), True

    async def _unless_answered(self, asked: Approval, question: Awaitable[Answer | None]) -> Answer | _Elsewhere | None:
        """The answer; `_Elsewhere` where somebody else gives one meanwhile, or the turn is stopped.

        Raises:
            HolderGone, HolderRefused: nobody can be asked whether it has its answer.
        """
        elsewhere = asyncio.ensure_future(self._host.questions.decided(asked.id))
        elsewhere.add_done_callback(lambda _: None if self._question is None else self._question.cancel())
        try:
            answer = await self._interruptible(question)
        finally:
            elsewhere.cancel()
            await asyncio.wait([elsewhere])
            lost = None if elsewhere.cancelled() else elsewhere.exception()
        if isinstance(answer, _Elsewhere) and isinstance(lost, HolderGone | HolderRefused):
            raise lost  # any other: the manager was closed, which the turn says itself
        return answer

    async def _interruptible(self, question: Awaitable[T]) -> T | _Elsewhere:
        """What the person says; `_Elsewhere` where the question was taken back."""
        asking = self._question = asyncio.ensure_future(question)
        try:
            await asyncio.wait([asking])
            return _Elsewhere() if asking.cancelled() else asking.result()
        finally:
            asking.cancel()
            self._question = None
