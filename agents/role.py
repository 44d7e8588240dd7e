"""A role: a prompt, an answer type, and one bounded re-ask.

Owns the way from a typed question to a typed answer: render, ask, read; if the answer cannot be used, say what is
wrong and ask once more. A role says which parts of its prompt may be cut, and in which order; whether any is, decides
whoever knows the window. It knows nothing of servers, retries of the wire, or who waits for it.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Generic, TypeVar, cast

from agents.answers.control import Answer, schema_of
from agents.errors import PromptError, UnusableAnswer
from agents.fitting import Draft, Fitted, Material, Room, Section, bounded, fit
from agents.model import Completion, LanguageModel, Message, MessageRole, Options, Question, Think
from agents.prompting import LEFT_OUT, SECTIONS, Prompt, excerpt, load_prompt
from agents.trimming import Rule, Trim

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from _typeshed import DataclassInstance

    Q = TypeVar("Q", bound=DataclassInstance)
else:
    Q = TypeVar("Q")
A = TypeVar("A")

REASK_KEEP = 2_000
"""Characters kept of either end of a bad answer when the model is shown it again."""
_LAST_ANSWER = Trim(part="again.answer", rule=Rule.MIDDLE, least=200)
"""Of a question that is asked again the bad answer is cut first: nothing that came before it changes."""

_GIVEN_UP = {
    "repeated": (
        "the answer repeated itself without end and was stopped",
        "Answer again, and say each thing once.",
    ),
    "thinking": (
        "nothing but thinking came, and it was stopped",
        "Answer at once, without thinking.",
    ),
}
"""What a model is told of an answer that was given up in its middle, by its `finish`."""

_JSON_ANSWER = load_prompt("shared/json_answer")
_AGAIN = load_prompt("shared/again")


@dataclass(frozen=True, slots=True, kw_only=True)
class Again:
    """What was said since the question: the answer that cannot be used, and what is wrong with it."""

    answer: str
    wanted: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Role(Generic[Q, A]):
    """Who thinks in a node. Made once, at import; holds no state between questions.

    Attributes:
        name: The role's noun, also the folder of its prompts.
        prompt: `role/task`. Its variables are exactly the fields of the frozen dataclass `Q`.
        read: Reads the model's text; the question says what was asked. Raises only `UnusableAnswer`.
        schema: The answer's type if the answer is JSON: sent as `format`, shown with an example in the system
            message. None: the answer is text, and one that was cut at the output bound is unusable.
        think: Whether the model thinks first. False is safe for every model; others need the capability.
        options: Options of every question.
        options_for: Options that depend on the question; these win.
        bounds: The most that is ever shown of a part, whatever the window: its `least`.
        trims: What may be cut where the prompt does not fit the window, the least important first. Every part that can
            be long is in it; what is not, is never cut.
    """

    name: str
    prompt: str
    read: Callable[[str, Q], A]
    schema: type[Answer] | None = None
    think: Think = False
    options: Options = field(default_factory=dict[str, "str | int | float | bool"])
    options_for: Callable[[Q], Options] | None = None
    bounds: tuple[Trim, ...] = ()
    trims: tuple[Trim, ...] = ()
    source: Prompt = field(init=False, repr=False)
    """The prompt itself, read when the role is made."""

    def __post_init__(self) -> None:
        """Read the prompt now: a mistake in a file shows at import, and no question waits for a disk."""
        source = load_prompt(self.prompt)
        missing = [section for section in SECTIONS if section not in source.sections]
        if missing or source.name.partition("/")[0] != self.name:
            raise PromptError(self.prompt, f"role {self.name!r} needs its own prompt with both sections")
        object.__setattr__(self, "source", source)

    @property
    def sha(self) -> str:
        """SHA-256 over everything fixed that the model reads: prompt, schema, example, the words of a re-ask."""
        parts = [self.source.sha, _AGAIN.sha]
        if self.schema is not None:
            parts += [_JSON_ANSWER.sha, *_schema_texts(self.schema).values()]
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()

    def question(self, q: Q, again: Again | None = None) -> Draft:
        """Return what the model is asked, in its whole form, and how it is made to fit a window.

        Pure; the same arguments give the same question. Thinking is off where it is asked again: an answer that
        thinking used up is the commonest empty one.

        Raises:
            PromptError: The prompt wants a variable that `q` does not have.
        """
        material, cuts = bounded(Material(question=q, again=again), self.bounds)
        whole, _ = self._compose(material)

        def fitted(room: Room) -> Fitted:
            trims = (_LAST_ANSWER, *self.trims) if again else self.trims
            found = fit(material, trims, self._compose, room, self.name)
            return replace(found, trimmed=cuts + found.trimmed)

        return Draft(messages=whole.messages, format=whole.format, think=whole.think, options=whole.options, fit=fitted)

    async def ask(self, model: LanguageModel, q: Q) -> A:
        """Ask, read, and if the answer cannot be used ask once more with what is wrong.

        Raises:
            UnusableAnswer: The second answer cannot be used either.
            PromptError: As `question`.
        """
        completion = await model.answer(self.question(q))
        try:
            return self.answer(completion, q)
        except UnusableAnswer as problem:
            again = _again(completion, problem)
        return self.answer(await model.answer(self.question(q, again)), q)

    def answer(self, completion: Completion, q: Q) -> A:
        """Read an answer. Pure.

        Raises:
            UnusableAnswer: It says why, and what was wanted.
        """
        if self.schema is None and completion.finish == "length":
            raise UnusableAnswer(
                "the answer was cut off at the length limit before it was complete",
                "Answer again, shorter: leave out explanations and everything that was not asked for.",
            )
        if completion.finish in _GIVEN_UP and not (self.schema and completion.text):  # an object may be whole by then
            raise UnusableAnswer(*_GIVEN_UP[completion.finish])
        return self.read(completion.text, q)

    def _compose(self, material: Material) -> tuple[Question, tuple[Section, ...]]:
        """The question that a role's material makes, and the sections of its prompt, in order.

        Sections that stand first change least from one question to the next: a server that has their text in its cache
        need not read it again.
        """
        q = cast("Q", material.question)
        values = {each.name: getattr(q, each.name) for each in fields(q)} | {LEFT_OUT: material.left_out}
        system = (Section("system", self.source.render("system", values)), *_schema_sections(self.schema))
        user = tuple(Section(name, text) for name, text in self.source.render_blocks("user", values) if text)
        messages = [_message("system", system), _message("user", user)]
        sections = (*system, *user)
        again = cast("Again | None", material.again)
        if again is not None:
            said = Section("last answer", again.answer), Section("what is wrong with it", again.wanted)
            messages += [_message("assistant", said[:1]), _message("user", said[1:])]
            sections += said
        question = Question(
            messages=tuple(messages),
            format=None if self.schema is None else schema_of(self.schema),
            think=False if again and self.think else self.think,
            options={**self.options, **(self.options_for(q) if self.options_for else {})},
        )
        return question, sections


def _message(role: MessageRole, sections: tuple[Section, ...]) -> Message:
    return Message(role=role, content="".join(section.text for section in sections).strip("\n"))


def _again(completion: Completion, problem: UnusableAnswer) -> Again:
    return Again(
        answer=excerpt(completion.text, REASK_KEEP).strip() or "(empty)",
        wanted=_AGAIN.render("user", {"reason": problem.reason, "hint": problem.hint}),
    )


def _schema_sections(schema: type[Answer] | None) -> tuple[Section, ...]:
    if schema is None:
        return ()
    return (Section("schema", "\n\n" + _JSON_ANSWER.render("system", _schema_texts(schema))),)


def _schema_texts(schema: type[Answer]) -> Mapping[str, str]:
    return {
        "schema": json.dumps(schema_of(schema), ensure_ascii=False, separators=(",", ":")),
        "example": json.dumps(schema.example().model_dump(mode="json"), ensure_ascii=False),
    }
