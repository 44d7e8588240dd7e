"""Owns which answers are held: stopped after their first tokens until a test lets them go on."""

from dataclasses import dataclass, field

SAID_BEFORE = 4
"""Tokens that a held answer makes before it stops, so that its client sees it in the middle."""


@dataclass(slots=True)
class Holds:
    """Texts whose appearance in a prompt holds the answer."""

    texts: set[str] = field(default_factory=set[str])

    def stops(self, prompt: str, made: int) -> bool:
        """Whether an answer makes no further token now.

        Args:
            prompt: what was asked.
            made: tokens that were made of the answer.
        """
        return made >= SAID_BEFORE and any(text in prompt for text in self.texts)
