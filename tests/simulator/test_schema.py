"""Instances that the schema brain makes, judged by jsonschema."""

import random
import re

import jsonschema
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from infrastructure.simulator.brains.pattern import PatternError, SchemaError, matching
from infrastructure.simulator.brains.schema import instance
from tests.fuzzing import examples

NAMES = st.sampled_from(["a", "b", "c", "name", "files"])
SCALARS = st.one_of(st.none(), st.booleans(), st.integers(-5, 5), st.sampled_from(["x", "y"]))


@st.composite
def ranged(draw: st.DrawFn) -> dict:
    low = draw(st.integers(-50, 50))
    out: dict = {"type": draw(st.sampled_from(["integer", "number"]))}
    for name, value in (("minimum", low), ("maximum", low + draw(st.integers(2, 40)))):
        if draw(st.booleans()):
            out[draw(st.sampled_from([name, "exclusive" + name.capitalize()]))] = value
    if draw(st.booleans()):
        out["multipleOf"] = draw(st.integers(1, 2)) if len(out) < 3 else 1
    return out


@st.composite
def text(draw: st.DrawFn) -> dict:
    least = draw(st.integers(0, 20))
    out: dict = {"type": "string"}
    if draw(st.booleans()):
        out["minLength"] = least
    if draw(st.booleans()):
        out["maxLength"] = least + draw(st.integers(0, 30))
    return out


def objects(children: st.SearchStrategy[dict]) -> st.SearchStrategy[dict]:
    @st.composite
    def build(draw: st.DrawFn) -> dict:
        properties = draw(st.dictionaries(NAMES, children, max_size=4))
        out: dict = {"type": "object", "properties": properties}
        out["required"] = [name for name in properties if draw(st.booleans())]
        if draw(st.booleans()):
            out["additionalProperties"] = draw(st.sampled_from([False, True]))
        return out

    return build()


def arrays(children: st.SearchStrategy[dict]) -> st.SearchStrategy[dict]:
    @st.composite
    def build(draw: st.DrawFn) -> dict:
        least = draw(st.integers(0, 3))
        out: dict = {"type": "array", "items": draw(children), "minItems": least}
        if draw(st.booleans()):
            out["maxItems"] = least + draw(st.integers(0, 3))
        return out

    return build()


def compounds(children: st.SearchStrategy[dict]) -> st.SearchStrategy[dict]:
    several = st.lists(children, min_size=1, max_size=3)
    return st.one_of(
        objects(children),
        arrays(children),
        several.map(lambda parts: {"anyOf": parts}),
        st.tuples(objects(children), objects(children))
        .filter(lambda pair: not pair[0]["properties"].keys() & pair[1]["properties"].keys())
        .map(lambda pair: {"allOf": [open_(part) for part in pair]}),
    )


def open_(schema: dict) -> dict:
    return {name: value for name, value in schema.items() if name != "additionalProperties"}


LEAVES = st.one_of(
    st.sampled_from([{"type": "boolean"}, {"type": "null"}, {"type": ["string", "null"]}, {}]),
    ranged(),
    text(),
    SCALARS.map(lambda value: {"const": value}),
    st.lists(SCALARS, min_size=1, max_size=4).map(lambda values: {"enum": values}),
)
SCHEMAS = st.recursive(LEAVES, compounds, max_leaves=12)


