"""Speaking MCP, by the official library. The only module that names it; loaded when a server is first wanted.

Owns the translation: what the library raises becomes `McpGone`, what it returns becomes text. The library starts the
program of a server itself, outside the sandbox: it is the user's, named in the user's settings.
"""

from __future__ import annotations

import asyncio
import json
import os
import tempfile
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from typing import IO, cast

from mcp import Client, MCPError, StdioServerParameters, stdio_client
from mcp.types import CallToolResult, TextContent, Tool

from agents.model import JsonObject
from infrastructure.config.settings import McpServerSettings
from infrastructure.tools.mcp import ListedTool, McpGone, McpSession

_MOST_PAGES = 20
_LOG_BYTES = 1 << 20
_LOG_TAIL = 2_000
_REFUSED = frozenset({-32602, -32601, -32603})
"""Codes of JSON-RPC by which a server that is well refuses a call: its parameters, its method, its own error."""


@asynccontextmanager
async def connect(settings: McpServerSettings) -> AsyncGenerator[McpSession]:
    """Start the server, or reach the one that runs, and greet it; see `mcp.Connect`."""
    log = await asyncio.to_thread(tempfile.TemporaryFile, "w+", encoding="utf-8", errors="replace")
    try:
        async with _client(settings, log) as client:
            yield _Session(client, log)
    except Exception as error:
        raise McpGone(await asyncio.to_thread(_reason, error, log)) from error
    finally:
        await asyncio.to_thread(log.close)


def _client(settings: McpServerSettings, log: IO[str]) -> Client:
    if settings.url:
        return Client(settings.url, cache=None)
    program = StdioServerParameters(
        command=settings.command,
        args=list(settings.args),
        env={name: value.get_secret_value() for name, value in settings.env.items()},
    )
    return Client(stdio_client(program, errlog=log), cache=None)  # pyright: ignore[reportArgumentType] - only its fileno


class _Session:
    """A server that has greeted; a `McpSession`."""

    def __init__(self, client: Client, log: IO[str]) -> None:
        self._client, self._log = client, log

    async def list_tools(self) -> Sequence[ListedTool]:
        """All pages of its tools, up to a bound."""
        tools: list[Tool] = []
        cursor: str | None = None
        try:
            for _ in range(_MOST_PAGES):
                page = await self._client.list_tools(cursor=cursor)
                tools += page.tools
                cursor = page.next_cursor
                if cursor is None:
                    break
        except Exception as error:
            raise McpGone(await asyncio.to_thread(_reason, error, self._log)) from error
        return [ListedTool(each.name, each.description or "", each.input_schema) for each in tools]

    async def call(self, tool: str, arguments: JsonObject) -> tuple[str, bool]:
        """Call it."""
        await asyncio.to_thread(_shorten, self._log)
        try:
            result = await self._client.call_tool(tool, dict(arguments))
        except MCPError as error:
            if error.code in _REFUSED:
                return error.message, False
            raise McpGone(await asyncio.to_thread(_reason, error, self._log)) from error
        except Exception as error:
            raise McpGone(await asyncio.to_thread(_reason, error, self._log)) from error
        return _text(result), not result.is_error


def _text(result: CallToolResult) -> str:
    parts: list[str] = []
    for block in result.content:
        if isinstance(block, TextContent):
            parts.append(block.text)
        else:
            parts.append(f"[{block.type} left out: only text is shown]")
    if not parts and result.structured_content is not None:
        parts.append(json.dumps(result.structured_content, ensure_ascii=False, default=str))
    return "\n".join(parts)


def _reason(error: BaseException, log: IO[str]) -> str:
    """What happened in a line, with the last that the server itself said."""
    inner = error
    while isinstance(inner, BaseExceptionGroup):
        inner = cast("BaseExceptionGroup[BaseException]", inner).exceptions[0]
    said = inner.message if isinstance(inner, MCPError) else str(inner) or type(inner).__name__
    size = os.fstat(log.fileno()).st_size
    tail = os.pread(log.fileno(), _LOG_TAIL, max(0, size - _LOG_TAIL)).decode("utf-8", "replace")
    last = next((line.strip() for line in reversed(tail.splitlines()) if line.strip()), "")
    return f"{said}; it said: {last}" if last else said


def _shorten(log: IO[str]) -> None:
    """Forget what a server that talks much has said. It shares our place in the file, so it goes on at the start."""
    if os.fstat(log.fileno()).st_size > _LOG_BYTES:
        os.ftruncate(log.fileno(), 0)
        os.lseek(log.fileno(), 0, os.SEEK_SET)
