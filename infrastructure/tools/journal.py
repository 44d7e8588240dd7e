"""Writing the user's files so that it can be taken back.

Owns the order of a write: the old content among the blobs, a receipt, the file, the receipt settled. So whenever the
process dies, the file is either old or new, and the receipt says which two those are: doing the same call again, or
taking it back again, ends the same.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from infrastructure.events.log import Stored
from infrastructure.storage.blobs import Blobs
from infrastructure.storage.writes import WriteReceipt, WriteStore
from infrastructure.tools.paths import workspace_of
from infrastructure.tools.tool import ToolPlace
from infrastructure.workspace.beneath import directory, parts_of, read_file, sha_of
from infrastructure.workspace.errors import PathMissing, PathRefused, WorkspaceError
from infrastructure.workspace.replacing import Replacement, replace_all
from infrastructure.workspace.threads import in_thread


@dataclass(frozen=True, slots=True)
class Undone:
    """What came of taking a write back: the file, whether it is as before, a sentence for a person, which call."""

    path: str
    ok: bool
    text: str
    call: str = ""


_NOTHING = Undone("", False, "there is nothing left to take back")

Tell = Callable[[Undone], Awaitable[None]]
"""Told that a write was taken back, before that is settled; told again where the process died in between."""


async def _nobody(undone: Undone) -> None:
    """Nobody is told."""


class _Changed(Exception):
    """The file is not what it was when it was read."""


class WriteJournal:
    """Writes with receipts. Has no state but its stores'."""

    def __init__(self, writes: WriteStore, blobs: Blobs) -> None:
        self._writes, self._blobs = writes, blobs

    async def written(self, place: ToolPlace, path: str) -> bool:
        """Whether this very call has written this file already, and it is still so."""
        receipt = await self._writes.find(place.session, place.call)
        if receipt is None or receipt.path != path or receipt.state == "undone":
            return False
        if await _sha(workspace_of(place), path) != receipt.after:
            return False
        await self._writes.settle(place.session, place.call, "done")
        return True

    async def write(self, place: ToolPlace, path: str, before: bytes | None, after: bytes) -> str:
        """Replace a file's content, or make the file; see `tool.WritePort`."""
        workspace = workspace_of(place)
        if before is not None:
            await self._blobs.put(before)
        receipt = await self._writes.intend(
            session=place.session,
            call=place.call,
            workspace=str(workspace),
            path=path,
            before="" if before is None else sha_of(before),
            after=sha_of(after),
            folders=await in_thread(lambda _: _folders_there(workspace, path)),
        )
        if (receipt.path, receipt.before, receipt.after) != (path, _sha_or_none(before), sha_of(after)):
            return "this call was done before, and the file was changed since: read it again"
        if receipt.state == "undone":
            return "this call was done before, and taken back"
        try:
            await in_thread(lambda _: _replace(workspace, path, before, after))
        except _Changed:
            await self._writes.settle(place.session, place.call, "undone")
            return f"{path} was changed by somebody else in the meantime: read it again"
        except WorkspaceError:
            await self._writes.settle(place.session, place.call, "undone")
            raise
        await self._writes.settle(place.session, place.call, "done")
        return ""

    async def made(self, session: str, call: str) -> tuple[str, bool] | None:
        """What a call that was cut off has written. Nothing writes for it any more."""
        receipt = await self._writes.find(session, call)
        if receipt is None or receipt.state == "undone":
            return None
        if receipt.state == "done":
            return receipt.path, True
        now = await self._now(receipt)
        if now not in (receipt.before, receipt.after):
            return receipt.path, False
        state = "done" if now == receipt.after else "undone"
        await self._writes.settle(session, call, state)
        return (receipt.path, True) if state == "done" else None

    async def undo(self, session: str, tell: Tell = _nobody, *, request: str = "") -> Undone:
        """Take back the session's last write that was not, unless the file was changed since. Safe to repeat.

        `tell` hears of what was taken back, once the file is as it was. A `request` that bears this name takes back one
        write, however often it comes; an empty one is another each time, but for what the process died in.

        Raises:
            StorageError: The receipts or the old content cannot be read.
        """
        if request and (known := await self._writes.named(session, request)) is not None:
            receipt = await self._writes.find(session, known)
        else:
            receipt = await self._last(session)
            if request:  # which one it is stands there before the file changes
                await self._writes.name(session, request, "" if receipt is None else receipt.call)
        if receipt is None:
            return _NOTHING
        if receipt.state == "undone":
            return _undone(receipt)
        now = await self._now(receipt)
        if now == receipt.before and receipt.before != receipt.after:  # taken back when the process died
            return await self._settled(receipt, tell)
        return await self._take_back(receipt, now, tell)

    async def undone(self, session: str, request: str) -> Undone | None:
        """What came of the request of this name; None where it is new, or its write still stands."""
        known = await self._writes.named(session, request)
        if not known:
            return None if known is None else _NOTHING
        receipt = await self._writes.find(session, known)
        return _undone(receipt) if receipt is not None and receipt.state == "undone" else None

    async def forget(self, session: str) -> None:
        """Forget a session's writes, when the session is deleted."""
        await self._writes.forget(session)

    async def hear(self, stored: Stored) -> None:
        """The subscriber to `session.deleted`: forget what the session wrote."""
        await self.forget(stored.run)

    async def _now(self, receipt: WriteReceipt) -> str | None:
        try:
            return await _sha(Path(receipt.workspace), receipt.path)
        except (WorkspaceError, FileNotFoundError):
            return None

    async def _last(self, session: str) -> WriteReceipt | None:
        """The last write that was made and not taken back. One that never was is settled as if it were."""
        for receipt in reversed(await self._writes.of_session(session)):
            if receipt.state == "undone":
                continue
            never = receipt.state == "intended" and receipt.before != receipt.after
            if not never or await self._now(receipt) != receipt.before:
                return receipt
            await self._writes.settle(session, receipt.call, "undone")
        return None

    async def _settled(self, receipt: WriteReceipt, tell: Tell) -> Undone:
        undone = _undone(receipt)
        await tell(undone)
        await self._writes.settle(receipt.session, receipt.call, "undone")
        return undone

    async def _take_back(self, receipt: WriteReceipt, now: str | None, tell: Tell) -> Undone:
        path = receipt.path
        if now != receipt.after:
            return Undone(path, False, f"{path} was changed since it was written: nothing was taken back")
        before = await self._blobs.get(receipt.before) if receipt.before else None
        try:
            await in_thread(lambda _: _restore(receipt, before))
        except _Changed:
            return Undone(path, False, f"{path} was changed since it was written: nothing was taken back")
        except WorkspaceError as error:
            return Undone(path, False, f"{path} could not be taken back: {error}")
        return await self._settled(receipt, tell)


