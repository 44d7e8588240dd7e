"""A history made shorter: what of it is told in a summary, and what stays word for word.

Owns the shape of a summary (the only message of a session whose role is `system`), its anchors, which code takes from
the messages so that no model can lose them, and the place where the part to be summarised ends. Pure.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from agents.conversation.history import Numbered, numbered
from agents.conversation.ports import History
from agents.model import Message
from agents.prompting import excerpt

Count = Callable[[Sequence[Message]], int]
"""How many tokens messages take."""

WRITING_TOOLS = ("write_file", "apply_edit")
"""The first line of their result says which file was written, if one was (`written_in`)."""
_TASK_KEEP = 1_500
"""Characters of either end of the first message that an anchor keeps."""
_LINE = 200
_MOST_FILES = 50
_WRITTEN = re.compile(r"(.+) is (?:written|changed)(?:: it has | \(this call was done before\)|; the turn ended)")
_HEADER = re.compile(r"Summary of messages 1 to (\d+)\.")
_FIRST, _NOW, _TODOS, _FILES, _PROSE = _TITLES = (
    "## What the person asked for first",
    "## What the person asks for now",
    "## Still to do",
    "## Files written so far",
    "## What happened",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """What a model is shown of a history: the last summary, and the messages that it does not cover."""

    summary: Message | None
    messages: tuple[Numbered, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Compaction:
    """What is to be summarised.

    Attributes:
        upto: Number of the last message that the summary covers.
        older: The messages it covers that no summary covered before.
        before: The summary before, whose content goes on in the new one.
        asked: Whether it covers what is asked for now: no message that stays is the person's.
    """

    upto: int
    older: tuple[Message, ...]
    before: Message | None = None
    asked: bool = False


def covered(message: Message) -> int:
    """Number of the last message that a summary covers; 0 for any other message."""
    found = _HEADER.match(message.content) if message.role == "system" else None
    return int(found[1]) if found else 0


def view(history: History) -> View:
    """The last summary and what it does not cover.

    A store may leave out the messages that the last summary covers.
    """
    every = numbered(history)
    summary = next((each.message for each in reversed(every) if covered(each.message)), None)
    upto = 0 if summary is None else covered(summary)
    shown = [each for each in every if each.message.role != "system" and each.number > upto]
    return View(summary=summary, messages=tuple(shown))


def written_in(result: Message) -> str:
    """The file that was written, by the result of its call: what was asked for may have been refused, or edited.

    Empty where none was.
    """
    found = _WRITTEN.match(result.content) if result.tool_name in WRITING_TOOLS else None
    return found[1] if found else ""


def compaction(history: History, count: Count, keep: int) -> Compaction | None:
    """What to summarise so that what stays takes at most `keep` tokens; None where nothing can be.

    The cut stands before a person's message or an answer, so a call is never parted from its results. The last of
    these stays whatever it takes.
    """
    seen = view(history)
    starts = [at for at, each in enumerate(seen.messages) if each.message.role != "tool" and at > 0]
    if not starts:
        return None
    fitting = (at for at in starts if count([each.message for each in seen.messages[at:]]) <= keep)
    at = next(fitting, starts[-1])
    older = seen.messages[:at]
    return Compaction(
        upto=older[-1].number,
        older=tuple(each.message for each in older),
        before=seen.summary,
        asked=all(each.message.role != "user" for each in seen.messages[at:]),
    )


def summary_text(what: Compaction, prose: str, todos: Sequence[str] = ()) -> str:
    """The summary: anchors that code has found, and what a model said of the rest."""
    parts = [f"Summary of messages 1 to {what.upto}."]
    for title, lines in (
        (_FIRST, [excerpt(_first_task(what), _TASK_KEEP)]),
        (_NOW, [excerpt(_asked_now(what), _TASK_KEEP)]),
        (_TODOS, [f"- {todo}" for todo in todos]),
        (_FILES, [f"- {path}" for path in _files(what)]),
        (_PROSE, [prose.strip()]),
    ):
        if any(lines):
            parts += [title, *lines]
    return "\n".join(parts)


def told_by_code(what: Compaction) -> str:
    """What happened, as far as code can tell: where no model could say it better."""
    return "\n".join([*([_section(what.before, _PROSE)] if what.before else []), *map(_line, what.older)]).strip()


def transcript(messages: Sequence[Message], keep: int = 1_000) -> str:
    """Messages as text for whoever summarises them; long ones with both ends only."""
    return "\n\n".join(_told(message, keep) for message in messages)


def _told(message: Message, keep: int) -> str:
    calls = [
        f"{call.name}({json.dumps(call.arguments, ensure_ascii=False, default=str)})" for call in message.tool_calls
    ]
    who = {"user": "Person", "tool": f"Result of {message.tool_name or 'a tool'}"}.get(message.role, "Agent")
    return excerpt("\n".join(filter(None, (f"{who}: {message.content}", *calls))), keep)


def _line(message: Message) -> str:
    first = " ".join(_told(message, _LINE).split())
    return f"- {first[:_LINE]}{'…' if len(first) > _LINE else ''}"


def _first_task(what: Compaction) -> str:
    if what.before is not None:
        return _section(what.before, _FIRST)
    return next((message.content for message in what.older if message.role == "user"), "")


def _asked_now(what: Compaction) -> str:
    """What the turn is about, where nothing else says so: neither a message that stays nor the first one."""
    if not what.asked:
        return ""
    asked = [message.content for message in what.older if message.role == "user"]
    if what.before is not None:
        return asked[-1] if asked else _section(what.before, _NOW)
    return asked[-1] if len(asked) > 1 else ""


def _files(what: Compaction) -> tuple[str, ...]:
    found: dict[str, None] = {}
    if what.before is not None:
        found.update(dict.fromkeys(line.removeprefix("- ") for line in _section(what.before, _FILES).splitlines()))
    found.update(dict.fromkeys(filter(None, map(written_in, what.older))))
    return tuple(found)[-_MOST_FILES:]


def _section(summary: Message, title: str) -> str:
    """A section's text. Sections stand in one order; the last title of its kind counts for prose that repeats one."""
    _, found, after = summary.content.partition(f"\n{title}\n")
    if not found:
        return ""
    for later in _TITLES[_TITLES.index(title) + 1 :]:
        after = after.partition(f"\n{later}\n")[0] if title != _PROSE else after
    return after
