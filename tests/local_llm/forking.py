"""A program that forks while it has pools in use: what it and its children were told, as JSON lines.

Run by `test_forked.py`, since a process of tests has too much in it to be forked.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import signal
import sys
import threading
from collections.abc import Callable

from infrastructure.chat_model import ChatOllamaPool, close_chat_pool
from infrastructure.connection_pool import OllamaConnectionPool, close_ollama_pool
from infrastructure.local_llm import AsyncLocalLLM, LocalLLM
from infrastructure.pool.errors import OtherProcess

HANGS = 30
"""Seconds until a process that hangs is killed."""
LOOP = asyncio.new_event_loop()


def tell(who: str, told: object) -> None:
    sys.stdout.write(json.dumps([who, told]) + "\n")
    sys.stdout.flush()


def child(who: str, work: Callable[[], object]) -> int:
    """A child's number. It ends as a program ends, with all that this takes down."""
    process = os.fork()
    if process:
        return process
    signal.alarm(HANGS)
    tell(who, work())
    sys.exit()


def ask(llm: LocalLLM, chat: ChatOllamaPool) -> list[str]:
    return [
        llm.generate("hi"),
        "".join(llm.stream("hi")),
        chat.invoke("hi").text,
        "".join(piece.text for piece in chat.stream("hi")),
    ]


def asks() -> None:
    """Pools of all kinds are in use, and a child asks, closes, and ends."""
    threading.Thread(target=LOOP.run_forever, daemon=True).start()
    llm, chat, alone = LocalLLM("words"), ChatOllamaPool(model="words"), AsyncLocalLLM("words")
    pool = OllamaConnectionPool([os.environ["OLLAMA_HOST"]])
    borrowed = LocalLLM("words", pool=pool, loop=LOOP), ChatOllamaPool(model="words", pool=pool, loop=LOOP)

    def in_child() -> object:
        answers = [*ask(llm, chat), asyncio.run(once())]
        for asked in (borrowed[0].generate, borrowed[1].invoke):
            try:
                asked("hi")
            except OtherProcess as error:
                answers.append(error.hint)
        llm.close()
        close_chat_pool()
        return answers

    async def once() -> str:
        answer = await alone.generate("hi")
        await close_ollama_pool()
        return answer

    def in_parent() -> object:
        return ask(llm, chat) + ask(*borrowed) + [asyncio.run_coroutine_threadsafe(alone.generate("hi"), LOOP).result()]

    tell("parent", in_parent())
    os.waitpid(child("child", in_child), 0)
    tell("parent", in_parent())


def goes_on() -> None:
    """A call is under way; one child ends, another lives on as long as this does."""
    llm = LocalLLM("endless")
    pieces = llm.stream("hi")
    next(pieces)
    os.waitpid(child("child", lambda: "ends"), 0)
    tell("parent", bool("".join(next(pieces) for _ in range(5))))
    stays, held = os.pipe()

    def until_the_parent_ends() -> str:
        os.close(held)
        gc.collect()
        os.read(stays, 1)
        return "ends"

    child("child", until_the_parent_ends)
    pieces.close()
    tell("parent", "left")
    sys.stdin.readline()


if __name__ == "__main__":
    signal.alarm(HANGS)
    {"asks": asks, "goes_on": goes_on}[sys.argv[1]]()
