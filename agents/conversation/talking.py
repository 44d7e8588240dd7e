"""An agent: it is told who it is, is shown the session, and answers in pieces.

Owns the way from a session to a question: the system prompt, the tools, the history as a model is shown it. Who
answers, and the writing of the answer, is the stream service's.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, fields, replace
from functools import cache, lru_cache

from agents.conversation.chunks import StreamChunk
from agents.conversation.history import answers_to
from agents.conversation.ports import SessionPort, Speaker, StreamService, TurnContext
from agents.conversation.roster import AgentProfile, AgentType
from agents.conversation.showing import RESULT_KEEP, shown
from agents.model import Message
from agents.prompting import Prompt, load_prompt

RULES = "shared/talking"
"""The prompt that every agent gets after its own."""
_PERSON = "/person"


@dataclass(frozen=True, slots=True)
class Colleague:
    """Another agent, as one is told of it."""

    name: str
    about: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Briefing:
    """The variables of a system prompt: the same in every step of a session, so that its cache holds."""

    agents: tuple[Colleague, ...] = ()
    workspace: str = ""


class BaseAgent:
    """One agent over one model."""

    def __init__(self, profile: AgentProfile, service: StreamService, briefing: Briefing) -> None:
        self.profile = profile
        self._service = service
        self._briefing = briefing

    async def process(
        self, session_id: str, message: str, context: TurnContext, session_mgr: SessionPort
    ) -> AsyncGenerator[StreamChunk, None]:
        """Answer once: words, calls of tools, or both.

        Args:
            session_id: The session, loaded.
            message: What the person says; empty to answer what the session ends with. Said once for each turn.
            context: What is known besides.
            session_mgr: Reads and writes the session.

        Raises whatever the service and the session raise.
        """
        if message:
            await session_mgr.append_message(session_id, Message("user", message), key=message_key(context.turn))
        history = session_mgr.get_history(session_id)
        system = Message("system", self.system_prompt(context.workspace))
        messages = (system, *shown(history, context, result_keep=context.result_keep or RESULT_KEEP))
        speaker = Speaker(
            agent=str(self.profile.name),
            key=f"{context.turn}/{answers_to(history.messages)}",
            closing=context.closing,
            options=self.profile.options,
            think=self.profile.think,
        )
        tools = self.profile.tools if context.tools is None else context.tools
        answer = self._service.bound(speaker).stream_response(session_id, messages, tools, session_mgr)
        async with aclosing(answer) as chunks:
            async for chunk in chunks:
                yield chunk

    def system_prompt(self, workspace: str = "") -> str:
        """What the agent is told before anything else."""
        return _system_prompt(self.profile.name, self.profile.body, replace(self._briefing, workspace=workspace))


def message_key(turn: str) -> str:
    """The key under which a turn's own message is written."""
    return f"{turn}{_PERSON}"


def turn_of(key: str) -> str:
    """The turn that a message under this key began; empty for any other message."""
    return key.removesuffix(_PERSON) if key.endswith(_PERSON) else ""


@lru_cache(maxsize=256)
def _system_prompt(name: str, body: str, briefing: Briefing) -> str:
    values = {each.name: getattr(briefing, each.name) for each in fields(briefing)}
    own = body or prompt_of(name).render("system", values)
    return f"{own.strip()}\n\n{load_prompt(RULES).render('system', values)}"


@cache
def prompt_of(name: str) -> Prompt:
    """The prompt of one of the six."""
    return load_prompt(f"{name}/talk")


_LOADED = (load_prompt(RULES), *map(prompt_of, AgentType))  # when this is imported: no event loop waits for a disk
