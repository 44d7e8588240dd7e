"""Asking the person at the terminal a yes or no, or which of several answers is right.

Owns the wording and the waiting for a line, which a first Ctrl-C must be able to end: no thread sits in `input()`.
"""

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable, Sequence

from agents.answers.asserting import typed_answer
from backend.cli.console import Terminal
from backend.cli.progress import Progress
from infrastructure.events.catalogue import ApprovalAsked

_NO_CHANGE = {
    f"{nothing}{needed}" for nothing in ("no change", "no changes", "nothing to change") for needed in ("", " needed")
}
_LETTERS = "abcdefghijklmopqrstuvwxyz"
"""Of the answers to choose from, of which there are sixteen at most; n is none of them."""
ReadLine = Callable[[], Awaitable[str | None]]
"""One line of the person's, without its end; None at the end of input."""


async def ask_approval(
    asked: ApprovalAsked, terminal: Terminal, progress: Progress, read_line: ReadLine | None = None
) -> tuple[bool, str] | None:
    """Show what the run wants to go on with, and wait for the answer.

    Returns:
        The answer and, for a no, its reason. None when input ended: nobody is there.
    """
    read_line = read_line or read_stdin_line
    if asked.gate == "behaviour":
        return await _ask_which(asked, terminal, progress, read_line)
    with progress.paused():
        if asked.gate == "patch":
            terminal.err.print()
            for line in asked.question.splitlines():
                terminal.say(line, _colour(line))
        else:
            terminal.say(f"\n{asked.question}")
        while True:
            terminal.err.print(f"Go on with this {asked.gate}? [y]es, [n]o: ", end="")
            line = await read_line()
            if line is None:
                terminal.err.print()
                return None
            answer = read_answer(line)
            if answer is None:
                terminal.say("Type y or n; a reason may follow the n.")
                continue
            if _as_it_is(line):
                terminal.say(f"you change nothing: going on with the {asked.gate} as it is")
            return answer


async def _ask_which(
    asked: ApprovalAsked, terminal: Terminal, progress: Progress, read_line: ReadLine
) -> tuple[bool, str] | None:
    with progress.paused():
        terminal.say(f"\n{asked.question}")
        for letter, answer in zip(_LETTERS, asked.answers, strict=False):
            terminal.say(f"  {letter}) {answer}")
        terminal.say("  n) none of these")
        while True:
            terminal.err.print("Which? A letter, or what it should give: ", end="")
            line = await read_line()
            if line is None:
                terminal.err.print()
                return None
            answer = read_choice(line, asked.answers)
            if answer is not None:
                return answer
            terminal.say("Type a letter of the list, or a value such as [1, 2], or: raises ValueError")


def read_choice(line: str, answers: Sequence[str]) -> tuple[bool, str] | None:
    """Which answer a typed line picks: one of the list is a yes, none or another a no with what was typed. Pure.

    None where it is neither a letter of the list nor what a call can give.
    """
    typed = line.strip()
    letter = _LETTERS.find(typed.lower().removesuffix(")")) if len(typed.removesuffix(")")) == 1 else -1
    if 0 <= letter < len(answers):
        return True, answers[letter]
    if typed.rstrip(")") in ("n", "N", "no", "No", "none"):  # None is what a call may give
        return False, ""
    said = typed_answer(typed)
    if said is None:
        return None
    return said in answers, said


def read_answer(line: str) -> tuple[bool, str] | None:
    """The yes or no of a typed line and, for a no, its reason; None where it is neither. Pure.

    Who wants no change says yes to what there is: "no change" is not a no with a reason.
    """
    if _as_it_is(line):
        return True, ""
    answer, _, reason = line.strip().partition(" ")
    if answer.lower().rstrip(",.!") in ("y", "yes"):
        return True, ""
    if answer.lower().rstrip(",.!") in ("n", "no"):
        return False, reason.strip()
    return None


def _as_it_is(line: str) -> bool:
    return " ".join(line.lower().split()).rstrip(".!") in _NO_CHANGE


async def read_stdin_line() -> str | None:
    """The next line of a terminal, which hands over whole lines; cancelling leaves it unread."""
    loop = asyncio.get_running_loop()
    descriptor = sys.stdin.fileno()
    ready: asyncio.Future[None] = loop.create_future()

    def readable() -> None:
        if not ready.done():
            ready.set_result(None)

    loop.add_reader(descriptor, readable)
    try:
        await ready
    finally:
        loop.remove_reader(descriptor)
    line = os.read(descriptor, 1 << 16)
    return line.decode("utf-8", "replace").rstrip("\r\n") if line else None


def _colour(line: str) -> str:
    if line.startswith(("+++", "---")):
        return "bold"
    return {"+": "green", "-": "red", "@": "cyan"}.get(line[:1], "")
