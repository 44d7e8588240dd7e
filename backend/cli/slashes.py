"""Commands within a chat, which begin with a slash: who speaks, what was said, what was written, what is allowed.

Owns their names and words. A text that begins with two slashes is said with one.
"""

from __future__ import annotations

import difflib
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from backend.cli.brief import call_line, result_line
from backend.cli.conversing import Chat
from backend.cli.picking import named_session, print_sessions
from backend.cli.render import shortened
from backend.cli.runs import age
from infrastructure.sessions.records import SessionRecord, StoredMessage

_HISTORY = 20
_SESSIONS = 20
_STYLES = {"user": "bold", "system": "dim", "tool": "cyan"}
_SCOPES = {"run": "this session", "project": "this folder", "always": "everywhere"}


@dataclass(frozen=True, slots=True)
class Command:
    """A command: how it is typed, what it does, and whether the chat goes on after it."""

    typed: str
    about: str
    do: Callable[[Chat, str], Awaitable[bool]]


def message_of(text: str) -> str | None:
    """What is to be said; None where the text is a command."""
    if text.startswith("//"):
        return text[1:]
    return None if text.startswith("/") else text


async def obey(chat: Chat, text: str) -> bool:
    """Do a command; whether the chat goes on. One that is not known says which there are."""
    name, _, rest = text[1:].partition(" ")
    command = COMMANDS.get(name.strip().lower())
    if command is None:
        near = difflib.get_close_matches(name, COMMANDS, n=1)
        meant = f" Did you mean /{near[0]}?" if near else ""
        chat.terminal.problem(
            f"there is no command /{shortened(name, 40)}.{meant}",
            f"There are {', '.join(f'/{each}' for each in COMMANDS)}. A text that begins with a slash: //{name}",
        )
        return True
    return await command.do(chat, rest.strip())


# ---------------------------------------------------------------------------------------------------- who speaks
async def _agent(chat: Chat, rest: str) -> bool:
    if rest:
        await chat.use_agent(rest)
        chat.tell(f"{rest} gets the next message")
        return True
    chat.tell(f"{await chat.agent()} gets the next message; /agent NAME names another, /agents lists them")
    return True


async def _agents(chat: Chat, rest: str) -> bool:
    agents, current = await chat.host.turns.agents(), await chat.agent()
    wide = max(len(each.name) for each in agents)
    for each in agents:
        mark = "*" if each.name == current else " "
        chat.tell(f"{mark} {each.name:{wide}}  {each.about}", "bold" if each.name == current else "")
    return True


# ------------------------------------------------------------------------------------------- what was said and done
async def _undo(chat: Chat, rest: str) -> bool:
    if not chat.session:
        return _nothing_yet(chat)
    undone = await chat.undo()
    if undone.ok:
        chat.tell(undone.text, "green")
    else:
        chat.terminal.warn(undone.text)
    return True


async def _history(chat: Chat, rest: str) -> bool:
    if not chat.session:
        return _nothing_yet(chat)
    if rest and not (rest.isascii() and rest.isdigit() and int(rest)):
        chat.terminal.problem(f"/history: {rest!r} is no number of messages", "Type it as in /history 50.")
        return True
    page = await chat.host.sessions.page(chat.session, min(int(rest or _HISTORY), 10_000))
    for each in reversed(page):
        print_message(chat, each)
    return True


def print_message(chat: Chat, stored: StoredMessage) -> None:
    """A message as it was said; a result in a line."""
    message = stored.message
    style = _STYLES.get(message.role, "")
    if message.role == "tool":
        mark = "✓" if stored.ok else "✗"
        chat.tell(
            f"{stored.number:>4}   {mark} {result_line(message.tool_name or '', message.content, ok=stored.ok)}", style
        )
        return
    who = {"user": "you", "system": "summary"}.get(message.role, stored.agent or message.role)
    lines = message.content.strip().splitlines() or [""]
    if message.content.strip():
        chat.tell(f"{stored.number:>4} {who}: {lines[0]}", style)
        for line in lines[1:]:
            chat.tell(f"     {line}", style)
    for call in message.tool_calls:
        chat.tell(f"{stored.number:>4} {who} → {call_line(call.name, call.arguments)}", "cyan")


async def _todos(chat: Chat, rest: str) -> bool:
    record = await chat.record()
    if record is None or not record.todos:
        chat.terminal.say("nothing is on the list")
        return True
    for each in record.todos:
        chat.tell(f"- {each}")
    return True


# ------------------------------------------------------------------------------------------------- sessions
async def _new(chat: Chat, rest: str) -> bool:
    chat.turn_to(None)
    chat.terminal.say("a new session begins with your next message")
    return True


async def _sessions(chat: Chat, rest: str) -> bool:
    waiting = await chat.host.questions.waiting()
    records = await chat.host.sessions.list(_SESSIONS)
    if chat.output == "text":
        print_sessions(records, waiting, chat.terminal)
    else:
        for each in records:
            chat.tell(f"{each.session}  {each.title}")
    return True


