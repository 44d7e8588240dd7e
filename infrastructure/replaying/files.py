"""A recording as one file: JSON lines that hold all that a replay needs, on any machine.

Owns the form. A file may come from a stranger: its size and its lines are bounded, every content must be what its name
says, everything is validated before anything is done with it, and a file of another form is refused by name. Nothing in
a recording is ever executed; its paths are checked when they are written (`workspace/packing.py`).
"""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Annotated, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from infrastructure.events.catalogue import AnyEvent
from infrastructure.events.log import Stored
from infrastructure.ids import RunId
from infrastructure.running.recorder import completion_of
from infrastructure.running.recording import Recording
from infrastructure.running.setups import RunSetup
from infrastructure.storage.blobs import sha_of
from infrastructure.storage.calls import RecordedCall
from infrastructure.storage.recordings import RecordedTool
from infrastructure.tasks import RunResult
from infrastructure.workspace.errors import WorkspaceError
from infrastructure.workspace.packing import PackedSnapshot
from infrastructure.workspace.threads import in_thread

FORM = 1
FILE_BYTES = 256 << 20
"""The largest file that is read."""
_KIND = "corral recording"
_HINT = "Export it again where it was made: corral replay RUN --export FILE."
_M = TypeVar("_M", bound=BaseModel)
_Sha = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class BadRecording(Exception):
    """The file is no recording that can be replayed. `hint` says what to do."""

    def __init__(self, path: Path, why: str, hint: str = _HINT) -> None:
        super().__init__(f"{path} cannot be replayed: {why}")
        self.path, self.hint = path, hint


