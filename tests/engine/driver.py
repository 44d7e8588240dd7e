"""A process of its own that runs one task, and can be told to die in the middle of it, as by `kill -9`.

`python -m tests.engine.driver '{"data": …, "server": …, "repo": …, "spec": {…}, "kill": ["node.started", "write"]}'`.
With `"kill_when": "finished"` it dies as soon as the table has its run in that state; with `"interrupt": true` it first
interrupts it.
It prints its run's id first, then each address that it connects to, then its result.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sqlite3
import sys
from pathlib import Path

from backend.bootstrap import Application, open_application
from infrastructure.config.settings import Paths, ServerSettings, Settings
from infrastructure.events.catalogue import Event
from infrastructure.storage.connection import AnyJob
from infrastructure.tasks import TaskSpec


def say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def die_at(app: Application, kind: str, node: str) -> None:
    """Let the process be killed at the instant at which such an event is handed to the log."""
    post = app.log.post

    def posting(run: str, execution: int, event: Event) -> None:
        if (event.kind, event.node) == (kind, node):
            os.kill(os.getpid(), signal.SIGKILL)
        post(run, execution, event)

    app.log.post = posting


def die_when(app: Application, state: str) -> None:
    """Let the process be killed by the very commit that has a run in this state, whatever else was to come."""
    writing = app.log._database._writing
    carry_out = writing.carry_out

    def carrying_out(connection: sqlite3.Connection, jobs: list[AnyJob]) -> None:
        carry_out(connection, jobs)
        if connection.execute("SELECT 1 FROM runs WHERE state = ?", (state,)).fetchone():
            os.kill(os.getpid(), signal.SIGKILL)

    writing.carry_out = carrying_out


def tell_connections() -> None:
    """Print every address that anything in this process connects to or looks up."""

    def hook(name: str, arguments: tuple[object, ...]) -> None:
        if name == "socket.connect" and isinstance(arguments[1], tuple):
            say(f"connect {arguments[1][0]}:{arguments[1][1]}")
        elif name == "socket.getaddrinfo":
            say(f"lookup {arguments[0]}")

    sys.addaudithook(hook)


async def main(told: dict[str, object]) -> None:
    settings = Settings(
        servers=(ServerSettings(url=str(told["server"]), slots=4),),
        model="oracle",
        paths=Paths(data=Path(told["data"])),
    )
    if told.get("connections"):
        tell_connections()
    async with open_application(settings) as app:
        if told.get("kill"):
            die_at(app, *told["kill"])
        if told.get("kill_when"):
            die_when(app, str(told["kill_when"]))
        run = await app.engine.start(TaskSpec.model_validate({"repo": told["repo"], **told["spec"]}))
        say(f"run {run}")
        if told.get("interrupt"):
            await app.engine.interrupt(run, "lunch")
        result = await app.engine.result(run)
    say(f"result {result.model_dump_json(by_alias=True)}")


if __name__ == "__main__":
    asyncio.run(main(json.loads(sys.argv[1])))
