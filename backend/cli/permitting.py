"""Asking a person whether a call may be made: what it would do is shown, and a key answers.

Owns the words and the keys. What a rule means, and what it would have covered, is the rulebook's.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol, cast

from agents.model import JsonObject
from backend.cli.brief import call_line
from backend.cli.console import Terminal
from backend.cli.foreseeing import diff_before
from backend.cli.person import GivenUp, Person
from infrastructure.conversation.describing import described
from infrastructure.danger.levels import Danger
from infrastructure.sessions.approvals import Approval, ApprovalError, Approve, Decision, Edit, Reject, Scope
from infrastructure.sessions.rulebook import Proposal

MOST_LINES = 120
"""Of what is shown without being asked for."""
HELP = (
    "y: do it, this once",
    "n: do not do it; the agent is told so",
    "r: do not do it, and say why",
    "e: change the arguments, and do it with those",
    "a: always: do it, and make a rule for calls like it",
    "d: everything about the call",
    "Ctrl-C: stop the agent    Ctrl-D: leave; the question stays open",
)
_SCOPES: dict[str, Scope] = {"s": "run", "p": "project", "e": "always"}
_SCOPE_WORDS: dict[Scope, str] = {"run": "in this session", "project": "in this folder", "always": "everywhere"}
_STYLES = {"+": "green", "-": "red", "@": "cyan"}
_PAST_SHOWN = 3


@dataclass(frozen=True, slots=True)
class Answer:
    """What the person said, how far it reaches, and the rules that it makes."""

    decision: Decision
    scope: Scope = "once"
    patterns: tuple[str, ...] = ()


class Proposing(Protocol):
    """The rulebook as it is needed here."""

    async def propose(self, asked: Approval, patterns: tuple[str, ...] = ()) -> Proposal:
        """Patterns for calls like this one, or these patterns, and what they would have covered."""
        ...


class Permission:
    """One question, from what is shown to the answer."""

    def __init__(self, asked: Approval, book: Proposing, person: Person, terminal: Terminal) -> None:
        self._asked, self._book, self._person, self._terminal = asked, book, person, terminal

    async def ask(self) -> Answer | None:
        """Show the call and ask until there is an answer; None where the person leaves."""
        await self.show()
        keys = self._keys()
        while True:
            pressed = await self._person.key(f"{self._prompt()} ")
            if pressed is None:
                return None
            wanted = keys.get(pressed)
            if wanted is None:
                self._say("\n".join(HELP), "dim")
                continue
            try:
                answer = await wanted()
            except GivenUp:
                continue
            if answer is not None:
                return answer

    async def show(self, most: int = MOST_LINES) -> None:
        """What would be done: a diff, a command, or the arguments; and why it is asked about."""
        action = self._asked.action
        style = "bold red" if action.danger is Danger.DANGEROUS else "bold yellow"
        why = f": {action.why}" if action.why else ""
        word = "dangerous" if action.danger is Danger.DANGEROUS else "needs your yes"
        self._say(f"{call_line(action.tool, action.arguments)} ({word}{why})", style)
        self._show_lines(await self._body(action.arguments), most)

    # ------------------------------------------------------------------------------------ the keys
    def _prompt(self) -> str:
        edit = ", [e]dit" if "edit" in self._asked.allowed else ""
        return f"Do it? [y]es, [n]o, [r]eason for a no{edit}, [a]lways, [d]etails:"

    def _keys(self) -> dict[str, Callable[[], Awaitable[Answer | None]]]:
        keys: dict[str, Callable[[], Awaitable[Answer | None]]] = {
            "y": self._yes,
            "n": self._no,
            "r": self._no_because,
            "a": self._always,
            "d": self._details,
        }
        if "edit" in self._asked.allowed:
            keys["e"] = self._edit
        return keys

    async def _yes(self) -> Answer | None:
        return Answer(Approve())

    async def _no(self) -> Answer | None:
        return Answer(Reject())

    async def _no_because(self) -> Answer | None:
        reason = (await self._person.line("Why not? ")).strip()
        return Answer(Reject(reason)) if reason else None

    async def _edit(self) -> Answer | None:
        """Other arguments: shown as what they would do, and asked about once more."""
        action = self._asked.action
        self._say(
            "change it; Enter takes it, Alt-Enter begins a line, Ctrl-X Ctrl-E opens an editor, Ctrl-C goes back", "dim"
        )
        text = await self._person.edit(json.dumps(action.arguments, ensure_ascii=False, indent=2, default=dict))
        arguments = read_arguments(text)
        if isinstance(arguments, str):
            self._say(f"{arguments}: nothing is changed", "red")
            return None
        if arguments == dict(action.arguments):
            self._say("nothing was changed", "dim")
            return None
        self._say(call_line(action.tool, arguments), "bold yellow")
        self._show_lines(await self._body(arguments), MOST_LINES)
        pressed = await self._person.key("Do this instead? [y]es, any other key goes back: ")
        return Answer(Edit(arguments)) if pressed == "y" else None

    async def _always(self) -> Answer | None:
        """Rules: proposed, edited, tried on what was asked before, and for how much they hold."""
        patterns = (await self._book.propose(self._asked)).patterns
        if not patterns:
            self._say("no rule can be made for this: it is too dangerous, or not known well enough; y says yes once")
            return None
        self._say("calls like this need no question where a rule covers them; change it, or press Enter", "dim")
        edited = [(await self._person.line("Rule: ", pattern)).strip() for pattern in patterns]
        try:
            proposal = await self._book.propose(self._asked, tuple(each for each in edited if each))
        except ApprovalError as error:
            self._say(f"{error}. {getattr(error, 'hint', '')}", "red")
            return None
        self._show_past(proposal)
        pressed = await self._person.key("Where? [s]ession, this [p]roject, [e]verywhere, any other key goes back: ")
        scope = _SCOPES.get(pressed or "")
        return None if scope is None else Answer(Approve(), scope, proposal.patterns)

    async def _details(self) -> Answer | None:
        asked = self._asked
        self._say(f"approval {asked.id} of session {asked.owner}, asked {asked.asked:%Y-%m-%d %H:%M} UTC", "dim")
        self._say(f"in {asked.workspace or 'no folder'}; danger: {asked.action.danger}", "dim")
        self._say(json.dumps(asked.action.arguments, ensure_ascii=False, indent=2, default=dict))
        await self.show(most=1_000_000)
        return None

    # ------------------------------------------------------------------------------------ showing
    async def _body(self, arguments: JsonObject) -> str:
        """What a call with these arguments would do."""
        action = self._asked.action
        diff = await asyncio.to_thread(diff_before, action.tool, arguments, self._asked.workspace)
        if diff:
            return diff
        said = described(action.tool, arguments)
        return f"$ {said}" if isinstance(arguments.get("command"), str) else said

    def _show_lines(self, text: str, most: int) -> None:
        """The lines of a text; of a long one its beginning and its end, since either may be what matters."""
        lines = text.split("\n")  # and at nothing else: what does not end a line for a program is shown as its number
        first, last = (most, 0) if len(lines) <= most else (most - most // 3, most // 3)
        for line in lines[:first]:
            self._say(f"  {line}", _style_of(line))
        if last:
            self._say(f"  … {len(lines) - most} lines between; d shows them", "bold yellow")
            for line in lines[-last:]:
                self._say(f"  {line}", _style_of(line))

    def _show_past(self, proposal: Proposal) -> None:
        if not proposal.past:
            self._say("  it would have covered no other call that was asked about before", "dim")
            return
        self._say(f"  it would also have covered {len(proposal.past)} of the calls asked about before:", "dim")
        for each in proposal.past[:_PAST_SHOWN]:
            self._say(f"    {call_line(each.action.tool, each.action.arguments)}", "dim")

    def _say(self, text: str, style: str = "") -> None:
        self._terminal.say(text, style)


def said_of(answer: Answer) -> str:
    """What was answered, for the record on the screen; empty for a plain yes."""
    if answer.scope != "once":
        return f"allowed from now on {_SCOPE_WORDS[answer.scope]}: {', '.join(answer.patterns)}"
    match answer.decision:
        case Reject(reason):
            return f"no: {reason}" if reason else "no"
        case Edit():
            return "yes, as changed"
        case _:
            return ""


def read_arguments(text: str) -> JsonObject | str:
    """The arguments that were typed; or what is wrong with them."""
    try:
        value: object = json.loads(text)
    except ValueError as error:
        return f"that is no JSON ({error})"
    if not isinstance(value, dict):
        return 'the arguments of a call are an object, as in {"path": "a.py"}'
    return cast("JsonObject", value)


def _style_of(line: str) -> str:
    return "bold" if line.startswith(("+++", "---")) else _STYLES.get(line[:1], "")
