"""Answers of one shape."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import date
from typing import Any, Literal

import pytest
from langchain_core.exceptions import OutputParserException
from langchain_core.messages import AIMessage
from pydantic import BaseModel, ConfigDict, Field, RootModel, TypeAdapter

from agents.errors import UnusableAnswer
from infrastructure.chat_model import ChatOllamaPool
from infrastructure.chat_model.structured import as_tool
from infrastructure.chat_model.wrapping import is_object
from infrastructure.local_llm import AsyncLocalLLM
from infrastructure.simulator import ModelSpec
from tests.chat_model.clerk import CLERK, Clerk
from tests.chat_model.models import Pair, PairDict, asking
from tests.pool.servers import simulator


@pytest.mark.parametrize("method", ["json_schema", "function_calling"])
async def test_structured_answers_are_values_of_each_kind_of_schema(method: str):
    async with asking(CLERK) as model:
        assert isinstance(await model.with_structured_output(Pair, method=method).ainvoke("a pair"), Pair)
        for schema in (PairDict, Pair.model_json_schema()):
            pair = await model.with_structured_output(schema, method=method).ainvoke("a pair")
            assert isinstance(pair, dict)
            assert isinstance(pair["left"], int)
        raw = await model.with_structured_output(Pair, method=method, include_raw=True).ainvoke("a pair")
        assert isinstance(raw["raw"], AIMessage)
        assert isinstance(raw["parsed"], Pair)
        assert raw["parsing_error"] is None


async def test_what_cannot_be_read_is_langchains_error_and_is_kept_with_the_raw_answer():
    async with asking() as model:  # "json" asks for any object, which is no Pair
        with pytest.raises(OutputParserException):
            await model.with_structured_output(Pair, method="json_mode").ainvoke("a pair")
        kept = await model.with_structured_output(Pair, method="json_mode", include_raw=True).ainvoke("a pair")
        assert kept["parsed"] is None
        assert isinstance(kept["parsing_error"], OutputParserException)


class Count(RootModel[int]):
    """A number alone."""


class Saying(Clerk):
    """Says its pieces whatever the grammar; `num_predict` cuts them."""

    def answer(self, question):
        return iter(question.model.spec.pieces)


@asynccontextmanager
async def saying(*pieces: str, **fields: Any) -> AsyncIterator[ChatOllamaPool]:
    server = simulator([ModelSpec(name="says", pieces=list(pieces))])
    async with asking(server=server, model="says", **fields) as model:
        server.world.brains = Saying(server)
        yield model


@pytest.mark.parametrize("method", ["json_schema", "json_mode"])
@pytest.mark.parametrize("schema", [Pair, PairDict, Pair.model_json_schema()])
@pytest.mark.parametrize("tokens", [1, 2, 3])
async def test_an_answer_that_was_cut_short_is_not_mended(method: str, schema: Any, tokens: int):
    async with saying('{"left": 12', "5000", ', "right": "rent', '"}', num_predict=tokens) as model:
        asked = model.with_structured_output(schema, method=method, include_raw=True)
        cut = await asked.ainvoke("a pair")
        assert cut["raw"].response_metadata["done_reason"] == "length"
        assert cut["parsed"] is None
        assert isinstance(cut["parsing_error"], OutputParserException)
        assert "cut short" in str(cut["parsing_error"])
        with pytest.raises(OutputParserException, match="cut short"):
            [piece async for piece in model.with_structured_output(schema, method=method).astream("a pair")]


async def test_an_answer_that_ends_with_its_last_token_is_whole_unless_it_is_a_bare_number():
    async with saying('{"left": 1, ', '"right": "a"}', " ", num_predict=2) as model:
        assert await model.with_structured_output(Pair).ainvoke("a pair") == Pair(left=1, right="a")
    async with saying("12", "5000", num_predict=1) as model:
        with pytest.raises(OutputParserException, match="cut short"):
            await model.with_structured_output(Count).ainvoke("a number")
        with pytest.raises(UnusableAnswer, match="cut short"):
            await AsyncLocalLLM("says", pool=model.pool, options={"num_predict": 1}).structured("a number", Count)
    async with saying("12", "5000") as model:
        assert await model.with_structured_output(Count).ainvoke("a number") == Count(125000)


@pytest.mark.parametrize(
    ("said", "schema", "value"),
    [
        ("true", {"type": "boolean"}, True),
        ("12\n", {"type": "integer"}, 12),
        ("```json\n12\n```", {"type": "integer"}, 12),
        ("12\n", Count, Count(12)),
    ],
)
async def test_what_has_its_end_is_whole_though_the_answer_ended_by_its_length(said: str, schema: Any, value: object):
    async with saying(said, "more", num_predict=1) as model:
        raw = await model.with_structured_output(schema, include_raw=True).ainvoke("one")
        assert raw["raw"].response_metadata["done_reason"] == "length"
        assert raw["parsed"] == value


class Dated(BaseModel):
    """Strict: as a day it takes a text from JSON only."""

    model_config = ConfigDict(strict=True)

    text: str
    day: date


@pytest.mark.parametrize(("said", "read"), [("a\n\tb", "a\n\tb"), ("\\ud83d", "\ud83d"), ("a", "a")])
async def test_lines_tabs_and_halves_of_a_character_in_a_text_are_read_as_they_are(said: str, read: str):
    async with saying(f'{{"left": 1, "right": "{said}"}}') as model:
        assert await model.with_structured_output(Pair).ainvoke("a pair") == Pair(left=1, right=read)
        assert await model.with_structured_output(PairDict).ainvoke("a pair") == {"left": 1, "right": read}


async def test_a_strict_type_is_read_as_json():
    async with saying('{"text": "a", "day": "2024-02-29"}') as model:
        assert await model.with_structured_output(Dated).ainvoke("a day") == Dated(text="a", day=date(2024, 2, 29))


async def test_a_whole_answer_is_not_mended_either_and_a_fence_around_it_is_none_of_it():
    async with saying('{"left": 1, "right": "a"') as model:
        with pytest.raises(OutputParserException):
            await model.with_structured_output(Pair).ainvoke("a pair")
    async with saying('Here:\n```json\n{"left": 1, "right": "a"}\n```') as model:
        assert await model.with_structured_output(Pair, method="json_mode").ainvoke("x") == Pair(left=1, right="a")


async def test_a_stream_of_one_shape_grows_and_ends_with_the_whole():
    async with saying('{"left": 12', "5000", ', "right": "rent', '"}') as model:
        grown = [piece async for piece in model.with_structured_output(PairDict).astream("a pair")]
        assert grown[0] == {"left": 12}
        assert grown[-1] == {"left": 125000, "right": "rent"}
        values = [piece async for piece in model.with_structured_output(Pair).astream("a pair")]
        assert values[-1] == Pair(left=125000, right="rent")


async def test_openais_response_format_is_understood():
    schema = {"type": "json_schema", "json_schema": {"name": "pair", "schema": Pair.model_json_schema()}}
    async with asking() as model:
        assert Pair.model_validate_json((await model.ainvoke("hi", response_format=schema)).text)
        assert isinstance(json.loads((await model.ainvoke("hi", response_format={"type": "json_object"})).text), dict)
        assert (await model.ainvoke("hi", response_format={"type": "text"})).text == "one two three four five"
        with pytest.raises(ValueError, match="json_schema"):
            await model.ainvoke("hi", response_format={"type": "grammar"})


class Cat(BaseModel):
    kind: Literal["cat"]
    lives: int


class Dog(BaseModel):
    kind: Literal["dog"]
    tricks: list[int]


class Tree(BaseModel):
    value: int
    children: list[Tree] = Field(default_factory=list)


EITHER = TypeAdapter(Cat | Dog)
TREE = TypeAdapter(Tree)


@pytest.mark.parametrize(
    ("schema", "kind"),
    [
        (EITHER.json_schema(), EITHER),
        ({"title": "Pet", **EITHER.json_schema()}, EITHER),
        ({"title": "Tree", **TREE.json_schema()}, TREE),
        (TREE.json_schema(), TREE),
        ({"title": "Size", "enum": ["small", "large"]}, TypeAdapter(Literal["small", "large"])),
        ({"const": 3}, TypeAdapter(Literal[3])),
        ({"title": "Both", "allOf": [TypeAdapter(Cat).json_schema()]}, TypeAdapter(Cat)),
    ],
)
async def test_a_json_schema_of_any_form_is_the_grammar(schema: dict[str, Any], kind: TypeAdapter[Any]):
    async with asking(CLERK) as model:
        shaped = model.with_structured_output(schema)
        assert shaped.first.kwargs["format"] == schema
        kind.validate_python(await shaped.ainvoke("one of these"))


@pytest.mark.parametrize(
    ("schema", "kind"),
    [({"title": "Pet", **EITHER.json_schema()}, EITHER), ({"title": "Tree", **TREE.json_schema()}, TREE)],
)
async def test_a_json_schema_without_properties_is_that_of_a_tools_arguments(
    schema: dict[str, Any], kind: TypeAdapter[Any]
):
    async with asking(CLERK) as model:
        kind.validate_python(await model.with_structured_output(schema, method="function_calling").ainvoke("one"))
        called = await model.bind_tools([schema], tool_choice="any").ainvoke("one")
        kind.validate_python(called.tool_calls[0]["args"])


OLD_PAIR = {"title": "Old", "$ref": "#/definitions/Pair", "definitions": {"Pair": Pair.model_json_schema()}}
OLD_PAIRS = {
    "title": "Olds",
    "definitions": OLD_PAIR["definitions"],
    "type": "array",
    "items": {"$ref": "#/definitions/Pair"},
}
SIZE = {"title": "Size", "description": "How large.", "enum": ["small", "large"]}


class Ages(RootModel[list[Cat]]):
    """Some cats."""


@pytest.mark.parametrize(
    ("schema", "kind"),
    [
        (SIZE, TypeAdapter(Literal["small", "large"])),
        ({"title": "Three", "const": 3}, TypeAdapter(Literal[3])),
        ({"title": "Few", "type": "integer", "minimum": 1, "maximum": 3}, TypeAdapter(Literal[1, 2, 3])),
        ({"title": "Pets", **TypeAdapter(list[Cat]).json_schema()}, TypeAdapter(list[Cat])),
        ({"title": "Perhaps", **TypeAdapter(Cat | None).json_schema()}, TypeAdapter(Cat | None)),
        (OLD_PAIR, TypeAdapter(Pair)),
        (OLD_PAIRS, TypeAdapter(list[Pair])),
    ],
)
async def test_a_tools_one_argument_carries_what_is_no_object(schema: dict[str, Any], kind: TypeAdapter[Any]):
    async with asking(CLERK) as model:
        kind.validate_python(await model.with_structured_output(schema, method="function_calling").ainvoke("one"))


async def test_a_bound_schema_of_no_object_is_called_with_its_value():
    async with asking(CLERK) as model:
        called = await model.bind_tools([SIZE], tool_choice="any").ainvoke("one")
        assert called.tool_calls[0]["args"] in ({"value": "small"}, {"value": "large"})
        assert as_tool(SIZE)["function"]["description"] == "How large."


@pytest.mark.parametrize("kind", [Count, Ages])
async def test_a_pydantic_type_of_no_object_is_made_of_a_tools_one_argument(kind: type[BaseModel]):
    async with asking(CLERK) as model:
        shaped = model.with_structured_output(kind, method="function_calling", include_raw=True)
        assert isinstance((await shaped.ainvoke("one"))["parsed"], kind)
        assert isinstance([piece async for piece in shaped.astream("one")][-1]["parsed"], kind)


@pytest.mark.parametrize("arguments", ["{}", '{"value": "many"}'])
async def test_a_call_without_that_value_is_langchains_error(arguments: str):
    async with saying(f'{{"name": "Count", "arguments": {arguments}}}') as model:
        shaped = model.with_structured_output(Count, method="function_calling")
        with pytest.raises(OutputParserException):
            await shaped.ainvoke("one")
        with pytest.raises(OutputParserException):
            [piece async for piece in shaped.astream("one")]


@pytest.mark.parametrize("word", ["$defs", "definitions"])
async def test_two_tools_that_mean_different_things_by_one_name_are_refused(word: str):
    tools = [{"title": kind, "$ref": f"#/{word}/A", word: {"A": {"type": kind}}} for kind in ("integer", "string")]
    async with asking(CLERK) as model:
        with pytest.raises(ValueError, match="rename one"):
            await model.bind_tools(tools, tool_choice="any").ainvoke("one")


TWICE = {
    "$ref": "#/$defs/0",
    "$defs": {
        **{str(each): {"anyOf": [{"$ref": f"#/$defs/{each + 1}"}] * 2} for each in range(40)},
        "40": {"type": "object"},
    },
}
"""Forty definitions that each ask twice for the next."""


@pytest.mark.parametrize(
    ("schema", "object_"),
    [
        ({"properties": {"a": {}}, "anyOf": [{"required": ["a"]}]}, True),
        ({"type": ["object", "null"]}, False),
        ({"enum": [{"a": 1}]}, True),
        ({"enum": [{"a": 1}, 2]}, False),
        ({"const": {"a": 1}}, True),
        ({"oneOf": [{"type": "object"}, {"$ref": "#/$defs/A~1B"}], "$defs": {"A/B": {"type": "object"}}}, True),
        ({"allOf": [{"required": ["a"]}, {"type": "object"}]}, True),
        ({"allOf": [{"minimum": 1}]}, False),
        ({"$ref": "#"}, False),
        (TWICE, True),
        ({"$ref": "#/$defs/none"}, False),
    ],
)
def test_a_schema_is_of_an_object_where_it_says_so_outright(schema: dict[str, Any], object_: bool):
    assert is_object(schema) is object_


@pytest.mark.parametrize("method", ["json_schema", "function_calling"])
async def test_a_function_of_openais_is_understood_in_each_of_its_shapes(method: str):
    function = {"name": "pair", "description": "A pair.", "parameters": Pair.model_json_schema()}
    async with asking(CLERK) as model:
        for shape in (function, {"type": "function", "function": function}, {"type": "function", **function}):
            Pair.model_validate(await model.with_structured_output(shape, method=method).ainvoke("a pair"))
