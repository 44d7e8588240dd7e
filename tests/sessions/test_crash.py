"""kill -9 while twenty sessions talk: in `strict` nothing acknowledged is lost, and no half of anything is there."""

import random
from collections import defaultdict

import pytest

from infrastructure.ids import RunId
from tests.sessions.parts import opened
from tests.storage.lives import one_life

pytestmark = pytest.mark.slow

SESSIONS = 20

TALKER = """
import asyncio, json, os, sys
from pathlib import Path
from agents.model import Message, ToolCall
from tests.sessions.parts import opened
from tests.storage.lives import one_life

def say(*words):
    os.write(1, (json.dumps(words) + "\\n").encode())  # one write, so never half a line

async def talk(sessions, session, life):
    await sessions.get_or_create(session)
    for turn in range(100_000):
        text = f"{life}/{turn} " + "x" * (turn * 37 % 900)
        said = await sessions.append_message(session, Message("user", text), key=f"{life}:{turn}")
        say(session, said, text)
        call = ToolCall("echo", {"text": text}, f"{life}:{turn}")
        asked = await sessions.append_message(session, Message("assistant", text, tool_calls=(call,)))
        say(session, asked, text)
        say(session, await sessions.append_tool_result(session, call, text), text)

async def main():
    async with opened(Path(sys.argv[1])) as app, asyncio.TaskGroup() as tasks:
        for number in range(int(sys.argv[3])):
            tasks.create_task(talk(app.sessions, f"s{number}", sys.argv[2]))

asyncio.run(main())
"""


@pytest.mark.timeout(300)
async def test_nothing_acknowledged_is_lost_over_many_kills(tmp_path, repository_root):
    chance = random.Random(7)
    path = tmp_path / "corral.db"
    promised = defaultdict(dict)
    for life in range(5):
        for session, number, text in await one_life(
            TALKER,
            str(path),
            str(life),
            str(SESSIONS),
            folder=repository_root,
            lines_until_death=chance.randint(20, 600),
        ):
            assert promised[session].setdefault(number, text) == text
    assert sum(map(len, promised.values())) > 100
    async with opened(path) as app:
        for session, numbers in promised.items():
            page = tuple(reversed(await app.sessions.page(session, limit=10**6)))
            assert [each.number for each in page] == list(range(1, len(page) + 1))
            texts = {each.number: each.message.content for each in page}
            assert {number: text for number, text in numbers.items() if texts.get(number) != text} == {}
            assert (await app.sessions.load(session)).last == len(page)
            events = [each.event for each in await app.log.read(RunId(session), limit=10**6)]
            told = [each.number for each in events if each.kind == "message.added"]
            assert told == [each.number for each in page]
