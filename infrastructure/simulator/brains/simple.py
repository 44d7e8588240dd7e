"""Owns two brains without wit: one repeats what it hears, one says random words."""

import random
from collections.abc import Iterator

from infrastructure.simulator.brains.question import Question

_VOCABULARY = (
    "the a server model slot queue token stream call prompt answer window cache batch load time run test code"
    " value list name file path line graph node edge state role plan step patch result error retry limit rate"
    " is has gives takes holds waits runs ends starts makes reads writes fits fails passes and or but then so"
)
_WORDS = _VOCABULARY.split()
_MEAN_WORDS = 120


class EchoBrain:
    """Says the last message again."""

    def answer(self, question: Question) -> Iterator[str]:
        """See `Brain`."""
        said = question.messages[-1].content if question.messages else question.prompt
        return iter(question.model.tokenizer.pieces(said))


class RandomBrain:
    """Says random words, the same ones for the same question and seed."""

    def answer(self, question: Question) -> Iterator[str]:
        """See `Brain`."""
        rng = random.Random(f"{question.seed}/{question.prompt}")
        # A model told how long to speak speaks that long: load tests want every token they ask for.
        count = question.wanted or max(1, round(rng.expovariate(1 / _MEAN_WORDS)))
        yield rng.choice(_WORDS).capitalize()
        for _ in range(count):
            yield " " + rng.choice(_WORDS)
