"""What the words after `corral` say before they are parsed.

Owns two readings: a lone `-` means standard input, and which output form was asked for, which must be known even where
the rest cannot be parsed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, TypeAlias

Output: TypeAlias = Literal["text", "json", "ndjson"]
OUTPUTS: tuple[Output, ...] = ("text", "json", "ndjson")

_TAKES_PATH = frozenset({"--file", "--patch"})


def normal(tokens: Sequence[str]) -> list[str]:
    """The words as the parser wants them: `-` is `--file=-`, `--patch -` `--patch=-`, `--json` `--output=json`."""
    out: list[str] = []
    for number, token in enumerate(tokens):
        if token == "--":
            return [*out, *tokens[number:]]
        if token != "-":
            out.append("--output=json" if token == "--json" else token)
        elif out and out[-1] in _TAKES_PATH:
            out[-1] += "=-"
        elif verb_of(out) == "run":
            out.append("--file=-")
        else:
            out.append(token)
    return out


def verb_of(tokens: Sequence[str]) -> str:
    """The verb; empty where there is none."""
    return tokens[0] if tokens and not tokens[0].startswith("-") else ""


def output_of(tokens: Sequence[str]) -> Output:
    """The output form that was asked for; `text` where none, or an unknown one, was."""
    said = "text"
    for token, after in zip(tokens, [*tokens[1:], ""], strict=True):
        if token == "--":
            break
        if token == "--output":
            said = after
        elif token.startswith("--output="):
            said = token.partition("=")[2]
    return said if said in OUTPUTS else "text"
