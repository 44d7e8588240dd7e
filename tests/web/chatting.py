"""The real server with models that say what a conversation needs, for a browser: one talks, one calls tools."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from agents.conversation.talking import message_key
from agents.model import Message
from backend.bootstrap import Application, open_application
from backend.security.codes import mint
from backend.security.token import open_keys
from backend.server import open_door
from infrastructure.config.settings import LaneSettings, Paths, ServerSettings, Settings
from infrastructure.conversation.undoing import told
from infrastructure.sandbox import NoSandbox, Sandbox
from infrastructure.simulator import ModelSpec, Simulator, SimulatorSettings
from infrastructure.tools.journal import Undone
from tests.conversation.stack import called

ESCAPE = "\x1b[31mred\x1b[0m \u202eright to left"
WIDE = "".join(hashlib.sha256(bytes([number])).hexdigest() for number in range(90))
"""One line without a place to break it."""
HOSTILE = (
    f"<img src=x onerror=alert(1)><script>alert(2)</script> {ESCAPE} {WIDE}\n\n"
    "```html\n<b onclick=alert(3)>bold</b>\n```\n\n[link](javascript:alert(4))"
)
"""What a model may say to break a page."""
LONG = "A list of words: " + " ".join(f"word{number}" for number in range(400))
WRITE = called("write_file", '{"path": "notes.md", "content": "# Notes\\n<script>alert(5)</script>\\n"}')
MAKE = called("run_command", '{"command": "make test"}')
PUSH = called("run_command", '{"command": "git push --force origin main"}')
OPEN_TAB = called("open_tab", '{"path": "notes.md"}')
CLIENT_TOOL = {
    "name": "open_tab",
    "description": "Open a file in the editor.",
    "parameters": {"type": "object", "properties": {"path": {"type": "string"}}, "required": ["path"]},
    "risk": "reads",
}

ASK = (
    (
        "It is a small project with one file of notes.\n\n"
        "```python\ndef total(items):\n    return sum(items)\n```\n\nAnything else?"
    ),
    LONG,
    HOSTILE,
)
HURRIED = (
    called("write_file", '{"path": "one.md", "content": "One."}'),
    called("write_file", '{"path": "Makefile", "content": "all:"}'),
    called("write_file", '{"path": ".git/hooks/pre-commit", "content": "rm -r ~"}'),
    "All three were asked about.",
)
"""Three questions, one right after another, the last of them dangerous."""
PAIRED = (
    "\n".join(called("write_file", f'{{"path": "part{number}.md", "content": "{number}"}}') for number in range(1, 6)),
    "All five were asked about.",
)
"""Five questions at once."""
CODER = (
    WRITE,
    "The notes are written.",
    MAKE,
    "It was not run then; I leave it.",
    PUSH,
    "It was not pushed.",
    *HURRIED,
    *PAIRED,
)
UNIVERSAL = (OPEN_TAB, "It is open.")
TOKENS_PER_SECOND = 500.0


@dataclass(frozen=True)
class Chat:
    """Where a browser goes."""

    application: Application
    address: str
    folder: Path
    simulator: Simulator

    async def one_time_address(self) -> str:
        """Signs a browser in, once."""
        keys = await asyncio.to_thread(open_keys, self.application.directory.token)
        return f"{self.address}/signin?code={mint(keys, self.application.epoch)}"

    async def long_session(self, messages: int) -> str:
        """A conversation of many messages."""
        sessions = self.application.sessions
        record = await sessions.create(title="A long one")
        for number in range(messages // 2):
            await sessions.append_message(record.session, Message("user", f"question {number + 1}"))
            await sessions.append_message(record.session, Message("assistant", f"answer {number + 1}"), agent="ask")
        return str(record.session)

    async def undone_session(self) -> str:
        """A conversation that ends with the word of an undo."""
        sessions = self.application.sessions
        record = await sessions.create(title="Taken back")
        await sessions.append_message(record.session, Message("user", "Write it"), key=message_key("t1"))
        await sessions.append_message(record.session, Message("assistant", "It is written."), agent="coder")
        undone = Undone("notes.md", True, "notes.md is as it was before", "c1")
        await sessions.append_message(record.session, Message("user", told(undone)), key="undo/c1")
        return str(record.session)

    async def coder_session(self, title: str, said: str) -> str:
        """A conversation whose next answer, by the coder, is the one given."""
        sessions = self.application.sessions
        record = await sessions.create(title=title, agent="coder", workspace=str(self.folder))
        for number in range(CODER.index(said)):
            await sessions.append_message(record.session, Message("user", f"wish {number + 1}"))
            await sessions.append_message(record.session, Message("assistant", "Done."), agent="coder")
        return str(record.session)

    async def client_session(self) -> str:
        """A conversation whose own program has a tool."""
        settings = {"client_tools": [CLIENT_TOOL]}
        record = await self.application.sessions.create(title="With an editor", agent="universal", settings=settings)
        return str(record.session)


SPOKEN: Mapping[str, tuple[str, ...]] = {"ask": ASK, "coder": CODER, "universal": UNIVERSAL}
"""What each agent says, by how many answers its conversation has."""
_MODELS = {"ask": "talker", "coder": "worker", "universal": "client"}


@asynccontextmanager
async def chatting(
    root: Path, spoken: Mapping[str, tuple[str, ...]] = SPOKEN, tokens_per_second: float = TOKENS_PER_SECOND
) -> AsyncGenerator[Chat]:
    """Serve on a free port; its data and the agents' folder are in `root`."""
    folder = root / "project"
    await asyncio.to_thread(folder.mkdir, parents=True, exist_ok=True)
    roles = {agent: _MODELS[agent] for agent in spoken}
    turns = {_MODELS[agent]: said for agent, said in spoken.items()}
    simulated = SimulatorSettings(
        models=tuple(ModelSpec(name=name, turns=said, vision=name == "talker") for name, said in turns.items()),
        load_seconds=0.0,
        num_ctx=32768,
        num_parallel=4,
        prefill_tokens_per_second=50_000.0,
        decode_tokens_per_second=tokens_per_second,
    )
    async with Simulator(simulated) as simulator:
        settings = Settings(
            servers=(ServerSettings(url=simulator.url, name="simulated", slots=4),),
            model="talker",
            roles=roles,
            lanes={name: LaneSettings(model=name, num_ctx=32768) for name in turns},
            paths=Paths(data=root / "data", config=root / "config" / "corral.toml"),
        )
        async with (
            open_application(settings, verb="serve", sandbox=_none) as application,
            open_door(application) as door,
        ):
            yield Chat(application, door.address, folder, simulator)


async def _none() -> Sandbox:
    """Where nothing holds a command, a person is asked about it."""
    raise NoSandbox({}, "Type: sudo apt install bubblewrap")
