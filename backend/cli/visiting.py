"""The engine of another process as a chat needs it: asked over loopback, by the token that the data directory holds.

Owns the requests of a chat that is a guest, and how what comes back becomes the values that a chat knows.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import fields, replace
from datetime import datetime
from typing import Any
from urllib.parse import quote, urlencode

from agents.conversation.chunks import StreamChunk
from agents.model import Message, ToolCall
from backend.attach.guest import Guest, HolderGone, HolderRefused
from backend.cli.hosting import Agent, Host
from infrastructure.conversation.saying import Said
from infrastructure.danger.levels import Danger
from infrastructure.ids import ApprovalId, SessionId
from infrastructure.sessions.approvals import (
    ActionRequest,
    AlreadyDecided,
    Approval,
    ApprovalExpired,
    ApprovalState,
    Decision,
    DecisionRefused,
    Scope,
    StaleApproval,
    UnknownApproval,
)
from infrastructure.sessions.errors import BadMessage, UnknownSession
from infrastructure.sessions.forms import written_decision
from infrastructure.sessions.records import SessionRecord, StoredMessage
from infrastructure.sessions.rulebook import Proposal
from infrastructure.sessions.rules import Rule
from infrastructure.tools.journal import Undone

_SESSIONS = "/api/v1/sessions"
_APPROVALS = "/api/v1/approvals"
_PAGE = 200
"""The most of a list that the door gives at once."""
_LOOK_SECONDS = 0.3
"""How often it is looked whether somebody else has answered an open question."""
_CHUNK = tuple(each.name for each in fields(StreamChunk))
_LAST = ("done", "failed")
"""Chunks after which none comes."""
_OVER = ("end", "waiting")
"""How a stream says that this was all, where no such chunk does."""


def host_at(guest: Guest) -> Host:
    """The engine behind a door. Each request raises HolderGone where nobody answers any more, or HolderRefused."""
    return Host(_Sessions(guest), _Turns(guest), _Questions(guest))


class _Sessions:
    def __init__(self, guest: Guest) -> None:
        self._guest = guest

    async def begun(self, title: str, workspace: str, agent: str) -> SessionRecord:
        told = {"title": title, "workspace": workspace, "agent": agent}
        return _record(await self._guest.ask("POST", _SESSIONS, told))

    async def load(self, session: str) -> SessionRecord:
        return _record(await self._of(session, "GET"))

    async def list(self, limit: int, before: str = "") -> Sequence[SessionRecord]:
        query = urlencode({"limit": limit, "before": before})
        return [_record(each) for each in (await self._guest.ask("GET", f"{_SESSIONS}?{query}"))["sessions"]]

    async def page(self, session: str, limit: int) -> Sequence[StoredMessage]:
        found: list[StoredMessage] = []
        query: dict[str, object] = {"limit": min(limit, _PAGE)}
        while True:
            page = await self._of(session, "GET", f"/history?{urlencode(query)}")
            found += [_stored(session, each) for each in page["messages"]]
            if page["next"] is None or len(found) >= limit:
                return found
            query = {"limit": min(limit - len(found), _PAGE), "before": page["next"]}

    async def fork(self, session: str) -> SessionRecord:
        return _record(await self._of(session, "POST", "/fork", {}))

    async def rename(self, session: str, title: str) -> None:
        await self._of(session, "PATCH", "", {"title": title})

    async def undo(self, session: str, key: str) -> Undone:
        try:
            told = await self._of(session, "POST", "/undo", key=key)
        except HolderGone:  # or only its answer was lost
            told = await self._of(session, "POST", "/undo", key=key)
        return Undone(told["path"], told["ok"], told["text"], told["call"])

    async def _of(
        self, session: str, method: str, path: str = "", body: Mapping[str, object] | None = None, key: str = ""
    ) -> dict[str, Any]:
        try:
            return await self._guest.ask(
                method, f"{_path(session)}{path}", body, {"Idempotency-Key": key} if key else {}
            )
        except HolderRefused as refused:
            if refused.error_class == UnknownSession.__name__:
                raise UnknownSession(session) from refused
            raise


class _Turns:
    def __init__(self, guest: Guest) -> None:
        self._guest = guest

    async def agents(self) -> Sequence[Agent]:
        return [
            Agent(each["name"], each["about"]) for each in (await self._guest.ask("GET", "/api/v1/agents"))["agents"]
        ]

    async def switch(self, session: str, agent: str) -> None:
        await self._guest.ask("PATCH", _path(session), {"agent": agent})

    async def check_model(self, agent: str) -> None:
        """Nothing: a model that is missing ends the turn, which says so."""

    async def is_unheld(self) -> bool:
        return (await self._guest.ask("GET", "/api/v1/config"))["settings"]["sandbox"]["level"] == "none"

    async def say(self, session: str, said: Said, *, ends_when_waiting: bool) -> AsyncGenerator[StreamChunk]:
        told = {"text": said.text, "unattended": said.unattended}
        path = f"{_path(session)}/messages{_until(ends_when_waiting)}"
        try:
            async with aclosing(_chunks(self._guest.events("POST", path, told))) as chunks:
                async for chunk in chunks:
                    yield chunk
        except HolderRefused as refused:
            if refused.error_class in ("BadMessage", "MessageTooLong"):
                raise BadMessage(str(refused)) from refused
            raise

    async def follow(self, session: str, *, ends_when_waiting: bool) -> AsyncGenerator[StreamChunk]:
        path = f"{_path(session)}/stream{_until(ends_when_waiting)}"
        async with aclosing(_chunks(self._guest.events("GET", path))) as chunks:
            async for chunk in chunks:
                yield chunk

    async def cancel(self, session: str) -> bool:
        try:
            await self._guest.ask("POST", f"{_path(session)}/cancel")
        except HolderRefused as refused:
            if refused.error_class != "NothingToStop":
                raise
            return False
        return True

    async def submit(self, session: str, call: str, text: str, ok: bool) -> None:
        told = {"content": text, "ok": ok}
        await self._guest.ask("POST", f"{_path(session)}/tools/{quote(call, safe='')}/result", told)


class _Questions:
    def __init__(self, guest: Guest) -> None:
        self._guest = guest

    async def get(self, approval: str) -> Approval:
        return _approval(await self._guest.ask("GET", f"{_APPROVALS}/{quote(approval, safe='')}"))

    async def waiting(self) -> frozenset[str]:
        return frozenset(each["owner"] for each in (await self._guest.ask("GET", _APPROVALS))["approvals"])

    async def propose(self, asked: Approval, patterns: tuple[str, ...] = ()) -> Proposal:
        query = urlencode([("pattern", each) for each in patterns])
        try:
            told = (await self._guest.ask("GET", f"{_APPROVALS}/{asked.id}?{query}"))["proposal"]
        except HolderRefused as refused:
            raise _as_approval_error(refused, asked) from refused
        return Proposal(tuple(told["patterns"]), tuple(_past(each, asked) for each in told["past"]))

    async def decide(self, asked: Approval, decision: Decision, scope: Scope, patterns: tuple[str, ...]) -> None:
        told = {
            "nonce": asked.nonce,
            "decision": written_decision(decision, asked.action.tool),
            "scope": scope,
            "patterns": patterns,
        }
        try:
            await self._guest.ask("POST", f"{_APPROVALS}/{asked.id}", told)
        except HolderRefused as refused:
            raise _as_approval_error(refused, asked) from refused

    async def decided(self, approval: str) -> None:
        while await self._pends(approval):  # noqa: ASYNC110 - it is in another process
            await asyncio.sleep(_LOOK_SECONDS)

    async def _pends(self, approval: str) -> bool:
        """Whether it is open as far as the holder says; one that is too busy to say is asked again."""
        try:
            return (await self.get(approval)).state is ApprovalState.PENDING
        except HolderRefused as refused:
            return refused.error_class != UnknownApproval.__name__  # that one went with its session

    async def rules(self, session: str, workspace: str) -> Sequence[Rule]:
        query = urlencode({"owner": session, "workspace": workspace})
        return [_rule(each) for each in (await self._guest.ask("GET", f"/api/v1/rules?{query}"))["rules"]]

    async def forget(self, rule: str) -> None:
        await self._guest.ask("DELETE", f"/api/v1/rules/{quote(rule, safe='')}")


def _path(session: str) -> str:
    return f"{_SESSIONS}/{quote(session, safe='')}"


def _until(ends_when_waiting: bool) -> str:
    return f"?ends_when_waiting={'true' if ends_when_waiting else 'false'}"


async def _chunks(events: AsyncGenerator[tuple[str, str]]) -> AsyncGenerator[StreamChunk]:
    """The chunks of a turn's stream, until it says that this was all.

    Raises:
        HolderGone: it was cut off before.
    """
    over = False
    async with aclosing(events):
        async for kind, data in events:
            if kind in _OVER:
                return
            if kind == "server-shutdown":
                break
            told = json.loads(data)
            yield StreamChunk(**{name: told[name] for name in _CHUNK})
            over = kind in _LAST
    if not over:
        raise HolderGone("it is shutting down")


def _record(told: dict[str, Any]) -> SessionRecord:
    return SessionRecord(
        session=SessionId(told["session"]),
        title=told["title"],
        workspace=told["workspace"],
        agent=told["agent"],
        settings=told["settings"],
        todos=tuple(told["todos"]),
        parent=told["parent"],
        forked_after=told["forked_after"],
        last=told["last"],
        created=datetime.fromisoformat(told["created"]),
        updated=datetime.fromisoformat(told["updated"]),
    )


def _stored(session: str, told: dict[str, Any]) -> StoredMessage:
    message = Message(
        told["role"],
        told["content"],
        images=tuple(told["images"]),
        thinking=told["thinking"],
        tool_calls=tuple(ToolCall(each["name"], each["arguments"], each["id"]) for each in told["tool_calls"]),
        tool_name=told["tool_name"],
        tool_call_id=told["tool_call_id"],
    )
    return StoredMessage(
        message=message,
        agent=told["agent"],
        ok=told["ok"],
        upto=told["upto"],
        session=SessionId(session),
        number=told["number"],
        at=datetime.fromisoformat(told["at"]),
    )


def _approval(told: dict[str, Any]) -> Approval:
    expires = told["expires"]
    action = ActionRequest(
        tool=told["tool"],
        arguments=told["arguments"],
        description=told["description"],
        danger=Danger(told["danger"]),
        why=told["why"],
    )
    return Approval(
        id=ApprovalId(told["id"]),
        owner=told["owner"],
        key=told["key"],
        gate=told["gate"],
        action=action,
        workspace=told["workspace"],
        allowed=tuple(told["allowed"]),
        sha="",  # the door keeps it: an answer is bound to what was shown by the nonce
        nonce=told["nonce"],
        state=ApprovalState(told["state"]),
        asked=datetime.fromisoformat(told["asked"]),
        expires=None if expires is None else datetime.fromisoformat(expires),
    )


def _past(told: dict[str, Any], asked: Approval) -> Approval:
    """A past call, of which only what was asked and when is told."""
    return replace(
        asked,
        id=ApprovalId(told["id"]),
        owner=told["owner"],
        action=ActionRequest(tool=told["tool"], arguments=told["arguments"]),
        state=ApprovalState(told["state"]),
        asked=datetime.fromisoformat(told["asked"]),
    )


def _rule(told: dict[str, Any]) -> Rule:
    return Rule(
        id=told["id"],
        scope=told["scope"],
        owner=told["owner"],
        tool=told["tool"],
        pattern=told["pattern"],
        made=datetime.fromisoformat(told["made"]),
        by=told["by"],
        approval=told["approval"],
    )


def _as_approval_error(refused: HolderRefused, asked: Approval) -> Exception:
    """The error as it would be here, where a chat tells it from others."""
    match refused.error_class:
        case "DecisionRefused":
            return DecisionRefused(str(refused), refused.hint)
        case "AlreadyDecided":
            return AlreadyDecided(asked.id, "elsewhere")
        case "StaleApproval":
            return StaleApproval(str(refused))
        case "ApprovalExpired":
            return ApprovalExpired(asked.id)
        case _:
            return refused
