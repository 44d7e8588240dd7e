"""The text of an answer as the value that was asked for.

Owns what of it counts: nothing is mended but the pieces of a stream, which go on. An answer that was cut short is none,
since what would be added to it is nobody's.
"""

from __future__ import annotations

import json
from typing import Any, cast

from langchain_core.exceptions import OutputParserException
from langchain_core.output_parsers import JsonOutputParser
from langchain_core.outputs import ChatGeneration, Generation
from langchain_core.utils.json import parse_json_markdown
from pydantic import BaseModel, ValidationError
from typing_extensions import override

_SHOWN = 2000
"""Characters of an answer in the text of an error; the error has all of it, too."""


class TextReader(JsonOutputParser):
    """Reads a whole answer as it stands, and a stream's pieces as far as they go.

    The last piece of a stream, which says why it ended, is read as a whole answer.
    """

    @property
    @override
    def OutputType(self) -> type[Any]:
        return self.pydantic_object or cast("type[Any]", Any)

    @override
    def parse_result(self, result: list[Generation], *, partial: bool = False) -> Any:
        """The value; of a piece also None, where there is none yet.

        Raises:
            OutputParserException: the answer is no JSON of that kind, or was cut short.
        """
        text, ended = result[0].text, _ended(result[0])
        if partial and not ended:
            return self._so_far(text)
        open_number = ended == "length" and text[-1:].isdigit()
        try:
            return parse_json_markdown(text, parser=lambda body: self._value(body, open_number=open_number))
        except (ValueError, RecursionError) as error:
            why = "it was cut short (num_predict, or the window)" if ended == "length" else str(error)
            told = f"the answer cannot be used: {why}; it is: {text[:_SHOWN]}"
            raise OutputParserException(told, llm_output=text) from error

    def _so_far(self, text: str) -> Any:
        try:
            value = parse_json_markdown(text)
            return value if self.pydantic_object is None else of_kind(self.pydantic_object, value)
        except (ValueError, RecursionError):
            return None

    def _value(self, body: str, *, open_number: bool) -> Any:
        value = json.loads(body, strict=False)  # models write lines and tabs within a text as they are
        if open_number:  # a digit ends nothing else that can be read
            raise ValueError("a number may have gone on")
        if self.pydantic_object is None:
            return value
        if issubclass(self.pydantic_object, BaseModel):
            return _of_text(self.pydantic_object, body, value)
        return of_kind(self.pydantic_object, value)


def _of_text(kind: type[BaseModel], body: str, value: object) -> BaseModel:
    """By pydantic's own reader, which knows what JSON has no type for; where that knows less JSON, by the value."""
    try:
        return kind.model_validate_json(body)
    except ValidationError as error:
        if error.errors(include_url=False, include_input=False)[0]["type"] != "json_invalid":
            raise
    return kind.model_validate(value)


def of_kind(kind: Any, value: object) -> object:
    """The value as that pydantic type, also of version 1; its error is a `ValueError`."""
    return kind.model_validate(value) if issubclass(kind, BaseModel) else kind.parse_obj(value)


def _ended(generation: Generation) -> str:
    """Why the answer ended; empty where it has not yet, or nobody said."""
    return generation.message.response_metadata.get("done_reason", "") if isinstance(generation, ChatGeneration) else ""