def _undone(receipt: WriteReceipt) -> Undone:
    what = "is as it was before" if receipt.before else "is removed: it was not there before"
    return Undone(receipt.path, True, f"{receipt.path} {what}", receipt.call)


def _sha_or_none(content: bytes | None) -> str:
    return "" if content is None else sha_of(content)


async def _sha(workspace: Path, path: str) -> str:
    """Of the file as it is; empty where there is none."""
    return await in_thread(lambda _: _read_sha(workspace, path))


def _read_sha(workspace: Path, path: str) -> str:
    try:
        return sha_of(read_file(workspace, path))
    except PathMissing:
        return ""


def _replace(workspace: Path, path: str, before: bytes | None, after: bytes) -> None:
    def must_be_before() -> None:
        if _read_sha(workspace, path) != _sha_or_none(before):
            raise _Changed

    replace_all(workspace, [Replacement(path, after)], confirm=must_be_before)


def _restore(receipt: WriteReceipt, before: bytes | None) -> None:
    workspace = Path(receipt.workspace)

    def must_be_after() -> None:
        try:
            found = _read_sha(workspace, receipt.path)
        except PathRefused:
            found = ""
        if found != receipt.after:
            raise _Changed

    # Where it is not known which folders are the user's own, all are taken for that.
    stay = receipt.path.count("/") if receipt.folders is None else receipt.folders
    replace_all(workspace, [Replacement(receipt.path, before, folders=stay)], confirm=must_be_after)


def _folders_there(workspace: Path, path: str) -> int:
    """How many of a path's folders there are, from the top."""
    *folders, _ = parts_of(path)
    for length in range(1, len(folders) + 1):
        try:
            with directory(workspace, folders[:length]):
                pass
        except WorkspaceError:
            return length - 1
    return len(folders)
