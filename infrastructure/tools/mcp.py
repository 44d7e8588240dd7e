"""Tools of servers that speak MCP, the Model Context Protocol.

Owns the life of those servers: each is started when its tools are first wanted, kept in a task of its own, and started
again after it has gone, not at once but later each time. A server that fails harms no other and no session: its tools
answer that it is away. How the protocol is spoken is for `mcp_wire`, whose library is an extra.
"""

from __future__ import annotations

import asyncio
import importlib
import logging
import time
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, replace
from enum import StrEnum
from types import MappingProxyType, TracebackType
from typing import Protocol, Self, cast

from agents.model import JsonObject
from infrastructure.config.settings import McpServerSettings
from infrastructure.tools.client import outside_result
from infrastructure.tools.schemas import BadTool, by_schema, checked_schema, short, tool_name
from infrastructure.tools.texts import plain
from infrastructure.tools.tool import RegisteredTool, ToolPlace, ToolResult, ToolSpec

MOST_TOOLS = 100
"""Of one server."""
FIRST_PAUSE = 1.0
LONGEST_PAUSE = 60.0
"""Seconds between a failure and the next start; doubled with every failure in a row."""
_REASON = 300

_log = logging.getLogger(__name__)


class ServerState(StrEnum):
    """How a server stands."""

    IDLE = "idle"
    """It was not wanted yet."""
    STARTING = "starting"
    UP = "up"
    AWAY = "away"
    """It could not be started, or has died."""


@dataclass(frozen=True, slots=True)
class ListedTool:
    """A tool as a server lists it."""

    name: str
    description: str
    schema: JsonObject


class McpGone(Exception):
    """The server cannot be spoken to any more; the message says why."""


class McpSession(Protocol):
    """A server that was started and has greeted. Closed by leaving the context that gave it, in the task that entered.

    Cancelling a call tells the server, which may have done it all the same.
    """

    async def list_tools(self) -> Sequence[ListedTool]:
        """Its tools.

        Raises:
            McpGone: It does not answer.
        """
        ...

    async def call(self, tool: str, arguments: JsonObject) -> tuple[str, bool]:
        """What came of a call, and whether the server takes it for done.

        Raises:
            McpGone: It does not answer; whether the call was done is not known.
        """
        ...


Connect = Callable[[McpServerSettings], AbstractAsyncContextManager[McpSession]]
"""Starts a server and greets it. Raises McpGone."""


