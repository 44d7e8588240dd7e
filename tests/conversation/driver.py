"""A process of its own that says something in a new session, and then waits to be killed.

`python -m tests.conversation.driver '{"data": …, "server": …, "workspace": …, "message": …, "agent": …}'` prints the
session's id, then each chunk's kind and call, and stays.
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

from tests.conversation.stack import OPEN_TAB, stack
from tests.conversation.world import MemoryApprovals


def say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


async def main(told: dict[str, str]) -> None:
    async with stack(Path(told["data"]), told["server"], MemoryApprovals()) as here:
        session = await here.session(Path(told["workspace"]), [OPEN_TAB])
        say(f"session {session}")
        async for chunk in here.conversations.process_message(session, told["message"], told["agent"]):
            say(f"{chunk.kind} {chunk.call}")


if __name__ == "__main__":
    asyncio.run(main(json.loads(sys.argv[1])))
