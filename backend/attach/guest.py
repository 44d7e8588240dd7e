"""A guest of the engine's holder: its tasks and its answers go to the holder's door, over loopback.

Owns the requests, and how a refusal there becomes an error here. What a run does is read from the data directory, which
both share: so a guest sees the same events, in the same order, whoever holds the engine by then.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, cast

import httpx
from pydantic import TypeAdapter, ValidationError

from infrastructure.config.settings import Settings
from infrastructure.events.causes import correlation
from infrastructure.ids import RunId, new_id
from infrastructure.pool.errors import ModelNowhere, NoServerAvailable
from infrastructure.pool.snapshot import PoolSnapshot
from infrastructure.running.errors import RunIsOver, RunNotWaiting, TaskRefused
from infrastructure.tasks import TaskSpec
from infrastructure.transport.errors import CloudModelRefused
from infrastructure.workflow.lanes import NoModel
from infrastructure.workspace.errors import NotADirectory

TIMEOUT_SECONDS = 30.0
"""For one answer: a holder that chooses a model asks its servers first."""
_SILENT_SECONDS = 60.0
"""A stream says something every 15 seconds; after so many without a word its holder is gone."""
_RUNS = "/api/v1/runs"
_POOL = "/api/v1/pool"
_CONFIG = "/api/v1/config"
_NOT_NOW = ("", "ShuttingDown", "NotOpenYet")
"""Why a door says 503 that will soon be another's, or open."""
_SNAPSHOT = TypeAdapter(PoolSnapshot)
_GONE = (httpx.NetworkError, httpx.TimeoutException, httpx.RemoteProtocolError)


class HolderGone(Exception):
    """Nobody listens at the holder's address any more, or it is shutting down."""


class HolderRefused(Exception):
    """The holder does not take this. `error_class` is the class of the error it met, `hint` what to do."""

    def __init__(self, error_class: str, message: str, hint: str) -> None:
        super().__init__(message)
        self.error_class = error_class
        self.hint = hint


@dataclass(frozen=True, slots=True)
class Guest:
    """What a guest asks of the holder. Every method raises `HolderGone` or `HolderRefused`."""

    address: str
    token: str
    invocation: str = field(default_factory=new_id, compare=False)
    """What begins all that is asked here, but for what has an id of its own, as a job of a batch has."""

    async def start(self, spec: TaskSpec, key: str) -> RunId:
        """Hand a task over. The same key and task give the same run, so asking again is harmless."""
        try:
            answer = await self._post("", spec.model_dump(mode="json", exclude_defaults=True), {"Idempotency-Key": key})
        except HolderRefused as refused:
            raise _as_here(refused, spec) from refused
        return RunId(str(answer["run"]))

    async def resume(self, run: RunId, *, no_input: bool) -> None:
        """Go on with a run."""
        await self._post(f"/{run}/resume?no_input={'true' if no_input else 'false'}", None)

    async def interrupt(self, run: RunId) -> None:
        """Stop a run at a step. Nothing to do when it is not running."""
        try:
            await self._post(f"/{run}/interrupt", None)
        except HolderRefused as refused:
            if refused.error_class != RunIsOver.__name__:
                raise

    async def answer(self, run: RunId, approval: str, approved: bool, reason: str) -> None:
        """Answer what a run waits for.

        Raises:
            RunNotWaiting: it does not wait for that, or not yet.
        """
        try:
            await self._post(f"/{run}/answer", {"approval": approval, "approved": approved, "reason": reason})
        except HolderRefused as refused:
            if refused.error_class == RunNotWaiting.__name__:
                raise RunNotWaiting(run, approval) from refused
            raise

    async def pool(self) -> PoolSnapshot:
        """How the holder's pool stands. What an older holder does not tell has its default."""
        return _SNAPSHOT.validate_python(await self.ask("GET", _POOL), strict=False)

    async def servers(self) -> frozenset[str]:
        """The addresses of the servers that the holder asks."""
        return frozenset(server.url for server in (await self.pool()).servers)

    async def settings(self) -> Settings | None:
        """The settings that the holder goes by, without secrets; None where they are another version's."""
        try:
            return Settings.model_validate((await self.ask("GET", _CONFIG))["settings"])
        except (KeyError, ValidationError):
            return None

    async def _post(
        self, path: str, body: Mapping[str, object] | None, headers: Mapping[str, str] | None = None
    ) -> dict[str, Any]:
        return await self.ask("POST", f"{_RUNS}{path}", body, headers)

    async def ask(
        self,
        method: str,
        path: str,
        body: Mapping[str, object] | None = None,
        headers: Mapping[str, str] | None = None,
        *,
        seconds: float = TIMEOUT_SECONDS,
    ) -> dict[str, Any]:
        """One request, and the document that answers it; where it does not come within as long, nobody is there."""
        async with self._client(seconds) as client:
            try:
                answer = await client.request(method, path, json=body, headers=headers)
            except _GONE as error:
                raise HolderGone(str(error)) from error
        return _read(answer)

    async def events(
        self, method: str, path: str, body: Mapping[str, object] | None = None
    ) -> AsyncGenerator[tuple[str, str]]:
        """A stream of events, each as its kind and its data, until the holder ends it."""
        async with self._client(httpx.Timeout(TIMEOUT_SECONDS, read=_SILENT_SECONDS)) as client:
            try:
                async with client.stream(method, path, json=body, headers={"Accept": "text/event-stream"}) as answer:
                    if not answer.is_success:
                        await answer.aread()
                        _read(answer)
                    async with aclosing(_events(answer.aiter_bytes())) as events:
                        async for event in events:
                            yield event
            except _GONE as error:
                raise HolderGone(str(error)) from error

    def _client(self, timeout: httpx.Timeout | float) -> httpx.AsyncClient:
        """Plain HTTP over loopback: no proxy of the environment is asked, and no certificates are read."""
        headers = {"Authorization": f"Bearer {self.token}", "X-Request-ID": correlation() or self.invocation}
        return httpx.AsyncClient(base_url=self.address, headers=headers, trust_env=False, verify=False, timeout=timeout)


