"""The engine as a chat needs it, wherever it is: in this process, or at its holder's.

Owns that seam, and the face of the engine that this process holds. `visiting.py` is the other side of it: one suite of
chats runs on both.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from infrastructure.conversation.errors import NothingToStop
from infrastructure.conversation.saying import Said
from infrastructure.sessions.approvals import ApprovalError, DecisionRefused
from infrastructure.workflow.lanes import choose_model
from infrastructure.workflow.standalone import offer_of

if TYPE_CHECKING:
    from agents.conversation.chunks import StreamChunk
    from backend.bootstrap import Application
    from infrastructure.sessions.approvals import Approval, Decision, Scope
    from infrastructure.sessions.records import SessionRecord, StoredMessage
    from infrastructure.sessions.rulebook import Proposal
    from infrastructure.sessions.rules import Rule
    from infrastructure.tools.journal import Undone

BY = "chat"
"""Who decides, in approvals."""
BY_CTRL_C = "stopped by a person"


@dataclass(frozen=True, slots=True)
class Agent:
    """Who can speak, and what for."""

    name: str
    about: str


class Sessions(Protocol):
    """Sessions and what was said in them. All but `begun` raise UnknownSession where there is none."""

    async def begun(self, title: str, workspace: str, agent: str) -> SessionRecord:
        """A new one."""
        ...

    async def load(self, session: str) -> SessionRecord:
        """One, by its whole id."""
        ...

    async def list(self, limit: int, before: str = "") -> Sequence[SessionRecord]:
        """Those that changed last first, after `before` in this order if it is given."""
        ...

    async def page(self, session: str, limit: int) -> Sequence[StoredMessage]:
        """The newest messages, newest first."""
        ...

    async def fork(self, session: str) -> SessionRecord:
        """A copy of it."""
        ...

    async def rename(self, session: str, title: str) -> None:
        """Give it a title. Raises SessionError or HolderRefused where it cannot be one."""
        ...

    async def undo(self, session: str, key: str) -> Undone:
        """Take back its last write; asked again under the same key, no other one.

        Raises SessionBusy or HolderRefused while a turn is open.
        """
        ...


class Turns(Protocol):
    """What is said and who says it. What is not taken is a ConversationError, or a HolderRefused."""

    async def agents(self) -> Sequence[Agent]:
        """Who can be named."""
        ...

    async def switch(self, session: str, agent: str) -> None:
        """Have this agent get the next message."""
        ...

    async def check_model(self, agent: str) -> None:
        """Return when the agent's model is there, as far as that is asked here. Raises OllamaError or NoModel."""
        ...

    async def is_unheld(self) -> bool:
        """Whether no sandbox holds what agents run."""
        ...

    def say(self, session: str, said: Said, *, ends_when_waiting: bool) -> AsyncGenerator[StreamChunk]:
        """Say something, and follow its turn from its first chunk. Raises BadMessage where it cannot be kept."""
        ...

    def follow(self, session: str, *, ends_when_waiting: bool) -> AsyncGenerator[StreamChunk]:
        """The turn that is open, from its first chunk; nothing where none is. Raises HolderGone where it is cut off."""
        ...

    async def cancel(self, session: str) -> bool:
        """End the turn that is open. Whether one was: it may be over, or its message may still be on its way."""
        ...

    async def submit(self, session: str, call: str, text: str, ok: bool) -> None:
        """Say what came of a call of the session's client."""
        ...


class Questions(Protocol):
    """What a person is asked, and the rules that answers made."""

    async def get(self, approval: str) -> Approval:
        """One question."""
        ...

    async def waiting(self) -> frozenset[str]:
        """The sessions and runs that wait for an answer."""
        ...

    async def propose(self, asked: Approval, patterns: tuple[str, ...] = ()) -> Proposal:
        """Patterns for calls like this one, or these, and what they would have covered. Raises DecisionRefused."""
        ...

    async def decide(self, asked: Approval, decision: Decision, scope: Scope, patterns: tuple[str, ...]) -> None:
        """Answer it; the turn goes on. Raises DecisionRefused, AlreadyDecided, or another ApprovalError."""
        ...

    async def decided(self, approval: str) -> None:
        """Return when it has its answer, whoever gave it, or is taken back."""
        ...

    async def rules(self, session: str, workspace: str) -> Sequence[Rule]:
        """The rules that hold there, oldest first."""
        ...

    async def forget(self, rule: str) -> None:
        """Take a rule back."""
        ...


