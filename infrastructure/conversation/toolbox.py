"""The tools of a session, over a registry: Corral's own, those of servers, and those that its client declares.

Owns where a client's declaration is kept: in the session's settings under `client_tools`, so that it outlives a
process, and a session without them has none.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import TypeAlias

from pydantic import TypeAdapter, ValidationError

from agents.conversation.roster import EVERY_TOOL
from agents.model import Tool, ToolCall
from infrastructure.conversation.ports import Toolbox, ToolOutcome, ToolPlace, ToolSheet
from infrastructure.danger.judging import always_asks
from infrastructure.danger.levels import Danger
from infrastructure.sandbox import Limits, Sandbox
from infrastructure.sessions.manager import AsyncSessionManager
from infrastructure.tools.client import ClientTool, client_result, client_tools
from infrastructure.tools.registry import ToolRegistry
from infrastructure.tools.schemas import BadTool
from infrastructure.tools.tool import (
    Refused,
    RegisteredTool,
    TodoPort,
    ToolPolicy,
    ToolResult,
    ToolSpec,
    WritePort,
)
from infrastructure.tools.tool import ToolPlace as Place

CLIENT_TOOLS = "client_tools"
"""The session's setting that holds what its client declares: a list as `tools.client.ClientTool` reads it."""
MOST_OUTSIDE = 3
"""Tools of the client and of servers that take a place from those an agent names."""
_LIST: TypeAdapter[list[ClientTool]] = TypeAdapter(list[ClientTool])
_MOST_KEPT = 1_000

Outside: TypeAlias = Callable[[], Awaitable[Sequence[RegisteredTool]]]

_logger = logging.getLogger(__name__)


class SessionTools(Toolbox):
    """Tools by session.

    Args:
        sessions: Whose settings declare client tools.
        own: Corral's tools.
        outside: Gives the tools of servers, as they are now.
        todos: Where lists are kept.
        journal: How files are written.
        sandbox: Opens the sandbox.
        limits: Of one execution in it.
    """

    def __init__(
        self,
        sessions: AsyncSessionManager,
        own: ToolRegistry,
        *,
        outside: Outside,
        todos: TodoPort,
        journal: WritePort,
        sandbox: Callable[[], Awaitable[Sandbox]],
        limits: Limits,
    ) -> None:
        self._sessions = sessions
        self._own = self._base = own
        self._outside = outside
        self._todos, self._journal = todos, journal
        self._sandbox, self._limits = sandbox, limits
        self._declared: dict[str, tuple[RegisteredTool, ...]] = {}

    async def ready(self, session: str) -> None:
        """Have the tools of servers, but for names that are taken, and read the client's in a thread: it takes long."""
        found = {tool.spec.name.casefold(): tool for tool in await self._outside()}
        taken = {name.casefold() for name in self._base.names}
        more = [tool for name, tool in found.items() if name not in taken]
        self._own = self._base.with_tools(more) if more else self._base
        text = self._text(session)
        if text and text not in self._declared:
            self._keep(text, await asyncio.to_thread(_read, session, text, self._own))

    def offered(self, session: str, names: Sequence[str], at_most: int) -> tuple[ToolSheet, ...]:
        """The tools of these names and patterns.

        Where every tool is wanted, a few that come from outside stand before the last of those named: a client does
        not declare what nobody is ever to see.
        """
        registry = self._registry(session)
        named = registry.chosen([name for name in names if name != EVERY_TOOL])
        others = [spec for spec in registry.chosen([EVERY_TOOL] if EVERY_TOOL in names else ()) if spec not in named]
        outside = [spec for spec in others if spec.where != "local"][:MOST_OUTSIDE]
        before = max(0, at_most - len(outside))
        rest = [spec for spec in (*named[before:], *others) if spec not in outside]
        return tuple(map(_sheet, (*named[:before], *outside, *rest)[:at_most]))

    def sheet(self, session: str, name: str) -> ToolSheet | None:
        """The tool of exactly this name."""
        found = self._registry(session).find(name)
        return None if found is None else _sheet(found)

    def check(self, session: str, call: ToolCall) -> ToolCall | ToolOutcome:
        """The call as its tool takes it."""
        checked = self._registry(session).check(call.name, call.arguments)
        if isinstance(checked, Refused):
            return ToolOutcome(checked.text, ok=False, error_class=checked.error_class)
        return ToolCall(call.name, checked.arguments, call.id)

    def received(self, tool: str, text: str, ok: bool) -> ToolOutcome:
        """What a client says came of its call."""
        return _outcome(client_result(tool, text, ok=ok))

    async def run(self, call: ToolCall, place: ToolPlace) -> ToolOutcome:
        """Do a call here."""
        where = Place(
            session=place.session,
            call=place.call,
            workspace=Path(place.workspace) if place.workspace else None,
            policy=ToolPolicy(writes_only=place.writes_only),
            agents=place.agents,
            journal=self._journal,
            todos=self._todos,
            sandbox=self._sandbox,
            limits=self._limits,
            held=place.held,
            unasked=place.unasked,
        )
        return _outcome(await self._registry(place.session).run(call.name, call.arguments, where))

    async def left(self, session: str, call: str) -> ToolOutcome | None:
        """What a call that was cut off has written, by its receipt."""
        made = await self._journal.made(session, call)
        if made is None:
            return None
        path, certain = made
        if certain:
            return ToolOutcome(f"{path} is written; the turn ended before more could be said of it.")
        said = f"{path} was to be written when the turn ended, and has changed since. Read it before you repeat this."
        return ToolOutcome(said, ok=False, error_class="Interrupted")

    def _registry(self, session: str) -> ToolRegistry:
        own, text = self._own, self._text(session)
        if not text:
            return own
        if text not in self._declared:  # the client has changed it since the turn went on
            self._keep(text, _read(session, text, own))
        return own.with_tools(tool for tool in self._declared[text] if tool.spec.name not in own)

    def _text(self, session: str) -> str:
        """What the session's client declares; empty where that is nothing."""
        declared = self._sessions.get(session).settings.get(CLIENT_TOOLS)
        return json.dumps(declared) if declared else ""

    def _keep(self, text: str, tools: tuple[RegisteredTool, ...]) -> None:
        while len(self._declared) >= _MOST_KEPT:
            self._declared.pop(next(iter(self._declared)))
        self._declared[text] = tools


def _read(session: str, text: str, own: ToolRegistry) -> tuple[RegisteredTool, ...]:
    """The declared tools; none, and a word in the log, where the declaration cannot be used."""
    try:
        return client_tools(_LIST.validate_json(text), own.names)
    except (BadTool, ValidationError) as error:
        _logger.warning("session %s: its client's tools are left out: %s", session, error)
        return ()


def _sheet(spec: ToolSpec) -> ToolSheet:
    """What a call may do. A write goes through the journal, which does it once however often it is asked."""
    return ToolSheet(
        tool=Tool(spec.name, spec.description, spec.parameters),
        where="client" if spec.where == "client" else "local",
        effects=spec.risk in ("runs", "talks"),
        asks=always_asks(spec.name, _declared(spec)),
    )


def _declared(spec: ToolSpec) -> Danger:
    """How dangerous a tool is that the judgement does not know. A server's word for its own counts for nothing."""
    return Danger.SAFE if spec.risk == "reads" and spec.where != "mcp" else Danger.ASKS


def _outcome(result: ToolResult) -> ToolOutcome:
    return ToolOutcome(result.text, result.ok, result.error_class, result.sandbox)
