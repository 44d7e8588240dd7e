"""`corral chat` where nobody sits at a terminal: one message, messages from a pipe, the list, what is refused."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from backend.bootstrap import Application, open_application
from backend.cli import joining
from backend.server import open_door
from infrastructure.config.settings import Paths, ServerSettings, Settings
from infrastructure.simulator import ModelSpec, SimulatorSettings
from infrastructure.storage.lock import EngineLock
from tests.cli.conftest import Corral, refused, serve
from tests.conversation.stack import called

WRITE = called("write_file", '{"path": "a.py", "content": "x = 2"}')


@pytest.fixture(scope="module")
def talker() -> Iterator[str]:
    """The address of a server whose models say what they are scripted to."""
    models = (
        ModelSpec(name="talker", turns=("It adds.", "As I said."), template="chatml"),
        ModelSpec(name="writer", turns=(WRITE, "Written."), template="chatml"),
        ModelSpec(name="mute", turns=("",), template="chatml"),
    )
    yield from serve(SimulatorSettings(models=models, time_scale=0.0, load_seconds=0.0, num_ctx=32768))


@pytest.fixture
def chat(corral: Corral, talker: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Corral:
    corral.server = talker
    monkeypatch.setenv("CORRAL_MODEL", "talker")
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    return corral


def test_one_message_prints_the_answer_and_how_to_go_on(chat: Corral):
    done = chat("chat", "--once", "What does it do?")
    assert (done.code, done.out) == (0, "It adds.\n")
    (listed,) = chat("chat", "--list", "--json").document
    assert (listed["title"], listed["messages"], listed["waits"]) == ("What does it do?", 2, False)
    assert listed["workspace"] == str(Path.cwd())
    assert f"corral chat {listed['session']} --data" in done.err
    again = chat("chat", listed["session"][:20], "--once", "And?", "--output", "ndjson")
    kinds = [json.loads(line)["kind"] for line in again.out.splitlines()]
    assert (kinds[-2:], again.code) == (["done", "result"], 0)
    assert json.loads(again.out.splitlines()[-1])["text"] == "As I said."


def test_question_that_nobody_can_answer_ends_with_its_own_code_and_stays(chat: Corral, monkeypatch):
    monkeypatch.setenv("CORRAL_MODEL", "writer")
    done = chat("chat", "--once", "Write", "--agent", "coder", "--json")
    assert (done.code, done.document["status"]) == (5, "waiting")
    assert [(each["tool"], each["arguments"]["path"]) for each in done.document["waits"]] == [("write_file", "a.py")]
    assert "Answer at a terminal: corral chat" in done.err
    assert "waits for your answer" in chat("chat", "--list").out
    again = chat("chat", done.document["session"], "--once", "Go on")
    assert again.code == 5
    assert "nothing was said" in again.err


def test_turn_that_fails_is_told_by_the_code(chat: Corral, monkeypatch):
    monkeypatch.setenv("CORRAL_MODEL", "mute")
    done = chat("chat", "--once", "Say it", "--json")
    assert (done.code, done.document["status"]) == (1, "failed")
    assert "came to no answer" in done.document["reason"]


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["nonesuch", "--once", "x"], 2, "there is no session 'nonesuch'"),
        (["--once", "x", "--agent", "nobody"], 2, "there is no agent 'nobody'"),
        (["--once", "  "], 2, "the message is empty"),
        (["--once", "x", "--repo", "nowhere"], 2, "nowhere is not there"),
        (["some", "--new"], 2, "say two things"),
    ],
)
def test_what_cannot_be_is_refused_and_leaves_no_session(chat: Corral, words: list[str], code: int, said: str):
    refused(chat("chat", *words), code, said)
    assert chat("chat", "--list").out == ""


def test_missing_server_and_missing_model_are_the_environments(chat: Corral, monkeypatch):
    monkeypatch.setenv("CORRAL_MODEL", "nomodel")
    refused(chat("chat", "--once", "x"), 3, "No server has 'nomodel'")
    chat.server = "http://127.0.0.1:9"
    refused(chat("chat", "--once", "x"), 3, "No Ollama server is available")


def test_session_works_in_its_own_folder(chat: Corral, tmp_path: Path):
    chat("chat", "--once", "Hello")
    (listed,) = chat("chat", "--list", "--json").document
    refused(chat("chat", listed["session"], "--once", "x", "--repo", str(tmp_path)), 2, "works in", "not in")


def test_holder_that_does_not_answer_is_named_and_the_list_is_read_beside_it(
    chat: Corral, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(joining, "PATIENCE", 0.2)
    chat("chat", "--once", "Hello")
    with EngineLock(chat.data / "engine.lock", verb="serve") as lock:
        assert lock.try_acquire()
        refused(chat("chat", "--once", "x"), 3, "`corral serve` (process", "does not answer")
        lock.announce("http://127.0.0.1:9")
        refused(chat("chat", "--once", "x"), 3, "`corral serve` (process", "does not answer at http://127.0.0.1:9")
        assert "Hello" in chat("chat", "--list").out


@contextmanager
def served(chat: Corral) -> Iterator[Application]:
    """The data directory is held by an engine with an open door, in a thread of its own."""
    ready, apps = threading.Event(), list[Application]()
    loop, over = asyncio.new_event_loop(), asyncio.Event()
    settings = Settings(
        servers=(ServerSettings(url=chat.server, slots=4),),
        model="talker",
        roles={"coder": "writer"},
        paths=Paths(data=chat.data, config=chat.data / "corral.toml"),
    )

    async def serve() -> None:
        async with open_application(settings, verb="serve") as app, open_door(app):
            apps.append(app)
            ready.set()
            await over.wait()

    thread = threading.Thread(target=lambda: loop.run_until_complete(serve()))
    thread.start()
    assert ready.wait(30)
    try:
        yield apps[0]
    finally:
        loop.call_soon_threadsafe(over.set)
        thread.join()
        loop.close()


def test_chat_beside_a_server_is_its_guest(chat: Corral):
    with served(chat) as app:
        done = chat("chat", "--once", "What does it do?")
        assert (done.code, done.out) == (0, "It adds.\n"), done.err
        assert "the engine is held by `corral serve`" in done.err
        (listed,) = chat("chat", "--list", "--json").document
        assert app.sessions.exists(listed["session"])
        again = chat("chat", listed["session"][:20], "--once", "And?", "--json").document
        assert (again["text"], again["session"]) == ("As I said.", listed["session"])
        waits = chat("chat", "--once", "Write", "--agent", "coder", "--json")
        assert (waits.code, waits.document["status"]) == (5, "waiting")
        assert waits.document["waits"][0]["tool"] == "write_file"
        refused(chat("chat", "--once", "x", "--agent", "nobody"), 2, "nobody")
        refused(chat("chat", "nothing", "--once", "x"), 2, "there is no session")
        refused(chat("chat", waits.document["session"], "--once", "x"), 5, "waits for an answer")
    done = chat("chat", listed["session"], "--once", "And now?")
    assert (done.code, "guest" in done.err) == (0, False), "the engine is its own again"


@pytest.mark.slow
def test_lines_of_a_pipe_are_messages_and_nothing_is_asked(chat: Corral, repository_root: Path, tmp_path: Path):
    def run(text: str, *words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "backend.cli", "chat", *words, *chat.options, "--repo", str(tmp_path / "work")]
        return subprocess.run(command, input=text, capture_output=True, text=True, cwd=repository_root, check=False)

    done = run("What is\\\nit?\n\n/agent ask\nAnd?\n/quit\nNever said\n")
    assert (done.returncode, done.stdout) == (0, "It adds.\nask gets the next message\nAs I said.\n")
    assert "nobody can be asked" in done.stderr
    unattended = run("Write\n", "--agent", "coder", "--output", "json")
    document = json.loads(unattended.stdout)
    assert (unattended.returncode, document["status"]) == (0, "done")
    assert "Nobody is there to be asked" in document["text"]
