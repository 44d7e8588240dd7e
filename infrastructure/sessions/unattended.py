"""Where nobody is there to be asked: which tools an agent does not get, and why. Pure.

Owns the policy of unattended work. A tool whose every call would ask is taken away and told of, never approved in
silence; a call of another one that would ask is refused in words.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from infrastructure.sessions.danger import COMMAND_TOOLS, HARMLESS_TOOLS, READING_TOOLS, WRITING_TOOLS
from infrastructure.sessions.levels import Danger, Judgement
from infrastructure.sessions.rules import Rule


@dataclass(frozen=True, slots=True)
class Removed:
    """A tool that is taken away, and why."""

    tool: str
    why: str


@dataclass(frozen=True, slots=True)
class Policy:
    """What may be done where somebody, or nobody, can be asked.

    Attributes:
        tools: Those that an agent gets, in the order they were offered.
        removed: Those that it does not get.
    """

    unattended: bool
    tools: tuple[str, ...]
    removed: tuple[Removed, ...] = ()

    @property
    def told(self) -> str:
        """What was taken away, in words; empty where nothing was."""
        if not self.removed:
            return ""
        named = "; ".join(f"{each.tool} ({each.why})" for each in self.removed)
        return f"Nobody is there to be asked, so these tools are not used: {named}."

    def refusal(self, judgement: Judgement) -> str:
        """Why a call is not done, for the model; empty where it is done or somebody is asked."""
        if not self.unattended or judgement.level is Danger.SAFE:
            return ""
        return f"Not done: {judgement.why}, and nobody is there to be asked. Go on without it."


def policy(
    tools: Sequence[str],
    *,
    unattended: bool,
    rules: Iterable[Rule] = (),
    declared: Mapping[str, Danger] | None = None,
) -> Policy:
    """Which of these tools an agent gets.

    Args:
        tools: Those that it would have.
        unattended: Whether nobody can be asked.
        rules: Those that hold here: a tool that one of them is for stays, and its other calls are refused.
        declared: What the registry says of tools that the judgement of danger does not know.
    """
    if not unattended:
        return Policy(unattended, tuple(tools))
    covered = {rule.tool for rule in rules}
    removed = {tool: why for tool in tools if tool not in covered and (why := _asks(tool, declared or {}))}
    kept = tuple(tool for tool in tools if tool not in removed)
    return Policy(unattended, kept, tuple(Removed(tool, why) for tool, why in removed.items()))


def _asks(tool: str, declared: Mapping[str, Danger]) -> str:
    """Why a tool is of no use where nobody can be asked; empty where it is."""
    if tool in HARMLESS_TOOLS | READING_TOOLS | {"run_tests"}:
        return ""
    if tool in WRITING_TOOLS:
        return "it writes files"
    if tool in COMMAND_TOOLS:
        return "it runs commands"
    level = declared.get(tool, Danger.ASKS)
    return (
        ""
        if level is Danger.SAFE
        else "what it does is not known"
        if tool not in declared
        else f"it is marked as {level}"
    )
