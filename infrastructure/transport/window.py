"""How much of a model's window a request may use.

Owns three pure rules: a prompt's size before it is sent, the bound of an answer, and the check afterwards that the
server did not drop a part of the prompt.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

from infrastructure.transport.encoding import dump, message_json, tool_json
from infrastructure.transport.errors import WindowOverrun

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agents.model import Message, Tool
    from infrastructure.transport.messages import Format, Metrics

TOKENS_PER_BYTE = 1 / 3
"""Safe side for source code and prose in any script: tokenizers of code models need 3 to 4 bytes for a token."""
_PUNCTUATION = bytes(range(33, 48)) + bytes(range(58, 65)) + bytes(range(91, 97)) + bytes(range(123, 127))
"""Seldom joined to a token with what stands beside it, so each counts twice."""
_BEYOND_ASCII = bytes(range(128, 256))
"""Of a script with many characters, or a picture of several code points: each counts half as much again."""
SMALLEST_WINDOW = 4096
"""What a server gives a model whose window nobody sets, on a GPU below 23 GiB (since 0.6.7; larger ones get more)."""
MESSAGE_TOKENS = 8
"""What a chat template adds around one message, at most."""


def estimate_tokens(
    *,
    messages: Sequence[Message] = (),
    prompt: str = "",
    tools: Sequence[Tool] = (),
    format: Format | None = None,  # noqa: A002  (the wire's name)
    ratio: float = TOKENS_PER_BYTE,
) -> int:
    """How many tokens a prompt takes, rather too many than too few: ceil(weight * ratio) + 8 for each message.

    The weight is in UTF-8 bytes; those of punctuation and beyond ASCII count for more. `ratio` is in tokens for a byte
    of it; whoever has seen what the server counted for a model passes a measured one.
    """
    size = weight(prompt)
    for message in messages:
        size += weight(message.content) + weight(message.thinking)
        if message.tool_calls:
            size += len(dump({"tool_calls": message_json(message)["tool_calls"]}))
    size += sum(len(dump(tool_json(tool))) for tool in tools)
    if isinstance(format, Mapping):
        size += len(dump(format))
    turns = len(messages) + (1 if prompt else 0)
    return math.ceil(size * ratio) + MESSAGE_TOKENS * turns


def weight(text: str) -> int:
    """What a text counts for: its UTF-8 bytes, and those of punctuation and beyond ASCII once more; see above."""
    if not text:
        return 0
    said = text.encode("utf-8", "replace")
    punctuation = len(said) - len(said.translate(None, _PUNCTUATION))
    beyond = 0 if text.isascii() else len(said) - len(said.translate(None, _BEYOND_ASCII))
    return len(said) + punctuation + beyond // 2


def bounded_num_predict(wanted: int, prompt_estimate: int, window: int | None) -> int:
    """The `num_predict` to send: what is wanted, but no more than the window has left, and at least 1.

    A negative `wanted` asks for as much as there is. Nothing is bounded while the window is unknown.
    """
    if window is None:
        return wanted
    left = max(1, window - prompt_estimate)
    return left if wanted < 0 else max(1, min(wanted, left))


def check_window(
    metrics: Metrics,
    window: int | None,
    *,
    estimated_tokens: int | None = None,
    num_predict: int | None = None,
    server: str = "",
) -> None:
    """Make sure that prompt and answer were in the window together.

    Args:
        metrics: what the server counted.
        window: tokens; None where it is not known.
        estimated_tokens: how long the prompt was thought to be, for the message.
        num_predict: what was sent, for the message.
        server: its label.

    Raises:
        WindowOverrun: they were not, so the server dropped old context without a word.
    """
    if window is not None and metrics.prompt_tokens + metrics.completion_tokens > window:
        raise WindowOverrun(
            metrics.prompt_tokens,
            metrics.completion_tokens,
            window,
            estimated_tokens,
            num_predict,
            server=server,
        )