@dataclass(frozen=True, slots=True)
class Host:
    """The engine."""

    sessions: Sessions
    turns: Turns
    questions: Questions


def host_of(app: Application) -> Host:
    """The engine of this process."""
    return Host(_OwnSessions(app), _OwnTurns(app), _OwnQuestions(app))


class _OwnSessions:
    def __init__(self, app: Application) -> None:
        self._app, self._sessions = app, app.sessions

    async def begun(self, title: str, workspace: str, agent: str) -> SessionRecord:
        return await self._sessions.create(title=title, workspace=workspace, agent=agent)

    async def load(self, session: str) -> SessionRecord:
        return await self._sessions.load(session)

    async def list(self, limit: int, before: str = "") -> Sequence[SessionRecord]:
        return await self._sessions.list(limit, before)

    async def page(self, session: str, limit: int) -> Sequence[StoredMessage]:
        return await self._sessions.page(session, limit=limit)

    async def fork(self, session: str) -> SessionRecord:
        return await self._sessions.fork(session)

    async def rename(self, session: str, title: str) -> None:
        await self._sessions.update(session, title=title)

    async def undo(self, session: str, key: str) -> Undone:
        return await self._app.undoing.undo(session, key)


class _OwnTurns:
    def __init__(self, app: Application) -> None:
        self._app, self._conversations = app, app.conversations

    async def agents(self) -> Sequence[Agent]:
        router = self._conversations.router
        return [Agent(str(name), router.profile(name).about) for name in router.names]

    async def switch(self, session: str, agent: str) -> None:
        await self._app.agent_contexts.switch_agent(session, agent, by="person")

    async def check_model(self, agent: str) -> None:
        settings, pool = self._app.settings, self._app.pool
        lane = self._conversations.router.profile(agent).lane or settings.roles.get(agent) or settings.model
        if lane:
            await pool.show(lane)
        else:
            choose_model([offer_of(model) for model in await pool.models()])

    async def is_unheld(self) -> bool:
        return self._app.settings.sandbox.level == "none"

    async def say(self, session: str, said: Said, *, ends_when_waiting: bool) -> AsyncGenerator[StreamChunk]:
        _, followed = await self._conversations.begin_watched(session, said, ends_when_waiting=ends_when_waiting)
        async with aclosing(followed) as chunks:
            async for chunk in chunks:
                yield chunk

    def follow(self, session: str, *, ends_when_waiting: bool) -> AsyncGenerator[StreamChunk]:
        return self._conversations.follow(session, ends_when_waiting=ends_when_waiting)

    async def cancel(self, session: str) -> bool:
        try:
            await self._conversations.cancel(session, BY_CTRL_C)
        except NothingToStop:
            return False
        return True

    async def submit(self, session: str, call: str, text: str, ok: bool) -> None:
        await self._conversations.submit_tool_result(session, call, text, ok)


class _OwnQuestions:
    def __init__(self, app: Application) -> None:
        self._app, self._approvals = app, app.approvals

    async def get(self, approval: str) -> Approval:
        return await self._approvals.get(approval)

    async def waiting(self) -> frozenset[str]:
        return frozenset(each.owner for each in await self._approvals.pending())

    async def propose(self, asked: Approval, patterns: tuple[str, ...] = ()) -> Proposal:
        return await self._approvals.rulebook.propose(asked, patterns)

    async def decide(self, asked: Approval, decision: Decision, scope: Scope, patterns: tuple[str, ...]) -> None:
        try:
            await self._approvals.decide(asked.id, decision, by=BY, nonce=asked.nonce, scope=scope, patterns=patterns)
        except DecisionRefused:  # it has to be given anew
            raise
        except ApprovalError:  # it has its answer, which the turn is told
            await self._app.conversations.resume(asked.owner)
            raise
        await self._app.conversations.resume(asked.owner)

    async def decided(self, approval: str) -> None:
        await self._approvals.wait(approval)

    async def rules(self, session: str, workspace: str) -> Sequence[Rule]:
        return await self._approvals.rulebook.rules(session, workspace)

    async def forget(self, rule: str) -> None:
        await self._approvals.rulebook.delete(rule)
