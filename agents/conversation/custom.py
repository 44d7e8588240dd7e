"""A custom agent out of the text of its file: front matter (`name`, `about`, `tools`, `lane`), and its prompt below.

Owns the shape of such a file and what is wrong with a bad one. Pure: who reads the folder is elsewhere.
"""

from __future__ import annotations

import re

from agents.conversation.roster import AgentProfile, AgentType, Writes

LONGEST_BODY = 6_000
"""Characters of a prompt: about 1,500 tokens, the most that small models follow."""
RESERVED = frozenset({*AgentType, "use_tools", "summarise", "system", "user", "tool", "person"})
_NAME = re.compile(r"[a-z][a-z0-9_-]{0,31}")
_TOOL = re.compile(r"[A-Za-z0-9_.*-]{1,64}")
_KEYS = ("name", "about", "tools", "lane")


class BadAgentFile(ValueError):
    """A custom agent's file cannot be used; the message says why, and what would be right."""


def read_agent(source: str) -> AgentProfile:
    """The agent that a file describes.

    Raises:
        BadAgentFile: Its text is not of the shape.
    """
    front, body = _split(source.replace("\r\n", "\n"))
    name = front.get("name", "")
    if not _NAME.fullmatch(name):
        raise BadAgentFile(f"name is {name!r}: give one of small letters, digits, - and _, that begins with a letter")
    if name in RESERVED:
        raise BadAgentFile(f"the name {name!r} is taken by Corral: give another")
    tools = tuple(filter(None, (tool.strip() for tool in front.get("tools", "").split(","))))
    if bad := next((tool for tool in tools if not _TOOL.fullmatch(tool)), None):
        raise BadAgentFile(f"{bad!r} is no name of a tool: write `tools: read_file, search`")
    if not body:
        raise BadAgentFile("the prompt is empty: write what the agent is told below the second `---`")
    if len(body) > LONGEST_BODY:
        raise BadAgentFile(f"the prompt has {len(body):,} characters, more than {LONGEST_BODY:,}: shorten it")
    return AgentProfile(
        name=name,
        about=front.get("about", ""),
        tools=tools,
        writes=Writes.EVERYTHING,
        lane=front.get("lane", ""),
        body=body,
    )


def _split(source: str) -> tuple[dict[str, str], str]:
    opening, _, rest = source.partition("---\n")
    block, divider, body = f"{rest}\n".partition("\n---\n")
    if opening.strip() or not divider:
        raise BadAgentFile("no front matter: begin with a line `---`, lines like `name: reviewer`, and a line `---`")
    front: dict[str, str] = {}
    for line in filter(str.strip, block.split("\n")):
        key, colon, value = line.partition(":")
        key = key.strip()
        if not colon or key not in _KEYS:
            raise BadAgentFile(f"the line {line!r} is not understood: there are {', '.join(_KEYS)}")
        if key in front:
            raise BadAgentFile(f"{key} comes twice")
        front[key] = value.strip()
    return front, body.strip()