async def _open(chat: Chat, rest: str) -> bool:
    if not rest:
        chat.terminal.problem("/open wants a session", "Type it as in /open 01J…; /sessions lists them.")
        return True
    chat.turn_to(await named_session(chat.host.sessions, rest))
    await greet(chat)
    ending = await chat.see()
    return ending is None or ending.status != "left"


async def _fork(chat: Chat, rest: str) -> bool:
    if not chat.session:
        return _nothing_yet(chat)
    before = chat.session
    chat.turn_to(await chat.host.sessions.fork(before))
    chat.terminal.say(f"this is session {chat.session} now, a copy of {before}; /open {before} goes back")
    return True


async def _title(chat: Chat, rest: str) -> bool:
    if not chat.session:
        return _nothing_yet(chat)
    if not rest:
        record = await chat.record()
        chat.tell(record.title if record is not None and record.title else "(no title)")
        return True
    await chat.host.sessions.rename(chat.session, rest)
    return True


# ------------------------------------------------------------------------------------------------- rules, the rest
async def _rules(chat: Chat, rest: str) -> bool:
    rules = await chat.host.questions.rules(chat.session, chat.workspace)
    word, _, which = rest.partition(" ")
    if word == "forget":
        number = int(which) if which.strip().isascii() and which.strip().isdigit() else 0
        if not 1 <= number <= len(rules):
            chat.terminal.problem(f"/rules forget: there is no rule {which!r}", "/rules lists them with their numbers.")
            return True
        await chat.host.questions.forget(rules[number - 1].id)
        chat.tell(f"taken back: {rules[number - 1].shown}")
        return True
    if not rules:
        chat.terminal.say("no rules: every call that needs a yes is asked about; `a` at a question makes one")
    now = datetime.now(UTC)
    for number, rule in enumerate(rules, 1):
        chat.tell(f"{number}. {rule.shown}  ({_SCOPES.get(rule.scope, rule.scope)}, {age(rule.made, now)} ago)")
    if rules:
        chat.terminal.say("/rules forget NUMBER takes one back", "dim")
    return True


async def _help(chat: Chat, rest: str) -> bool:
    wide = max(len(command.typed) for command in COMMANDS.values())
    for command in COMMANDS.values():
        chat.tell(f"{command.typed:{wide}}  {command.about}")
    chat.tell("A backslash before Enter, or Alt-Enter, begins another line. //text says a text with a slash before it.")
    chat.tell("Ctrl-C stops an agent that answers; at an empty prompt it leaves, as Ctrl-D does.")
    return True


async def _quit(chat: Chat, rest: str) -> bool:
    return False


def _nothing_yet(chat: Chat) -> bool:
    chat.terminal.say("nothing was said here yet")
    return True


COMMANDS: Mapping[str, Command] = {
    "agent": Command("/agent [NAME]", "who gets the next message; or have another agent get it", _agent),
    "agents": Command("/agents", "list the agents", _agents),
    "undo": Command("/undo", "take back the last write of this session; its agents are told", _undo),
    "history": Command("/history [N]", "what was said, the last 20 messages or N", _history),
    "todos": Command("/todos", "the agents' list of things to do", _todos),
    "new": Command("/new", "begin a new session in this folder", _new),
    "sessions": Command("/sessions", "list the sessions", _sessions),
    "open": Command("/open SESSION", "go on in another session", _open),
    "fork": Command("/fork", "go on in a copy of this session", _fork),
    "title": Command("/title TEXT", "name this session", _title),
    "rules": Command("/rules", "what needs no question here; /rules forget N takes one back", _rules),
    "help": Command("/help", "this list", _help),
    "quit": Command("/quit", "leave; the session stays", _quit),
}


# ------------------------------------------------------------------------------------------------- opening
async def greet(chat: Chat) -> None:
    """Say which session this is, and what was said last in it."""
    record = await chat.record()
    if record is None:
        where = chat.workspace or "no folder"
        chat.terminal.say(f"a new session in {where}; /help lists the commands", "dim")
        return
    chat.terminal.say(_heading(record), "dim")
    for each in reversed(await chat.host.sessions.page(chat.session, 6)):
        if each.message.role in ("user", "assistant") and each.message.content.strip():
            who = "you" if each.message.role == "user" else each.agent or "agent"
            chat.terminal.say(f"  {who}: {shortened(each.message.content, 200)}", "dim")


def _heading(record: SessionRecord) -> str:
    title = f" “{record.title}”" if record.title else ""
    where = f" in {record.workspace}" if record.workspace else ""
    ago = age(record.updated, datetime.now(UTC))
    return f"session {record.session}{title}{where}, {record.last} messages, the last {ago} ago; /new begins another"
