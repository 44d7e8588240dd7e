"""Owns what a brain is asked."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from infrastructure.simulator.golang import JsonObject
from infrastructure.simulator.models import Model
from infrastructure.simulator.templates import Message


@dataclass(frozen=True, slots=True)
class Question:
    """One request, as a brain sees it."""

    model: Model
    prompt: str
    """The rendered prompt, cut to the window."""
    messages: tuple[Message, ...]
    """The conversation as the client sent it."""
    format: JsonObject | str | None
    """A JSON schema, `"json"`, or None for free text."""
    seed: int
    """Same question, same seed: same answer."""
    wanted: int | None
    """The request's `num_predict`; None where it sets no length."""
    temperature: float = 0.8
    """Part of the question for brains that draw: at another one, another answer."""

    @property
    def text(self) -> str:
        """All that was said so far."""
        return "\n\n".join(message.content for message in self.messages)


class Brain(Protocol):
    """Answers questions."""

    def answer(self, question: Question) -> Iterator[str]:
        """The tokens of an answer; ends where the model would end it."""
        ...