def _as_here(refused: HolderRefused, spec: TaskSpec) -> Exception:
    """The error that starting the task here would have raised, where callers tell it from others."""
    match refused.error_class:
        case "TaskRefused":
            return TaskRefused(str(refused), refused.hint)
        case "NotADirectory":
            return NotADirectory(spec.repo)
        case "NoModel":
            return NoModel()
        case "CloudModelRefused":
            return CloudModelRefused(spec.model or "", hint=refused.hint)
        case "ModelNowhere":
            return _nowhere(refused)
        case "NoServerAvailable":
            return _no_server(refused)
        case _:
            return refused


def _nowhere(refused: HolderRefused) -> ModelNowhere:
    """Which model it is, a role's perhaps, the hint tells; what is there instead stands at the end of the message."""
    there = str(refused).partition("Models there: ")[2]
    return ModelNowhere(refused.hint.removeprefix("ollama pull "), (there,))


def _no_server(refused: HolderRefused) -> NoServerAvailable:
    """The pool's own error, which says first what it is; what it said after that are its fields."""
    error = NoServerAvailable({})
    error.args = (str(refused).removeprefix(f"{NoServerAvailable.__doc__}".rstrip(".")).removeprefix(": "),)
    error.hint = refused.hint
    return error


def _read(answer: httpx.Response) -> dict[str, Any]:
    try:
        document = cast("dict[str, Any]", answer.json()) if answer.content else {}
    except ValueError:
        document = {}
    if answer.is_success:
        return document
    if answer.status_code == HTTPStatus.SERVICE_UNAVAILABLE and _class_of(document) in _NOT_NOW:
        raise HolderGone("it is shutting down")
    raise HolderRefused(
        _class_of(document) or f"Status{answer.status_code}",
        str(document.get("detail") or document.get("title") or answer.reason_phrase),
        str(document.get("hint") or ""),
    )


async def _events(pieces: AsyncIterator[bytes]) -> AsyncGenerator[tuple[str, str]]:
    """Server-sent events as our door sends them: one line of data, which only a line feed ends."""
    held = b""
    async for piece in pieces:
        *frames, held = (held + piece).split(b"\n\n")
        for frame in frames:
            named = {name: value for name, _, value in (line.partition(b": ") for line in frame.split(b"\n"))}
            if b"event" in named:
                yield named[b"event"].decode(), named.get(b"data", b"").decode()


def _class_of(document: dict[str, Any]) -> str:
    return str(document.get("type") or "").rpartition("/")[2]
