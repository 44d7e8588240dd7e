"""Answers of one shape: which format is asked for, and who reads the answer.

Owns the three methods of LangChain's `with_structured_output`. What cannot be read is LangChain's own error
(`OutputParserException`, pydantic's), since that is what chains and graphs look for.
"""

from __future__ import annotations

from collections.abc import Callable
from operator import itemgetter
from typing import Any, Literal, TypeAlias, cast

from langchain_core.language_models import BaseChatModel, LanguageModelInput
from langchain_core.messages import AIMessage
from langchain_core.output_parsers import JsonOutputKeyToolsParser, PydanticToolsParser
from langchain_core.runnables import Runnable, RunnableLambda, RunnableMap, RunnablePassthrough
from langchain_core.tools import BaseTool
from langchain_core.utils.function_calling import convert_to_json_schema, convert_to_openai_tool
from langchain_core.utils.pydantic import is_basemodel_subclass
from pydantic import BaseModel

from infrastructure.chat_model.reading import TextReader
from infrastructure.chat_model.wrapping import WrappedReader, is_object, wrapped

Method: TypeAlias = Literal["json_schema", "function_calling", "json_mode"]
Schema: TypeAlias = dict[str, Any] | type[Any]
Answer: TypeAlias = dict[str, Any] | BaseModel
ToolDefinition: TypeAlias = dict[str, Any] | type | Callable[..., Any] | BaseTool

_SCHEMA = frozenset(("properties", "type", "$ref", "anyOf", "oneOf", "allOf", "enum", "const"))
"""One of these says what a value is; the other words of JSON Schema say more of it."""


def structured(
    model: BaseChatModel, schema: Schema | None, method: Method, *, include_raw: bool, **kwargs: Any
) -> Runnable[LanguageModelInput, Answer]:
    """The model with answers of one shape; see `ChatOllamaPool.with_structured_output`."""
    if method == "json_mode":
        asking = model.bind(format="json", **_traced(schema, method), **kwargs)
        return _read(asking, _text_reader(schema), include_raw=include_raw)
    if schema is None:
        raise ValueError(f"a schema is needed for {method!r}; only 'json_mode' does without")
    if method == "json_schema":
        asking = model.bind(format=_json_schema(schema), **_traced(schema, method), **kwargs)
        return _read(asking, _text_reader(schema), include_raw=include_raw)
    if method == "function_calling":
        tool, of_value = _tool_of(schema)
        name = tool["function"]["name"]
        asking = model.bind_tools([tool], tool_choice=name, **_traced(schema, method), **kwargs)
        return _read(asking, _call_reader(schema, name, of_value=of_value), include_raw=include_raw)
    raise ValueError(f"method is 'json_schema', 'function_calling' or 'json_mode', not {method!r}")


def as_tool(tool: ToolDefinition) -> dict[str, Any]:
    """A tool in OpenAI's shape. LangChain's own conversion keeps only the name of a JSON schema without `properties`.

    A schema whose value is no object is that of the tool's one argument, `value`.

    Raises:
        ValueError: it is nothing that a tool can be made of.
    """
    return _tool_of(tool)[0]


def _tool_of(tool: ToolDefinition) -> tuple[dict[str, Any], bool]:
    """The tool, and whether it has one argument that holds the value of the schema."""
    described = _described(tool)
    function = described["function"]
    parameters = function.get("parameters")
    is_schema = _is_json_schema(cast("dict[str, Any]", tool)) if isinstance(tool, dict) else _is_model(tool)
    if not is_schema or not parameters or is_object(parameters):
        return described, False
    return {**described, "function": {**function, "parameters": wrapped(parameters)}}, True


def _described(tool: ToolDefinition) -> dict[str, Any]:
    if not isinstance(tool, dict):
        return convert_to_openai_tool(tool)
    given = cast("dict[str, Any]", tool)
    if given.get("type") == "function":
        return given if "function" in given else {"type": "function", "function": _without(given, "type")}
    if not _is_json_schema(given) or "title" not in given:
        return convert_to_openai_tool(given)
    said = {"description": given["description"]} if "description" in given else {}
    parameters = _without(given, "title", "description")
    return {"type": "function", "function": {"name": given["title"], **said, "parameters": parameters}}


def _json_schema(schema: Schema) -> dict[str, Any]:
    """The grammar. A dict that is a JSON schema already is taken as it is."""
    if isinstance(schema, type) and issubclass(schema, BaseModel):
        return schema.model_json_schema()
    if isinstance(schema, dict):
        return dict(schema) if _is_json_schema(schema) else convert_to_json_schema(as_tool(schema))
    return convert_to_json_schema(schema)


def _is_json_schema(given: dict[str, Any]) -> bool:
    """Whether it is one, and not a function in the shape of OpenAI or another service."""
    return given.get("type") != "function" and "parameters" not in given and not _SCHEMA.isdisjoint(given)


def _without(given: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in given.items() if name not in names}


def _traced(schema: Schema | None, method: Method) -> dict[str, Any]:
    """What callbacks are told of it."""
    if schema is None:
        return {}
    return {"ls_structured_output_format": {"kwargs": {"method": method}, "schema": schema}}


def _text_reader(schema: Schema | None) -> Runnable[Any, Any]:
    return TextReader(pydantic_object=cast("type[BaseModel]", schema) if _is_model(schema) else None)


def _call_reader(schema: Schema, name: str, *, of_value: bool) -> Runnable[Any, Any]:
    if of_value:
        return WrappedReader(key_name=name, first_tool_only=True, kind=schema if _is_model(schema) else None)
    if _is_model(schema):
        return PydanticToolsParser(tools=[cast("type[BaseModel]", schema)], first_tool_only=True)
    return JsonOutputKeyToolsParser(key_name=name, first_tool_only=True)


def _is_model(schema: object) -> bool:
    return isinstance(schema, type) and is_basemodel_subclass(schema)


def _read(
    asking: Runnable[LanguageModelInput, AIMessage], reader: Runnable[Any, Any], *, include_raw: bool
) -> Runnable[LanguageModelInput, Answer]:
    if not include_raw:
        return asking | reader
    nothing: Runnable[Any, Any] = RunnableLambda(_nothing)
    parsed = RunnablePassthrough[Any].assign(parsed=itemgetter("raw") | reader, parsing_error=nothing)
    unparsed = RunnablePassthrough[Any].assign(parsed=nothing)
    return RunnableMap(raw=asking) | parsed.with_fallbacks([unparsed], exception_key="parsing_error")


def _nothing(_: object) -> None:
    """The value of a field that has none."""
