"""`corral chat` at a terminal: a process of its own on a pseudo-terminal, over a simulated server."""

from __future__ import annotations

import asyncio
import fcntl
import os
import pty
import re
import signal
import struct
import sys
import termios
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest

from backend.bootstrap import open_application
from backend.server import open_door
from infrastructure.config.settings import Paths, ServerSettings, Settings
from infrastructure.simulator import Simulator
from tests.conversation.stack import called, simulator
from tests.forkserver import own_terminal

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
ESCAPES = re.compile(r"\x1b(?:\[[0-9;?]*[ -/]*[@-~]|[()][A-Z0-9]|[=>78])")
WRITE = called("write_file", '{"path": "a.py", "content": "x = 2"}')
MUCH = " ".join(f"w{each}" for each in range(2_000))
QUESTION = "[d]etails: "


class OnTerminal:
    """A chat on a terminal; what it shows is read as it comes, without colours."""

    def __init__(self, process: asyncio.subprocess.Process, master: int) -> None:
        self.process, self._master = process, master
        self._text, self._read = "", 0
        self._told = asyncio.Event()
        asyncio.get_running_loop().add_reader(master, self._take)

    def type(self, text: str) -> None:
        os.write(self._master, text.encode())

    async def shows(self, text: str) -> str:
        """Wait until it shows this after what was waited for before; all that it showed until then."""
        while (at := self._text.find(text, self._read)) < 0:
            self._told.clear()
            assert self.process.returncode is None, f"it ended without {text!r}:\n{self._text}"
            await asyncio.wait_for(self._told.wait(), 30)
        shown = self._text[self._read : at + len(text)]
        self._read = at + len(text)
        return shown

    @property
    def echoes(self) -> bool:
        """Whether the terminal shows what is typed, as it did before."""
        return bool(termios.tcgetattr(self._master)[3] & termios.ECHO)

    async def ended(self) -> int:
        return await self.process.wait()

    async def close(self) -> None:
        if self.process.returncode is None:
            self.process.kill()
            await self.process.wait()
        asyncio.get_running_loop().remove_reader(self._master)
        os.close(self._master)

    def _take(self) -> None:
        try:
            read = os.read(self._master, 1 << 16)
        except OSError:  # the other side is closed
            read = b""
        if read:
            self._text += ESCAPES.sub("", read.decode("utf-8", "replace")).replace("\r", "")
        else:
            asyncio.get_running_loop().remove_reader(self._master)
        self._told.set()


@asynccontextmanager
async def at_terminal(folder: Path, server: Simulator, *words: str) -> AsyncIterator[OnTerminal]:
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 50, 200, 0, 0))
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("VISUAL", "EDITOR"))}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "backend.cli", "chat", *words, "--data", str(folder / "data"), "--server", server.url,
        "--repo", str(folder / "work"),
        cwd=ROOT, env={**environ, "CORRAL_MODEL": "talker", "TERM": "xterm"}, stdin=slave, stdout=slave, stderr=slave,
        start_new_session=True, preexec_fn=own_terminal,
    )  # fmt: skip
    os.close(slave)
    chat = OnTerminal(process, master)
    try:
        yield chat
    finally:
        await chat.close()


@pytest.fixture
def work(tmp_path: Path) -> Path:
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "a.py").write_text("x = 1\n")
    return tmp_path


async def approved_and_undone(chat: OnTerminal, work: Path) -> None:
    """The write that is asked about is allowed by key, and taken back."""
    chat.type("y")
    await chat.shows("It is written.")
    await chat.shows("coder>")
    assert (work / "work" / "a.py").read_text() == "x = 2\n"
    chat.type("/undo\r")
    await chat.shows("a.py is as it was before")
    await chat.shows("coder>")


async def test_call_is_approved_by_key_and_undone_and_the_history_is_private(work: Path):
    async with simulator(WRITE, "It is written.") as server, at_terminal(work, server, "--agent", "coder") as chat:
        await chat.shows("coder>")
        chat.type("Write \\\rit\r")
        shown = await chat.shows(QUESTION)
        assert "-x = 1" in shown
        assert "+x = 2" in shown
        await approved_and_undone(chat, work)
        chat.type("\x04")
        shown = await chat.shows("Come back: corral chat ")
        assert "session " in shown
        assert await chat.ended() == 0
    assert (work / "work" / "a.py").read_text() == "x = 1\n"
    history = work / "data" / "chat.history"
    assert history.read_text() == '"Write \\nit"\n"/undo"\n'
    assert history.stat().st_mode & 0o777 == 0o600


