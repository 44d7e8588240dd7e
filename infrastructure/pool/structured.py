"""An answer as a value of a pydantic type.

Owns the pure part: the schema to send, the reading of the text, and what is said to a model whose answer is unusable.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar, cast

from pydantic import BaseModel, ValidationError

from agents.errors import UnusableAnswer
from agents.model import Message

if TYPE_CHECKING:
    from agents.model import JsonObject

T = TypeVar("T", bound=BaseModel)

_PROBLEMS_TOLD = 5
_TEXT_KEPT = 4000


def schema_of(kind: type[BaseModel]) -> JsonObject:
    """The JSON schema the server is to enforce."""
    return cast("JsonObject", kind.model_json_schema())


def read_structured(text: str, kind: type[T], *, cut: bool = False) -> T:
    """The value that the text holds; a fence around it is allowed, since not every server enforces the schema.

    Raises:
        UnusableAnswer: it is no JSON of that type, and the reason says where; or it was `cut` short within a number.
    """
    body = _unfenced(text)
    if cut and body[-1:].isdigit():  # anything else that can be read has its end
        raise UnusableAnswer("it was cut short, and the number may have gone on", "Answer with less text.")
    try:
        return kind.model_validate_json(body)
    except ValidationError as error:
        problems = error.errors(include_url=False, include_input=False)[:_PROBLEMS_TOLD]
        told = "; ".join(f"{'.'.join(map(str, each['loc'])) or 'the answer'}: {each['msg']}" for each in problems)
        raise UnusableAnswer(told, "Answer with one JSON object of the schema and nothing else.") from None


def asked_again(messages: tuple[Message, ...], text: str, problem: UnusableAnswer) -> tuple[Message, ...]:
    """The conversation with the unusable answer and what is wrong with it."""
    said = text if len(text) <= _TEXT_KEPT else text[:_TEXT_KEPT] + "…"
    return (
        *messages,
        Message(role="assistant", content=said or "(empty)"),
        Message(role="user", content=f"That cannot be used: {problem.reason}. {problem.hint}"),
    )


def _unfenced(text: str) -> str:
    body = text.strip()
    if body.startswith("```") and body.endswith("```") and "\n" in body:
        return body[:-3].partition("\n")[2]
    return body
