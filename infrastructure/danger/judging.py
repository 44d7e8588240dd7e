"""How dangerous a call of a tool is, judged by code.

Owns `classify`, the one door to the judgement: it reads the arguments, the command line where there is one, and the
paths, and says a level with a reason in words. What a model says of its own call can only raise the level.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from agents.model import JsonObject, JsonValue
from infrastructure.danger.around import Surroundings
from infrastructure.danger.commands import MOST_INNER, judge_command
from infrastructure.danger.levels import SAFE, Danger, Judgement, asks, worst
from infrastructure.danger.places import Workspace, reading, writing
from infrastructure.danger.shell import Redirect, Script, SimpleCommand, read_script

HARMLESS_TOOLS = frozenset({"echo", "calculator", "switch_mode"})
"""They touch nothing."""
READING_TOOLS = frozenset({"read_file", "list_files", "search", "git_diff"})
WRITING_TOOLS = frozenset({"write_file", "apply_edit"})
COMMAND_TOOLS = frozenset({"run_command", "run_tests"})
KNOWN_TOOLS = HARMLESS_TOOLS | READING_TOOLS | WRITING_TOOLS | COMMAND_TOOLS

_TEXT_NAMES = frozenset(
    {"content", "text", "old", "new", "old_text", "new_text", "old_string", "new_string", "search", "replace", "query"}
    | {"regex", "description", "why", "encoding", "mode", "language"}
)
"""Arguments that hold text; every other one that is a text is taken for a path."""
_PATCH_NAMES = frozenset({"patch", "diff"})
_PATCHED = re.compile(
    r"^(?:\+\+\+|---|rename (?:from|to)|\*\*\* \w+ File:) +(?:[ab]/)?(\S.*?)[ \t]*(?:\t.*)?$", re.MULTILINE
)
_COMMAND_NAMES = ("command", "cmd", "argv", "test_command", "script")
_FOLDER_NAMES = ("cwd", "workdir", "directory", "folder")


@dataclass(frozen=True, slots=True)
class Part:
    """One thing that a call would do: a simple command, a file, or what is not known of it.

    Attributes:
        words: Of a command, as far as all are known; of a file its path relative to the workspace.
    """

    kind: Literal["command", "file", "doubt"]
    words: tuple[str, ...]
    judgement: Judgement


def classify(
    tool: str,
    arguments: JsonObject,
    workspace: str | Path | None,
    *,
    claimed: Danger | None = None,
    declared: Danger | None = None,
    home: str | Path | None = None,
) -> Judgement:
    """Judge a call. Blocking: paths are followed.

    Args:
        tool: Its name.
        arguments: Exactly what it would be given.
        workspace: The folder it works in; None where there is none, and then no path is inside.
        claimed: What the model says of the call; it only raises the level.
        declared: What the registry says of a tool that this module does not know. Without it such a tool asks.
        home: The user's home, for tests.
    """
    found = worst(*(part.judgement for part in parts_of(tool, arguments, workspace, declared=declared, home=home)))
    if claimed is not None and claimed.rank > found.level.rank:
        return Judgement(claimed, "the model itself says so")
    return found


def parts_of(
    tool: str,
    arguments: JsonObject,
    workspace: str | Path | None,
    *,
    declared: Danger | None = None,
    home: str | Path | None = None,
) -> tuple[Part, ...]:
    """Everything that a call would do, each judged by itself. Blocking."""
    if tool in HARMLESS_TOOLS:
        return ()
    if tool not in KNOWN_TOOLS:
        judgement = (
            asks(f"{tool} is not known to be harmless") if declared is None else Judgement(declared, f"{tool} does")
        )
        return (Part("doubt", (), judgement if judgement.level is not Danger.SAFE else SAFE),)
    if workspace is None:
        return (Part("doubt", (), asks("there is no workspace")),)
    place = Workspace(workspace, home, copied=tool in COMMAND_TOOLS)
    if tool in COMMAND_TOOLS:
        return _command_parts(tool, arguments, place)
    return _file_parts(tool, arguments, place)


def always_asks(tool: str, declared: Danger = Danger.ASKS) -> bool:
    """Whether a tool is of no use where nobody can be asked, since each of its calls would ask.

    Args:
        tool: Its name.
        declared: What the registry says of a tool that is not known here.
    """
    if tool in HARMLESS_TOOLS | READING_TOOLS | {"run_tests"}:
        return False
    return tool in WRITING_TOOLS | COMMAND_TOOLS or declared is not Danger.SAFE


def _command_parts(tool: str, arguments: JsonObject, workspace: Workspace) -> tuple[Part, ...]:
    base, parts = _folder(arguments, workspace)
    given = [arguments[name] for name in _COMMAND_NAMES if arguments.get(name) not in (None, "", [])]
    if not given:
        if tool == "run_tests":
            return (*parts, *_read_parts(arguments, workspace))
        return (Part("doubt", (), asks("it does not say what command to run")),)
    for value in given:
        if isinstance(value, str):
            parts += _line(value, workspace, 0, (base,))
        elif words := _words(value):
            parts += _argv(words, workspace, base)
        else:
            parts += (Part("doubt", (), asks("its command is no text")),)
    unknown = set(arguments) - set(_COMMAND_NAMES) - set(_FOLDER_NAMES) - {"timeout", "seconds", "description", "why"}
    if unknown:
        parts += (Part("doubt", (), asks(f"what {', '.join(sorted(unknown))} means to it is not known")),)
    if tool == "run_tests" and all(part.judgement.level is Danger.SAFE for part in parts):
        parts += (Part("doubt", (), asks("tests find the workspace's own programs first, whatever they are named")),)
    return parts


def _folder(arguments: JsonObject, workspace: Workspace) -> tuple[str, tuple[Part, ...]]:
    """The folder it is run in, relative to the workspace."""
    for name in _FOLDER_NAMES:
        value = arguments.get(name)
        if isinstance(value, str) and value:
            place = workspace.place(value)
            if place.inside is None:
                return "", (Part("doubt", (), asks(f"{value} lies outside the workspace")),)
            return "" if not place.inside.parts else str(place.inside), ()
    return "", ()


def _words(value: JsonValue) -> tuple[str, ...]:
    if isinstance(value, Sequence) and all(isinstance(word, str) for word in value):
        return tuple(str(word) for word in value)
    return ()


def _argv(words: tuple[str, ...], workspace: Workspace, base: str) -> tuple[Part, ...]:
    """A command that comes as words: no shell reads it."""
    from_words = read_script(" ".join(_quoted(word) for word in words))
    if len(from_words.commands) == 1 and not from_words.redirects:
        return _script_parts(from_words, workspace, 0, (base,))
    return (Part("doubt", (), asks("its words cannot be read as one command")),)


def _quoted(word: str) -> str:
    return "'" + word.replace("'", "'\"'\"'") + "'"


def _line(text: str, workspace: Workspace, depth: int, bases: tuple[str, ...]) -> tuple[Part, ...]:
    return _script_parts(read_script(text), workspace, depth, bases)


def _script_parts(script: Script, workspace: Workspace, depth: int, bases: tuple[str, ...]) -> tuple[Part, ...]:
    bases = _bases(script, workspace, bases)

    def judge_text(inner: str, deeper: int) -> Judgement:
        if deeper > MOST_INNER:
            return asks("it holds too many commands within each other")
        return worst(*(part.judgement for part in _line(inner, workspace, deeper, bases)))

    around = Surroundings(workspace, bases, judge_text, depth)
    parts = [Part("doubt", (), asks(why)) for why in script.doubts]
    parts += [_command_part(command, around) for command in script.commands]
    parts += [_redirect_part(redirect, around) for redirect in script.redirects]
    if not parts:
        parts.append(Part("doubt", (), asks("there is no command")))
    return tuple(parts)


def _bases(script: Script, workspace: Workspace, bases: tuple[str, ...]) -> tuple[str, ...]:
    """The folders that a command of the script may run in, after any of its changes of folder."""
    found = dict.fromkeys(bases)
    for command in script.commands:
        if len(command.words) == 2 and command.words[0].text in {"cd", "pushd"}:
            for base in tuple(found)[:16]:
                place = workspace.place(command.words[1].text, base)
                if place.inside is not None:
                    found["/".join(place.inside.parts)] = None
    return tuple(found)


def _command_part(command: SimpleCommand, around: Surroundings) -> Part:
    known = all(word.known for word in command.words) and not command.assignments
    words = tuple(word.text for word in command.words) if known else ()
    return Part("command", words, judge_command(command, around))


def _redirect_part(redirect: Redirect, around: Surroundings) -> Part:
    if not redirect.target.known:
        return Part("file", (), asks("which file it reads or writes is only known when it runs"))
    places = [around.workspace.place(redirect.target.text, base) for base in around.bases]
    judge = writing if redirect.writes else reading
    judgement = worst(*(judge(place, around.workspace) for place in places))
    inside = places[0].inside if len(places) == 1 else None
    return Part("file", () if inside is None else (str(inside),), judgement)


def _file_parts(tool: str, arguments: JsonObject, workspace: Workspace) -> tuple[Part, ...]:
    if tool in READING_TOOLS:
        # What `search` looks for is text; a pattern of `list_files` is a path with stars.
        return _read_parts(arguments, workspace, _TEXT_NAMES | ({"pattern"} if tool == "search" else frozenset[str]()))
    parts = tuple(
        Part("file", () if place.inside is None else (str(place.inside),), writing(place, workspace))
        for place in (workspace.place(path) for path in _paths(arguments, _TEXT_NAMES))
    )
    return parts or (Part("doubt", (), asks("it does not say which file it writes")),)


def _read_parts(arguments: JsonObject, workspace: Workspace, texts: frozenset[str] = _TEXT_NAMES) -> tuple[Part, ...]:
    return tuple(
        Part("file", () if place.inside is None else (str(place.inside),), reading(place, workspace))
        for place in (workspace.place(path) for path in _paths(arguments, texts))
    )


def _paths(value: JsonValue, texts: frozenset[str], name: str = "") -> Iterator[str]:
    """Every path that the arguments name, at any depth."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from _paths(item, texts, key.casefold())
    elif isinstance(value, str):
        if name in _PATCH_NAMES:
            yield from (path for path in _PATCHED.findall(value) if path != "/dev/null")
        elif value and name not in texts:
            yield value
    elif isinstance(value, Sequence):
        for item in value:
            yield from _paths(item, texts, name)
