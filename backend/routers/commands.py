"""What a client may ask for over a WebSocket, and what is answered.

Owns the form of the commands. Each is the same as a route: what it asks for, its refusals, its words.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal, TypeAlias, assert_never

from pydantic import BaseModel, ConfigDict, Field, JsonValue, TypeAdapter

from backend.bootstrap import Application
from backend.dependencies import MOST_KEY
from backend.routers.approval_views import DecisionBody
from backend.routers.turn_views import NewMessage, ToolResultBody
from infrastructure.sessions.approvals import UnknownApproval

BY_SOCKET = "websocket"
MOST_ID = 64


class _Command(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str = Field(default="", max_length=MOST_ID)
    """Comes back with the answer, and is what the log calls the cause of all that comes of it."""


class MessageCommand(_Command, NewMessage):
    """Say something."""

    model_config = ConfigDict(extra="forbid")

    type: Literal["message"]
    key: str = Field(default="", max_length=MOST_KEY)
    """As the header `Idempotency-Key` of the route."""


class DecideCommand(_Command, DecisionBody):
    """Answer an approval of this session."""

    model_config = ConfigDict(extra="allow")

    type: Literal["decide"]
    approval: str


class ToolResultCommand(_Command, ToolResultBody):
    """Say what came of a call that the client did."""

    model_config = ConfigDict(extra="forbid")

    type: Literal["tool_result"]
    call: str


class CancelCommand(_Command):
    """End the turn that is open."""

    type: Literal["cancel"]


Command: TypeAlias = MessageCommand | DecideCommand | ToolResultCommand | CancelCommand
_COMMAND: TypeAdapter[Command] = TypeAdapter(Annotated[Command, Field(discriminator="type")])


@dataclass(frozen=True, slots=True)
class SessionCommands:
    """Does the commands of one session's client."""

    app: Application
    session: str

    async def do(self, given: JsonValue) -> dict[str, JsonValue]:
        """Do a command; what is told of it beside that it was accepted.

        Raises:
            ValidationError: it is no command.
            Whatever the route of the same name raises.
        """
        talk = self.app.conversations
        match command := _COMMAND.validate_python(given):
            case MessageCommand():
                return {"turn": await talk.begin(self.session, command.said(command.key))}
            case DecideCommand():
                return await self._decide(command)
            case ToolResultCommand():
                taken = await talk.submit_tool_result(self.session, command.call, command.content, command.ok)
                return {"call": command.call, "taken": taken}
            case CancelCommand():
                await talk.cancel(self.session)
                return {}
            case _:
                assert_never(command)

    async def _decide(self, command: DecideCommand) -> dict[str, JsonValue]:
        approvals = self.app.approvals
        asked = await approvals.get(command.approval)
        if asked.owner != self.session:
            raise UnknownApproval(command.approval)
        decided = await approvals.decide(
            asked.id,
            command.read(asked),
            by=BY_SOCKET,
            nonce=command.nonce,
            scope=command.scope,
            patterns=command.patterns,
        )
        return {"approval": decided.id, "state": decided.state}
