"""A language model that answers from a script: the shipped fake of the `LanguageModel` port.

Owns nothing of the world: it waits for nobody and keeps what it was asked, so a test or a dry run can look.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from agents.errors import ScriptEndedError
from agents.model import Completion, LanguageModel, Question

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

Reply: TypeAlias = Completion | str
"""A finished answer; a plain string is one that stopped by itself."""


class ScriptedModel(LanguageModel):
    """Replays a list of replies in order, or asks a function for each.

    Attributes:
        asked: Every question so far, oldest first, also one that the script had no answer for.
    """

    def __init__(self, script: Iterable[Reply] | Callable[[Question], Reply]) -> None:
        self.asked: list[Question] = []
        self._reply = script if callable(script) else _replay(tuple(script))

    async def answer(self, question: Question) -> Completion:
        """Return the next reply.

        Raises:
            ScriptEndedError: A list of replies is used up.
        """
        self.asked.append(question)
        reply = self._reply(question)
        return Completion(text=reply) if isinstance(reply, str) else reply


def _replay(replies: tuple[Reply, ...]) -> Callable[[Question], Reply]:
    left = iter(replies)

    def reply(question: Question) -> Reply:
        found = next(left, None)
        if found is None:
            raise ScriptEndedError(len(replies))
        return found

    return reply
