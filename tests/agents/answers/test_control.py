"""Control JSON out of model text."""

import json
from typing import Annotated, ClassVar, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field

from agents.answers.control import MAX_ITEMS, MAX_TEXT, Answer, Text, Texts, Word, read_control, schema_of
from agents.codegen import Intent, Plan, Review
from agents.errors import UnusableAnswer
from agents.model import JsonObject


class Verdict(Answer):
    """A small answer."""

    note: Text = Field(default="", description="why")
    items: Texts = Field(default_factory=list, description="a list of words")
    size: int = Field(default=0, description="a whole number")
    share: float = Field(default=0.0, description="a number")
    verdict: Annotated[Literal["yes", "no"], Word] = Field(description="yes or no")

    EXAMPLE: ClassVar[JsonObject] = {"note": "n", "items": ["a"], "verdict": "yes"}


YES = '{"verdict": "yes"}'


@pytest.mark.parametrize(
    "text",
    [
        YES,
        f"  {YES}\n\n",
        f"\ufeff{YES}\r\n",
        f"```json\n{YES}\n```",
        f"Here it is:\n```\n{YES}\n```\nDone.",
        f"The verdict is {YES}.",
        f"A brace {{ and then {YES}",
        f"like {{x}} and then {YES} and {{y}}",
        f'<think>{{"verdict": "no"}}</think>{YES}',
        f'{{"verdict": "no"}} no, rather {YES}',
        f'```json\n{{"verdict": "no"}}\n```\nno:\n```json\n{YES}\n```',
        '{"verdict": " YES "}',
        '{"verdict": "yes", "note": null, "unknown": {"a": [1]}}',
        f'{YES} {{"verdict": "perhaps"}}',
    ],
)
def test_the_object_is_found_whatever_surrounds_it(text: str):
    assert read_control(text, Verdict).verdict == "yes"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "empty"),
        ("no", "no JSON object"),
        ("[1]", "no JSON object"),
        ('"x"', "no JSON object"),
        ("{" * 100_000, "no JSON object"),
        ('{"verdict": "yes"', "no JSON object"),
        ("{}", "field 'verdict': Field required"),
        ('{"verdict": "perhaps"}', "field 'verdict': 'yes' or 'no', not 'perhaps'"),
        ('{"verdict": "yes", "size": "many"}', "field 'size'"),
        ('{"verdict": "yes", "items": {"a": 1}}', "field 'items'"),
        ('{"verdict": "yes", "items": [1]}', "field 'items.0': a valid string, not '1'"),
        ('{"verdict": "yes", "note": 3}', "field 'note'"),
        ('{"verdict": "yes",}', "malformed at line 1"),
        ("{'verdict': 'yes'}", "malformed at line 1"),
        ('{"verdict": "yes", "verdict": "no"}', "'verdict' comes twice"),
        ('{"verdict": "yes", "x": {"a": 1, "a": 2}}', "'a' comes twice"),
        ('{"verdict": "yes", "share": NaN}', "NaN is not JSON"),
        ('{"verdict": "yes", "share": -Infinity}', "-Infinity is not JSON"),
        ('{"verdict": "yes", "share": 1e999}', "out of range"),
        ('{"verdict": "yes", "size": ' + "9" * 5_000 + "}", "5000 digits"),
        ('{"verdict": "yes", "x": ' + "[" * 100_000 + "]" * 100_000 + "}", "nested deeper than 16"),
        ('{"verdict": "yes", "note": "\\ud800"}', "field 'note'"),
    ],
)
def test_a_bad_object_says_which_field_and_what_was_expected(text: str, reason: str):
    with pytest.raises(UnusableAnswer) as caught:
        read_control(text, Verdict)
    assert reason in caught.value.reason
    assert len(caught.value.reason) < 400


def test_the_hint_describes_the_field():
    with pytest.raises(UnusableAnswer) as caught:
        read_control('{"verdict": 1}', Verdict)
    assert caught.value.hint == "verdict: yes or no"


def test_raw_line_breaks_and_nul_in_a_text_are_mended():
    answer = read_control('{"verdict": "yes", "note": "a\nb\\u0000c"}', Verdict)
    assert answer.note == "a\nbc"


def test_one_bare_text_is_a_list_of_one():
    assert read_control('{"verdict": "yes", "items": "a"}', Verdict).items == ["a"]
    assert read_control('{"verdict": "yes", "items": " "}', Verdict).items == []


def test_texts_and_lists_are_bounded():
    long = {"verdict": "yes", "note": "x" * 9_000, "items": ["y"] * 50}
    answer = read_control(json.dumps(long), Verdict)
    assert len(answer.note) == MAX_TEXT
    assert answer.note.endswith("…")
    assert len(answer.items) == MAX_ITEMS


@pytest.mark.parametrize("field", list(Verdict.model_fields))
def test_an_answer_is_frozen(field: str):
    with pytest.raises(ValueError, match="frozen"):
        setattr(Verdict.example(), field, "x")


def test_the_schema_is_flat_small_and_requires_everything():
    schema = schema_of(Verdict)
    assert schema["title"] == "Verdict"
    assert schema["required"] == ["note", "items", "size", "share", "verdict"]
    properties = schema["properties"]
    assert properties["verdict"] == {"description": "yes or no", "enum": ["yes", "no"], "type": "string"}
    assert properties["items"] == {"description": "a list of words", "items": {"type": "string"}, "type": "array"}
    assert "maxLength" not in json.dumps(schema)


@given(
    st.builds(
        Plan,
        summary=st.text(max_size=50),
        files=st.lists(st.text(max_size=10), max_size=5),
        steps=st.lists(st.text(max_size=30), max_size=5),
        risks=st.lists(st.text(max_size=30), max_size=3),
    ),
    st.sampled_from(["", "Вот план:\n", "计划：\n", "الخطة:\n", "```json\n"]),
)
def test_any_answer_round_trips(plan: Plan, before: str):
    text = before + plan.model_dump_json() + ("\n```" if before.startswith("```") else "")
    assert read_control(text, Plan) == plan


def test_words_of_a_literal_ignore_case_and_others_are_refused():
    assert read_control('{"summary": "s", "kind": "Code"}', Intent).kind == "code"
    with pytest.raises(UnusableAnswer, match="'code', 'question' or 'tests', not 'poem'"):
        read_control('{"summary": "s", "kind": "poem"}', Intent)
    with pytest.raises(UnusableAnswer, match="'verdict'"):
        read_control('{"summary": "s", "verdict": "approved, granted"}', Review)