class McpServers:
    """The servers of the settings. Use it in `async with`; all of them have ended when the block has."""

    def __init__(
        self,
        servers: Mapping[str, McpServerSettings],
        *,
        connect: Connect | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._servers = {
            name: _Server(name, each, connect or _connect_by_library, clock, self._opened)
            for name, each in servers.items()
        }
        self._group: asyncio.TaskGroup | None = None

    async def __aenter__(self) -> Self:
        self._group = await asyncio.TaskGroup().__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        group, self._group = self._group, None
        for server in self._servers.values():
            server.stop()
        if group is not None:
            # Without the block's own error: that is nobody's of the group, and stays what it is.
            await group.__aexit__(None, None, None)

    @property
    def states(self) -> Mapping[str, ServerState]:
        """How each server stands."""
        return MappingProxyType({name: server.state for name, server in self._servers.items()})

    @property
    def problems(self) -> Mapping[str, str]:
        """What people should know of servers and of tools that were not taken, by the server's name."""
        return MappingProxyType({name: server.problem for name, server in self._servers.items() if server.problem})

    async def tools(self) -> tuple[RegisteredTool, ...]:
        """The tools of all servers; those that were not wanted before are started, side by side.

        Of a server that is away, those that it had. Takes no longer than the slowest start, whose time is limited.
        """
        group = self._opened()
        await asyncio.gather(*(server.up(group) for server in self._servers.values()))
        return tuple(tool for server in self._servers.values() for tool in server.tools)

    def _opened(self) -> asyncio.TaskGroup:
        if self._group is None:
            raise RuntimeError("the MCP servers are not open")
        return self._group


class _Server:
    """One server and its task."""

    def __init__(
        self,
        name: str,
        settings: McpServerSettings,
        connect: Connect,
        clock: Callable[[], float],
        group: Callable[[], asyncio.TaskGroup],
    ) -> None:
        self.state = ServerState.IDLE
        self.problem = ""
        self.tools: tuple[RegisteredTool, ...] = ()
        """As a registry has them: those that it listed when it was started last."""
        self._name, self._settings, self._connect, self._clock, self._group = name, settings, connect, clock, group
        self._session: McpSession | None = None
        self._failures = 0
        self._not_before = 0.0
        self._leave = asyncio.Event()
        self._settled = asyncio.Event()

    def stop(self) -> None:
        """Let its task end; it is not started again."""
        self._leave.set()
        self._not_before = float("inf")

    async def up(self, group: asyncio.TaskGroup) -> McpSession | None:
        """The session, started if it may be; None where the server is away."""
        if self.state in (ServerState.IDLE, ServerState.AWAY) and self._clock() >= self._not_before:
            self.state, self._leave, self._settled = ServerState.STARTING, asyncio.Event(), asyncio.Event()
            group.create_task(self._kept(self._leave, self._settled), name=f"mcp {self._name}")
        if self.state is ServerState.STARTING:
            await self._settled.wait()
        return self._session

    def _registered(self, listed: Sequence[ListedTool]) -> tuple[tuple[RegisteredTool, ...], str]:
        """The tools as a registry has them, and what people should know of those that are left out. Blocking."""
        made: dict[str, RegisteredTool] = {}
        left_out: list[str] = []
        for each in listed[:MOST_TOOLS]:
            try:
                tool = self._tool(each)
            except Exception as error:  # noqa: BLE001 - a stranger's, which takes no other tool with it
                known = isinstance(error, BadTool)
                left_out.append(f"{each.name[:64]!r}: {error if known else type(error).__name__}")
            else:
                made.setdefault(tool.spec.name.casefold(), tool)
        left_out += [f"{each.name[:64]!r}: it has more than {MOST_TOOLS}" for each in listed[MOST_TOOLS:]]
        if not left_out:
            return tuple(made.values()), ""
        return tuple(made.values()), f"{len(left_out)} of its tools are not taken, the first {plain(left_out[0])}"[
            :_REASON
        ]

    def _tool(self, listed: ListedTool) -> RegisteredTool:
        name, schema = tool_name(f"{self._name}__{listed.name}"), checked_schema(listed.schema)

        async def do(arguments: JsonObject, place: ToolPlace) -> ToolResult:
            del place
            return await self._call(listed.name, arguments, self._group())

        spec = ToolSpec(
            name=name, description=short(listed.description) or name, parameters=schema, risk="talks", where="mcp"
        )
        return RegisteredTool(spec=spec, read=by_schema(schema), do=do)

    async def _call(self, tool: str, arguments: JsonObject, group: asyncio.TaskGroup) -> ToolResult:
        who, named = f"the server {self._name}", f"{self._name}__{tool}"
        session = await self.up(group)
        if session is None:
            wait = max(0.0, self._not_before - self._clock())
            again = f" It is tried again in {wait:.0f} s." if wait != float("inf") else ""
            return _away(f"{who} is away.{again}", outside_result(who, named, self.problem, ok=False))
        limit = self._settings.call_seconds
        try:
            async with asyncio.timeout(limit):
                text, ok = await session.call(tool, arguments)
        except TimeoutError:
            said = f"{who} has not answered within {limit:g} s; whether it did the call is not known"
            return ToolResult(said, ok=False, error_class="TimedOut")
        except McpGone as error:
            self._fail(str(error))
            said = f"{who} has gone; whether it did the call is not known"
            return _away(said, outside_result(who, named, self.problem, ok=False))
        self._failures = 0
        return outside_result(who, named, text, ok=ok)

    async def _kept(self, leave: asyncio.Event, settled: asyncio.Event) -> None:
        """Start it, have it until it is let go of, end it. In one task, as the library wants it."""
        try:
            async with asyncio.timeout(self._settings.start_seconds) as limit, self._connect(self._settings) as session:
                listed = tuple(await session.list_tools())
                tools, problem = await asyncio.to_thread(self._registered, listed)
                limit.reschedule(None)
                self._session, self.state, self.tools, self.problem = session, ServerState.UP, tools, problem
                settled.set()
                await leave.wait()
        except TimeoutError:
            self._fail(f"it was not there after {self._settings.start_seconds:g} s")
        except McpGone as error:
            self._fail(str(error))
        except Exception as error:  # noqa: BLE001 - a server's trouble is its own, whatever a library makes of it
            _log.exception("the MCP server %s failed", self._name)
            self._fail(str(error) or type(error).__name__)
        finally:
            settled.set()
            if leave is self._leave:  # else another of its lives has begun
                self._session = None
                self.state = ServerState.IDLE if self.state is not ServerState.AWAY else self.state

    def _fail(self, reason: str) -> None:
        """Note that it has gone, once for each time that it was there, and when it may be started again."""
        self._leave.set()
        if self.state is ServerState.AWAY:
            return
        self._session, self.state, self.problem = None, ServerState.AWAY, plain(reason)[:_REASON]
        pause = min(LONGEST_PAUSE, FIRST_PAUSE * 2**self._failures)
        self._failures += 1
        self._not_before = max(self._not_before, self._clock() + pause)


def _away(said: str, why: ToolResult) -> ToolResult:
    """The result of a call to a server that is away; why it is may be in words of the server's own."""
    return replace(why, text=f"{said}\n{why.text}", error_class="ServerAway")


@asynccontextmanager
async def _connect_by_library(settings: McpServerSettings) -> AsyncGenerator[McpSession]:
    wire = cast("_Wire", await asyncio.to_thread(_wire))
    async with wire.connect(settings) as session:
        yield session


class _Wire(Protocol):
    """The module that speaks."""

    def connect(self, settings: McpServerSettings) -> AbstractAsyncContextManager[McpSession]:
        """Start a server and greet it."""
        ...


def _wire() -> object:
    """Loaded when it is needed: it is an extra, and takes long."""
    try:
        return importlib.import_module("infrastructure.tools.mcp_wire")
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in ("mcp", "mcp_types"):
            raise
        raise McpGone("speaking to it needs an extra: pip install 'corral[mcp]'") from error
