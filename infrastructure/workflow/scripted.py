"""A source of answers from scripts, a script for each role: the shipped fake of the `ModelSource` port.

Owns no clock and no network: it answers at once, in order, tells the same states and deltas as a pool would, and
keeps what it was asked.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import TypeAlias

from agents.fitting import Room
from agents.model import Completion, Question
from agents.scripted import Reply, ScriptedModel
from infrastructure.local_llm import TextDelta
from infrastructure.pool.calls import Call, CallUpdate, Watch
from infrastructure.pool.states import CallState
from infrastructure.workflow.ports import Answered, ModelSource, OnDelta

SCRIPTED_MODEL = "scripted"
SCRIPTED_SERVER = "script"
SCRIPTED_WINDOW = 32_768

Script: TypeAlias = "Iterable[Reply] | Callable[[Question], Reply]"


class UnscriptedRole(Exception):
    """A role was asked that no script answers for."""

    def __init__(self, role: str) -> None:
        super().__init__(f"no script answers for the {role}")
        self.role = role


class ScriptedSource(ModelSource):
    """Answers each role from its script.

    Attributes:
        models: The scripted model of each role; its `asked` has the questions.
        calls: Role and call of every question, oldest first.
        window: Of every role, in tokens; a word is one.
    """

    def __init__(self, scripts: Mapping[str, Script]) -> None:
        self.models = {role: ScriptedModel(script) for role, script in scripts.items()}
        self.calls: list[tuple[str, Call]] = []
        self.window = SCRIPTED_WINDOW

    def model_of(self, role: str) -> str:
        """The same model for every role."""
        del role
        return SCRIPTED_MODEL

    async def room(self, role: str) -> Room:
        """`SCRIPTED_WINDOW` for every role, in which a word is a token."""
        del role
        return Room(window=self.window, count=_words)

    def asked(self, role: str) -> list[Question]:
        """What a role was asked so far, oldest first."""
        return self.models[role].asked if role in self.models else []

    async def ask(self, role: str, question: Question, call: Call, on_delta: OnDelta, watch: Watch) -> Answered:
        """Give the role's next reply.

        Raises:
            UnscriptedRole: the role has no script.
            ScriptEndedError: its script is used up.
        """
        model = self.models.get(role)
        if model is None:
            raise UnscriptedRole(role)
        self.calls.append((role, call))
        watch(CallUpdate(state=CallState.QUEUED, position=0))
        completion = replace(await model.answer(question), model=SCRIPTED_MODEL)
        for state in (CallState.PLACED, CallState.CONNECTING, CallState.WAITING, CallState.STREAMING):
            watch(CallUpdate(state=state, server=SCRIPTED_SERVER, loaded=True, attempt=1))
        if completion.text:
            on_delta(TextDelta(completion.text))
        watch(CallUpdate(state=CallState.DONE, server=SCRIPTED_SERVER, loaded=True, attempt=1))
        return Answered(completion=_counted(completion, question), server=SCRIPTED_SERVER)


def _counted(completion: Completion, question: Question) -> Completion:
    """A word is a token, where the script names no numbers, so that a token budget means something."""
    if completion.prompt_tokens or completion.completion_tokens:
        return completion
    return replace(completion, prompt_tokens=_words(question), completion_tokens=len(completion.text.split()))


def _words(question: Question) -> int:
    return sum(len(message.content.split()) for message in question.messages)
