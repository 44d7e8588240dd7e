"""Who talks: the six agents there always are, and what each may do.

Owns the names, and of each agent its tools, what it may change, and how its model is asked. What an agent is told is a
prompt file, `prompts/<agent>/talk.md`; of a custom agent it is in its profile.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from fnmatch import fnmatchcase

from agents.model import Options, Think

MOST_TOOLS = 8
"""In one prompt: small models lose their way in longer menus."""
SWITCH_MODE = "switch_mode"
"""The tool by which an agent hands the turn over; its arguments are `agent` and `reason`."""
EVERY_TOOL = "*"
"""In a list of tools: all others there are, after those named."""


class AgentType(StrEnum):
    """The agents there always are. Custom ones are names beside these."""

    ORCHESTRATOR = "orchestrator"
    ARCHITECT = "architect"
    CODER = "coder"
    DEBUG = "debug"
    ASK = "ask"
    UNIVERSAL = "universal"


class Writes(StrEnum):
    """Which files an agent may change."""

    NOTHING = "nothing"
    MARKDOWN = "markdown"
    EVERYTHING = "everything"


def _options() -> Options:
    return {"temperature": 0.3, "num_predict": 4_096}


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentProfile:
    """An agent as others see it.

    Attributes:
        name: Unique; also its node in the graph, and the name its lane is set under in `roles`.
        about: One line, for people and for the agents that may hand over to it.
        tools: Names of tools it may use, the most important first; `github__*` stands for all that begin so, and
            `EVERY_TOOL` for all others.
        writes: Which files its tools may change.
        lane: Lane or model that answers for it; empty leaves it to the settings.
        body: What a custom agent is told; empty for the six, who have a prompt file.
        options: Of its model calls.
        think: Whether its model thinks before it answers; False is safe for every model.
    """

    name: str
    about: str
    tools: tuple[str, ...]
    writes: Writes = Writes.NOTHING
    lane: str = ""
    body: str = ""
    options: Options = field(default_factory=_options)
    think: Think = False

    @property
    def writes_only(self) -> tuple[str, ...] | None:
        """Globs of the only files that may be changed; None for any file."""
        return {Writes.NOTHING: (), Writes.MARKDOWN: ("*.md", "**/*.md"), Writes.EVERYTHING: None}[self.writes]

    def may_use(self, tool: str) -> bool:
        """Whether a tool of this name is this agent's to use."""
        return any(fnmatchcase(tool, pattern) for pattern in self.tools)


_LAST = ("run_command", "search", "list_files")
"""What gives way to tools of the client and of servers."""
_READING = ("read_file", "search", "list_files")

PROFILES: Mapping[AgentType, AgentProfile] = {
    AgentType.ORCHESTRATOR: AgentProfile(
        name=AgentType.ORCHESTRATOR,
        about="Answers what needs no work, and hands everything else to the agent that fits.",
        tools=(SWITCH_MODE, *_READING),
    ),
    AgentType.ARCHITECT: AgentProfile(
        name=AgentType.ARCHITECT,
        about="Reads the workspace and plans; writes plans and notes as Markdown, never code.",
        tools=(*_READING, "todo_write", "write_file", "git_diff", SWITCH_MODE, "apply_edit"),
        writes=Writes.MARKDOWN,
    ),
    AgentType.CODER: AgentProfile(
        name=AgentType.CODER,
        about="Changes code and tests, and runs them.",
        tools=("read_file", "apply_edit", "write_file", SWITCH_MODE, "run_tests", *_LAST, EVERY_TOOL),
        writes=Writes.EVERYTHING,
    ),
    AgentType.DEBUG: AgentProfile(
        name=AgentType.DEBUG,
        about="Finds out why something fails: reads and runs, and changes nothing.",
        tools=(*_READING, "run_tests", "run_command", "git_diff", "todo_write", SWITCH_MODE),
    ),
    AgentType.ASK: AgentProfile(
        name=AgentType.ASK,
        about="Answers questions about the workspace or programming; only reads.",
        tools=(*_READING, "git_diff", "calculator", SWITCH_MODE),
    ),
    AgentType.UNIVERSAL: AgentProfile(
        name=AgentType.UNIVERSAL,
        about="Does a small job from beginning to end alone: reads, changes, runs.",
        tools=("read_file", "apply_edit", "write_file", "todo_write", "run_tests", *_LAST, EVERY_TOOL),
        writes=Writes.EVERYTHING,
    ),
}