@given(SCHEMAS, st.integers(0, 1000))
@settings(max_examples=examples(50), deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_any_instance_is_valid_and_the_same_for_the_same_seed(schema: dict, seed: int):
    value = instance(schema, random.Random(seed))

    jsonschema.Draft202012Validator(schema).validate(value)
    assert value == instance(schema, random.Random(seed))


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize(
    "schema",
    [
        {
            "$defs": {"Step": {"type": "object", "properties": {"what": {"type": "string"}}, "required": ["what"]}},
            "properties": {"steps": {"type": "array", "items": {"$ref": "#/$defs/Step"}, "minItems": 1}},
            "required": ["steps"],
        },
        {  # a tree: recursion must end
            "$defs": {
                "Node": {
                    "type": "object",
                    "properties": {
                        "left": {"anyOf": [{"$ref": "#/$defs/Node"}, {"type": "null"}]},
                        "rest": {"type": "array", "items": {"$ref": "#/$defs/Node"}},
                    },
                    "required": ["left", "rest"],
                }
            },
            "$ref": "#/$defs/Node",
        },
        {"oneOf": [{"type": "integer", "minimum": 1}, {"type": "string", "minLength": 2}]},
        {"type": "string", "pattern": r"^[a-z]{2,4}-\d+(?:\.\d)?$"},
        {"type": "string", "pattern": r"^(yes|no|may be)$"},
        {"type": "string", "pattern": r"^\S+@\w+\.(org|net)$", "maxLength": 60},
        {"type": "array", "items": {"enum": [1, 2, 3]}, "uniqueItems": True, "minItems": 3},
        {"type": "array", "prefixItems": [{"type": "null"}, {"type": "boolean"}], "items": False, "minItems": 2},
        {"type": "object", "additionalProperties": {"type": "integer"}, "minProperties": 2},
        {"type": "object", "required": ["free"], "properties": {"other": {"type": "null"}}},
        {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1},
        {"type": "integer", "multipleOf": 7, "minimum": 10},
        {"allOf": [{"minimum": 3}, {"type": "integer", "maximum": 5}]},
        True,
    ],
)
def test_what_schemas_of_answer_types_use(schema: dict, seed: int):
    jsonschema.Draft202012Validator(schema).validate(instance(schema, random.Random(seed)))


@pytest.mark.parametrize(
    "schema",
    [
        False,
        {"type": "integer", "minimum": 2, "maximum": 1},
        {"type": "object", "required": ["x"], "additionalProperties": False},
        {"type": "array", "items": {"const": 1}, "uniqueItems": True, "minItems": 2},
        {"$ref": "#/$defs/missing"},
        {"$ref": "elsewhere.json"},
        {"type": "quaternion"},
        {"$defs": {"A": {"$ref": "#/$defs/A"}}, "$ref": "#/$defs/A"},
        {"enum": []},
        {"type": ["x", 3], "enum": []},
        {"type": "string", "pattern": "^(a|b){1000000000}$"},
        {"type": "string", "minLength": 10**9},
        {"type": "array", "items": {"type": "string"}, "minItems": 10**8},
        {"type": "array", "minItems": 1000, "items": {"type": "array", "minItems": 1000, "items": {"type": "null"}}},
        {"type": "object", "minProperties": 10**9},
        {
            "$defs": {f"A{each}": {"allOf": [{"$ref": f"#/$defs/A{each + 1}"}] * 2} for each in range(30)}
            | {"A30": {"type": "null"}},
            "$ref": "#/$defs/A0",
        },
    ],
)
def test_a_schema_without_an_instance_is_an_error(schema: object):
    with pytest.raises(SchemaError):
        instance(schema, random.Random(0))


_UNKNOWN = [r"(?=a)b", r"\bword", "(", "[^a-zA-Z0-9]", r"(a)\1", r"\Aa", "a++b", "(a+)+$b", "b^a", r"[^\S]"]


@pytest.mark.parametrize("pattern", _UNKNOWN)
def test_a_pattern_that_is_not_understood_is_an_error(pattern: str):
    with pytest.raises(PatternError):
        matching(pattern, random.Random(0), 0, 10)


@pytest.mark.parametrize("pattern", ["(a+)+$b", "(a|aa)+$b"])
def test_a_pattern_that_would_take_for_ever_to_search_is_an_error(pattern: str):
    with pytest.raises(PatternError):
        matching(pattern, random.Random(0), 64, 1000)


def test_what_is_made_by_one_choice_is_not_searched_by_the_others():
    assert set(matching("(a+)+$b|a{64,70}", random.Random(0), 64, 100)) == {"a"}


@pytest.mark.parametrize(
    "pattern",
    [
        r"^([a-z_]+/)*[a-z_]+\.py$",
        r"^(?:v\d{1,3}|\w{,4}x)$",
        r"^[+-\.]{2,}$",
        r"[^\d_]\s\S\W\D",
        "^(a+)+b$",
        "(^a|b)c($|d)",
        "^$|^x{2}y?$",
        r"[]\]-]+?[^]a]",
        r"\.\n\f{}{,}",
    ],
)
def test_what_is_made_for_a_pattern_matches_it(pattern: str):
    for seed in range(50):
        text = matching(pattern, random.Random(seed), 0, 100)
        assert re.search(pattern, text), text