async def test_ctrl_c_stops_the_agent_and_the_chat_goes_on(work: Path):
    script = simulator(MUCH, "Shorter.", time_scale=1.0, decode_tokens_per_second=200)
    async with script as server, at_terminal(work, server) as chat:
        await chat.shows("orchestrator>")
        chat.type("Say much\r")
        await chat.shows("w10 ")
        chat.type("\x03")
        await chat.shows("stopped; what was said so far is kept")
        await chat.shows("orchestrator>")
        chat.type("half a line\x03")
        chat.type("\x03")
        await chat.shows("Come back: corral chat ")
        assert await chat.ended() == 0


async def test_ctrl_c_at_a_question_stops_the_turn_and_does_nothing(work: Path):
    async with simulator(WRITE, "Not written.") as server, at_terminal(work, server, "--agent", "coder") as chat:
        await chat.shows("coder>")
        chat.type("Write it\r")
        await chat.shows(QUESTION)
        chat.type("\x03")
        await chat.shows("stopped; what was said so far is kept")
        await chat.shows("coder>")
        chat.type("Go on\r")
        await chat.shows("Not written.")
        await chat.shows("coder>")
        chat.process.terminate()
        assert await chat.ended() == 128 + signal.SIGTERM
        assert chat.echoes
    assert (work / "work" / "a.py").read_text() == "x = 1\n"


@asynccontextmanager
async def serving(folder: Path, server: Simulator) -> AsyncIterator[None]:
    """The engine of the chat's data directory, in this process, with an open door."""
    settings = Settings(
        servers=(ServerSettings(url=server.url, slots=4),),
        model="talker",
        paths=Paths(data=folder / "data", config=folder / "config" / "corral.toml"),
    )
    async with open_application(settings, verb="serve") as app, open_door(app):
        yield


async def test_guest_answers_by_key_undoes_stops_and_goes_on_when_the_holder_is_gone(work: Path):
    script = simulator(WRITE, "It is written.", MUCH, time_scale=1.0, decode_tokens_per_second=400)
    async with script as server, AsyncExitStack() as holder:
        await holder.enter_async_context(serving(work, server))
        async with at_terminal(work, server, "--agent", "coder") as chat:
            await chat.shows("this joins it as a guest")
            await chat.shows("coder>")
            chat.type("Write it\r")
            shown = await chat.shows(QUESTION)
            assert "+x = 2" in shown
            await approved_and_undone(chat, work)
            chat.type("Say much\r")
            await chat.shows("w10 ")
            chat.type("\x03")
            await chat.shows("stopped; what was said so far is kept")
            await chat.shows("coder>")
            await holder.aclose()
            chat.type("Are you there?\r")
            await chat.shows("is gone")
            await chat.shows("you: Say much")
            await chat.shows("coder>")
            chat.type("Are you there?\r")
            await chat.shows("w10 ")  # half an answer is not kept, so the model says it again
            chat.type("\x03")
            await chat.shows("stopped; what was said so far is kept")
            await chat.shows("coder>")
            chat.type("\x04")
            assert await chat.ended() == 0
    assert (work / "work" / "a.py").read_text() == "x = 1\n"


async def test_question_is_asked_again_after_kill_9_and_done_once(work: Path):
    async with simulator(WRITE, "It is written.") as server:
        async with at_terminal(work, server, "--agent", "coder") as chat:
            await chat.shows("coder>")
            chat.type("Write it\r")
            await chat.shows(QUESTION)
            chat.process.kill()
            assert await chat.ended() == -9
        async with at_terminal(work, server) as chat:  # the folder's last session goes on
            shown = await chat.shows(QUESTION)
            assert "you: Write it" in shown
            assert "+x = 2" in shown
            chat.type("y")
            await chat.shows("It is written.")
            await chat.shows("coder>")
            chat.type("/history\r")
            shown = await chat.shows("4 coder: It is written.")
            assert shown.count("✓ write_file") == 1
    assert (work / "work" / "a.py").read_text() == "x = 2\n"


async def test_keys_typed_before_a_question_are_no_answer_to_it(work: Path):
    script = simulator(MUCH[:600] + "\n" + WRITE, "Then not.", time_scale=1.0, decode_tokens_per_second=400)
    async with script as server, at_terminal(work, server, "--agent", "coder") as chat:
        await chat.shows("coder>")
        chat.type("Write it\r")
        await chat.shows("w10 ")
        chat.type("y\r")
        await chat.shows(QUESTION)
        chat.type("n")
        await chat.shows("Then not.")
    assert (work / "work" / "a.py").read_text() == "x = 1\n"
