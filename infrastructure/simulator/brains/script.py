"""Owns fixed answers: a chain in which each piece follows the one before, starting after a line feed.

As in the recorded script models, the last token of the prompt says where in the chain the answer begins;
a prompt that ends in anything unforeseen is answered with nothing.
"""

from collections.abc import Iterator, Sequence

from infrastructure.simulator.brains.question import Question
from infrastructure.simulator.tokens import ByteTokenizer

_FIRST = 257


class ScriptBrain:
    """Says a model's pieces."""

    def answer(self, question: Question) -> Iterator[str]:
        """See `Brain`."""
        pieces = self._pieces(question)
        loop_to = question.model.spec.loop_to
        position = self._start(question)
        while position is not None and pieces:
            if position >= len(pieces):
                if loop_to is None:
                    return
                position = loop_to
            yield pieces[position]
            position += 1

    def _pieces(self, question: Question) -> Sequence[str]:
        turns = question.model.spec.turns
        if turns is None:
            return question.model.pieces
        answered = sum(message.role == "assistant" for message in question.messages)
        return question.model.tokenizer.pieces(turns[min(answered, len(turns) - 1)] if turns else "")

    def _start(self, question: Question) -> int | None:
        tokenizer = question.model.tokenizer
        if not isinstance(tokenizer, ByteTokenizer) or question.model.spec.pieces is None:
            return 0
        if question.prompt.endswith("\n"):
            return 0
        ids = tokenizer.encode(question.prompt[-64:])
        last = ids[-1] - _FIRST if ids else -1
        return last + 1 if 0 <= last < len(question.model.pieces) else None
