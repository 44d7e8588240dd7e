"""The tools that touch no file: `echo`, `calculator`, `switch_mode`, `todo_write`."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import BeforeValidator, Field

from agents.model import JsonObject
from infrastructure.tools.arguments import Arguments, nearest
from infrastructure.tools.calculating import BadExpression, calculate
from infrastructure.tools.texts import counted
from infrastructure.tools.tool import ToolError, ToolPlace, ToolResult

MOST_TODOS = 30
_TODO_CHARACTERS = 200
_MARK = re.compile(r"^\s*(?:[-*]\s+)?\[\s*([xX~ -]?)\s*\]\s*")


def _number_as_text(value: object) -> object:
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else value


class Echo(Arguments):
    """Give back a text as it is."""

    text: Annotated[str, BeforeValidator(_number_as_text)]


class Calculator(Arguments):
    """Work out an arithmetic expression exactly."""

    expression: Annotated[str, BeforeValidator(_number_as_text)] = Field(
        description="such as (17 + 3) * 2 ** 10 / sqrt(16)"
    )


class SwitchMode(Arguments):
    """Hand the conversation over to another agent."""

    agent: str = Field(min_length=1, max_length=64, description="its name")
    reason: str = Field(default="", max_length=1_000, description="why, for that agent and the person")


class TodoWrite(Arguments):
    """Replace the list of things to do, which the person sees too."""

    todos: tuple[Annotated[str, Field(max_length=_TODO_CHARACTERS)], ...] = Field(
        max_length=MOST_TODOS, description="each '[ ] to do', '[~] in work' or '[x] done'"
    )


async def echo(arguments: JsonObject, place: ToolPlace) -> ToolResult:
    """Give the text back."""
    del place
    return ToolResult(Echo.model_validate(arguments).text)


async def calculator(arguments: JsonObject, place: ToolPlace) -> ToolResult:
    """Work an expression out."""
    del place
    try:
        return ToolResult(str(calculate(Calculator.model_validate(arguments).expression)))
    except BadExpression as error:
        raise ToolError("BadExpression", f"it cannot be worked out: {error}") from error


async def switch_mode(arguments: JsonObject, place: ToolPlace) -> ToolResult:
    """Check that there is such an agent. The handing over is done by whoever called."""
    wanted = SwitchMode.model_validate(arguments)
    if place.agents and wanted.agent not in place.agents:
        hint = nearest(wanted.agent, place.agents, 1) or f" There are {', '.join(place.agents)}."
        raise ToolError("UnknownAgent", f"there is no agent {wanted.agent!r}.{hint}")
    return ToolResult(f"handed over to {wanted.agent}")


async def todo_write(arguments: JsonObject, place: ToolPlace) -> ToolResult:
    """Replace the session's list."""
    if place.todos is None:
        raise ToolError("NotAllowed", "this session keeps no list")
    given = (_in_form(each) for each in TodoWrite.model_validate(arguments).todos)
    todos = tuple(each for each in given if each)
    await place.todos.write_todos(place.session, todos)
    left = sum(not each.startswith("[x]") for each in todos)
    return ToolResult(f"the list has {counted(len(todos), 'thing')}, {left} still to do")


def _in_form(todo: str) -> str:
    """A thing to do with its mark in front; empty where there is nothing but the mark."""
    found = _MARK.match(todo)
    mark = found[1].lower() if found else " "
    text = " ".join((todo[found.end() :] if found else todo).split())
    return f"[{mark if mark in ('x', '~') else ' '}] {text}" if text else ""