class _Line(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class _Head(_Line):
    kind: Literal["corral recording"] = _KIND
    form: Literal[1] = FORM
    run: str = Field(pattern=r"^[0-9A-Za-z._-]{1,80}$")
    state: Literal["finished", "interrupted", "waiting"]
    reason: str = ""
    setup: RunSetup
    result: RunResult | None = None
    manifest: str


class _Content(_Line):
    content: _Sha
    text: str | None = None
    base64: str | None = None


class _Call(_Line):
    step: str
    ordinal: int = Field(ge=0)
    request_sha: _Sha
    role: str
    request_blob: _Sha
    answer_json: str
    model: str
    server: str
    prompt_tokens: int
    completion_tokens: int
    started: datetime
    ended: datetime
    queued_seconds: float = 0.0
    load_seconds: float = 0.0
    prompt_seconds: float = 0.0
    decode_seconds: float = 0.0
    xray_json: str = ""


class _Tool(_Line):
    step: str
    name: str
    request_sha: _Sha
    request_blob: _Sha
    answer_blob: _Sha
    sandbox: str
    started: datetime
    ended: datetime


class _Event(_Line):
    seq: int = Field(ge=1)
    at: datetime
    execution: int = Field(ge=0)
    event: AnyEvent


class _Body(_Line):
    """A line after the first: one of these is set."""

    content: _Content | None = None
    call: _Call | None = None
    tool: _Tool | None = None
    event: _Event | None = None
    lines: int | None = None
    """On the last line: how many there are before it, so that a file that is cut off is known as one."""


async def write_recording(recording: Recording, path: Path) -> None:
    """Write a recording to a file, whole or not at all.

    Raises:
        OSError: it cannot be written.
    """
    await in_thread(lambda _: _write(recording, path))


async def load_recording(path: Path) -> Recording:
    """A recording from a file.

    Raises:
        BadRecording: it is none, of another version, damaged, or larger than any that is written.
        OSError: it cannot be read.
    """
    return await in_thread(lambda _: _load(path))


def _write(recording: Recording, path: Path) -> None:
    unfinished = path.with_name(f".{path.name}.unfinished")
    try:
        with unfinished.open("w", encoding="utf-8", newline="\n") as file:
            for line in _lines(recording):
                file.write(line + "\n")
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


def _lines(recording: Recording) -> Iterator[str]:
    head = _Head(
        run=recording.run,
        state=recording.state,  # pyright: ignore[reportArgumentType] - validated by the model
        reason=recording.reason,
        setup=recording.setup,
        result=recording.result,
        manifest=recording.snapshot.manifest.decode("ascii"),
    )
    yield _dumped(head)
    bodies = list(_bodies(recording))
    yield from map(_dumped, bodies)
    yield _dumped(_Body(lines=1 + len(bodies)))


def _bodies(recording: Recording) -> Iterator[_Body]:
    contents = {**recording.contents, **recording.snapshot.contents}
    for sha, content in sorted(contents.items()):
        yield _Body(content=_content(sha, content))
    for call in recording.calls:
        yield _Body(call=_Call(**{name: value for name, value in asdict(call).items() if name != "run"}))
    for tool in recording.tools:
        yield _Body(tool=_Tool(**{name: value for name, value in asdict(tool).items() if name != "run"}))
    for stored in recording.events:
        yield _Body(event=_Event(seq=stored.seq, at=stored.at, execution=stored.execution, event=stored.event))


def _content(sha: str, content: bytes) -> _Content:
    """Text as text, so that a person can read what was asked; anything else in base64."""
    try:
        return _Content(content=sha, text=content.decode("utf-8"))
    except UnicodeDecodeError:
        return _Content(content=sha, base64=base64.b64encode(content).decode())


def _dumped(line: BaseModel) -> str:
    # By way of Python's own JSON: a name in a result may hold half a character, which is no Unicode.
    return json.dumps(line.model_dump(mode="json", exclude_none=True, by_alias=True), ensure_ascii=True)


@dataclass(slots=True)
class _Loading:
    """A file as far as it has been read."""

    path: Path
    contents: dict[str, bytes] = field(default_factory=dict[str, bytes])
    calls: list[RecordedCall] = field(default_factory=list[RecordedCall])
    tools: list[RecordedTool] = field(default_factory=list[RecordedTool])
    events: list[Stored] = field(default_factory=list[Stored])

    def take(self, body: _Body, run: RunId) -> None:
        """Take a line in."""
        if body.content is not None:
            self._take_content(body.content)
        elif body.call is not None:
            self._take_call(body.call, run)
        elif body.tool is not None:
            self.tools.append(RecordedTool(run=run, **body.tool.model_dump()))
        elif body.event is not None:
            line = body.event
            self.events.append(Stored(run, line.seq, line.at, line.execution, line.event))

    def _take_content(self, line: _Content) -> None:
        if line.text is not None:
            content = line.text.encode("utf-8", "surrogatepass")
        else:
            content = base64.b64decode(line.base64 or "", validate=True)
        if sha_of(content) != line.content:
            raise BadRecording(self.path, f"the content {line.content[:12]}… is not what its name says")
        self.contents[line.content] = content

    def _take_call(self, line: _Call, run: RunId) -> None:
        completion_of(line.answer_json)  # that it can be read is to be known before anything is done
        self.calls.append(RecordedCall(run=run, **line.model_dump()))

    def whole(self, head: _Head) -> Recording:
        """The recording, when every line is there."""
        named = {call.request_blob for call in self.calls}
        for tool in self.tools:
            named |= {tool.request_blob, tool.answer_blob}
        if missing := sorted(named - self.contents.keys()):
            raise BadRecording(self.path, f"the content {missing[0][:12]}… is missing")
        packed = PackedSnapshot(head.manifest.encode("ascii"), self.contents)
        packed.snapshot(self.path)
        return Recording(
            run=RunId(head.run),
            setup=head.setup,
            calls=tuple(self.calls),
            tools=tuple(self.tools),
            contents=self.contents,
            events=tuple(self.events),
            snapshot=packed,
            state=head.state,
            reason=head.reason,
            result=head.result,
        )


def _load(path: Path) -> Recording:
    lines = _read_lines(path)
    loading = _Loading(path)
    try:
        head = _read_head(path, lines[0])
        for number, line in enumerate(lines[1:-1], 2):
            loading.take(_read(path, number, line, _Body), RunId(head.run))
        if _read(path, len(lines), lines[-1], _Body).lines != len(lines) - 1:
            raise BadRecording(path, "its end is missing")
        return loading.whole(head)
    except WorkspaceError as error:
        raise BadRecording(path, str(error)) from error
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise BadRecording(path, f"it is damaged ({type(error).__name__})") from error


def _read_lines(path: Path) -> list[bytes]:
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        content = file.read(FILE_BYTES + 1)
    if max(size, len(content)) > FILE_BYTES:
        raise BadRecording(path, f"it is larger than {FILE_BYTES:,} bytes, the most that is read")
    lines = content.splitlines()
    if len(lines) < 2:
        raise BadRecording(path, "it is no recording of a run")
    return lines


def _read_head(path: Path, line: bytes) -> _Head:
    """The first line. What it says of kind and form is looked at first: the rest is read by those who know the form."""
    said = json.loads(line) if line.startswith(b"{") else None
    if not isinstance(said, dict) or said.get("kind") != _KIND:  # pyright: ignore[reportUnknownMemberType]
        raise BadRecording(path, "it is no recording of a run")
    form: object = said.get("form")  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
    if form != FORM:
        hint = "Replay it with the Corral that wrote it, or export the run again with this one."
        raise BadRecording(path, f"it is of form {form!r}, and this Corral reads form {FORM}", hint)
    return _read(path, 1, line, _Head)


def _read(path: Path, number: int, line: bytes, model: type[_M]) -> _M:
    try:
        return model.model_validate_json(line)
    except ValidationError as error:
        problem = error.errors(include_url=False, include_context=False, include_input=False)[0]
        where = ".".join(map(str, problem["loc"]))
        raise BadRecording(path, f"line {number}: {where or 'it'}: {problem['msg']}") from error
