"""Rules: what a person has said yes to beforehand, as patterns that they can read. Pure.

Owns what a pattern means, which one is proposed for a call, and which calls a set of rules covers. A pattern is shown
as `tool: pattern`. For commands it is the words of one simple command, of which the last may be `*`; for files a path
in the workspace, with `*` within a name and `**` for any folders; for other tools their arguments in JSON, or the
beginning of them. Every part of a call must be harmless or covered, and nothing dangerous ever is.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from fnmatch import fnmatchcase
from glob import escape

from agents.model import JsonObject
from infrastructure.danger.judging import COMMAND_TOOLS, KNOWN_TOOLS, WRITING_TOOLS, Part
from infrastructure.danger.levels import Danger
from infrastructure.danger.looks import hidden, mistakable
from infrastructure.danger.programs import EVALUATORS, INTERPRETERS, SHELLS, WRAPPERS, WRITERS, words_of
from infrastructure.sessions.approvals import DecisionRefused, Scope, canonical

MOST_CHARACTERS = 500

_WITH_SUBCOMMANDS = words_of(
    "git npm pnpm yarn bun cargo go uv poetry pip pip3 make just dotnet mvn gradle bundle composer rake mix"
    " hatch pdm tox nox"
)
_RUNNERS = frozenset(
    {("uv", "run"), ("npm", "run"), ("pnpm", "run"), ("yarn", "run"), ("poetry", "run"), ("bun", "run")}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """A yes for later.

    Attributes:
        scope: Of what: `run` is one session or run, `project` one workspace, `always` everything.
        owner: That session, run or workspace; empty where it is for everything.
        approval: The approval that it was made with.
    """

    id: str
    scope: Scope
    owner: str
    tool: str
    pattern: str
    made: datetime
    by: str = ""
    approval: str = ""

    @property
    def shown(self) -> str:
        """As a person reads and edits it."""
        return f"{self.tool}: {self.pattern}"


def read_pattern(shown: str) -> tuple[str, str]:
    """The tool and the pattern of `tool: pattern`.

    Raises:
        DecisionRefused: it is no pattern; the message says why.
    """
    tool, colon, pattern = shown.partition(":")
    tool, pattern = tool.strip(), pattern.strip()
    if not colon or not tool or not pattern or len(shown) > MOST_CHARACTERS or "\n" in shown:
        raise DecisionRefused(f"{shown[:80]!r} is no rule", "Write `tool: pattern`, as in `run_command: pytest *`.")
    if odd := hidden(shown) or mistakable(shown):
        raise DecisionRefused(f"a rule must read as it is: it has {odd}", "Say yes once, or write it without.")
    if tool in COMMAND_TOOLS:
        _check_command(pattern)
    elif tool in KNOWN_TOOLS and (pattern.startswith("/") or ".." in pattern.split("/")):
        raise DecisionRefused(f"{pattern!r} leads out of the workspace", "Write a path within it, as in `docs/**`.")
    return tool, pattern


def proposed(tool: str, arguments: JsonObject, parts: Sequence[Part]) -> tuple[str, ...]:
    """The narrowest patterns that would have covered this call and its like; none where no rule may."""
    found: dict[str, None] = {}
    for part in parts:
        if part.judgement.level is Danger.SAFE:
            continue
        pattern = "" if part.judgement.level is Danger.DANGEROUS else _proposed_for(tool, arguments, part)
        if not pattern:
            return ()
        found[pattern] = None
    return tuple(found)


def covering(rules: Iterable[Rule], tool: str, arguments: JsonObject, parts: Sequence[Part]) -> tuple[Rule, ...]:
    """The rules that together cover a call; none where a part of it is not covered, or is dangerous."""
    rules = tuple(rules)
    found: dict[str, Rule] = {}
    for part in parts:
        if part.judgement.level is Danger.SAFE:
            continue
        if part.judgement.level is Danger.DANGEROUS:
            return ()
        rule = next((rule for rule in rules if matches(rule.tool, rule.pattern, tool, arguments, part)), None)
        if rule is None:
            return ()
        found[rule.id] = rule
    return tuple(found.values())


def matches(rule_tool: str, pattern: str, tool: str, arguments: JsonObject, part: Part) -> bool:
    """Whether a pattern covers one part of a call."""
    match part.kind:
        case "command":
            return rule_tool == tool and bool(part.words) and _command_matches(pattern, part.words)
        case "file":
            file_tool = "write_file" if tool in COMMAND_TOOLS else tool
            return rule_tool == file_tool and bool(part.words) and _path_matches(pattern, part.words[0])
        case "doubt":
            return rule_tool == tool and tool not in KNOWN_TOOLS and _arguments_match(pattern, arguments)


# ---------------------------------------------------------------------------------------------------- patterns
def _check_command(pattern: str) -> None:
    try:
        words, _ = _pattern_words(pattern)
        written = shlex.split(pattern, posix=False)  # with their quotes: only a bare `*` stands for others
    except ValueError as error:
        raise DecisionRefused(f"{pattern!r} has an open quote", "Close it.") from error
    if not words or written[0] == "*":
        raise DecisionRefused("a rule names at least the program", "Write it, as in `run_command: pytest *`.")
    if "*" in written[:-1]:
        raise DecisionRefused("only the last word of a rule may be `*`", "Leave the words after it away.")


def _command_matches(pattern: str, words: Sequence[str]) -> bool:
    wanted, more = _pattern_words(pattern)
    return list(words[: len(wanted)] if more else words) == wanted


def _pattern_words(pattern: str) -> tuple[list[str], bool]:
    """The words of a pattern, and whether any may follow: that says a bare `*` at its end, and not one in quotes.

    Raises:
        ValueError: a quote is open.
    """
    words = shlex.split(pattern)
    if words[-1:] != ["*"] or not pattern.endswith(" *"):
        return words, False
    return words[:-1], True


def _path_matches(pattern: str, path: str) -> bool:
    return _segments_match(pattern.split("/"), path.split("/"))


def _segments_match(wanted: Sequence[str], given: Sequence[str]) -> bool:
    """Goes by the ends that the parts so far can have had: as many as there are segments, with however many `**`."""
    reached = {0}
    for part in wanted:
        if part == "**":
            reached = set(range(min(reached), len(given) + 1)) if reached else reached
        else:
            reached = {at + 1 for at in reached if at < len(given) and fnmatchcase(given[at], part)}
    return len(given) in reached


def _arguments_match(pattern: str, arguments: JsonObject) -> bool:
    text = canonical(arguments)
    return text.startswith(pattern[:-1]) if pattern.endswith("*") else text == pattern


# --------------------------------------------------------------------------------------------------- proposals
def _proposed_for(tool: str, arguments: JsonObject, part: Part) -> str:
    match part.kind:
        case "command":
            pattern = _command_pattern(part.words) if part.words else ""
            return f"{tool}: {pattern}" if pattern and _reads_as_it_is(pattern) else ""
        case "file":
            if not part.words or tool not in COMMAND_TOOLS | WRITING_TOOLS:
                return ""
            folder, _, name = part.words[0].rpartition("/")
            path = f"{escape(folder)}/**" if folder else escape(name)
            return f"{'write_file' if tool in COMMAND_TOOLS else tool}: {path}" if _reads_as_it_is(path) else ""
        case "doubt":
            text = canonical(arguments)
            return f"{tool}: {text}" if tool not in KNOWN_TOOLS and len(text) < MOST_CHARACTERS - 80 else ""


def _reads_as_it_is(pattern: str) -> bool:
    return not hidden(pattern) and not mistakable(pattern) and "\n" not in pattern and pattern == pattern.strip()


def _command_pattern(words: Sequence[str]) -> str:
    kept = _kept(words)
    if kept == 0:
        return shlex.join(words)
    return f"{shlex.join(words[:kept])} *"


def _kept(words: Sequence[str]) -> int:
    """How many words stay before the `*`; 0 where all do and there is none."""
    name = words[0].rsplit("/", 1)[-1]
    plain = len(words) > 1 and not words[1].startswith("-")
    if tuple(words[:2]) in _RUNNERS and len(words) > 2 and not words[2].startswith("-"):
        return 3
    if name in INTERPRETERS:
        return 3 if tuple(words[1:2]) == ("-m",) else 2 if plain else 0
    if name in _WITH_SUBCOMMANDS:
        return 2 if plain else 0
    return 0 if name in SHELLS | WRAPPERS | WRITERS | EVALUATORS else 1
