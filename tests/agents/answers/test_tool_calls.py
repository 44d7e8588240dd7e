"""Calls printed as text: each recording gives what it says, and nothing is ever called that nobody meant."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.answers.tool_calls import MAX_CALLS, MAX_READ, Leaked, read_tool_calls
from agents.model import Tool
from tests.agents.answers.test_hostile import CORPUS, lines_run
from tests.fuzzing import examples

if TYPE_CHECKING:
    from collections.abc import Callable

TEXT, NUMBER, FLAG, LIST = ({"type": kind} for kind in ("string", "integer", "boolean", "array"))


def tool(name: str, required: tuple[str, ...] = (), **properties: dict[str, str]) -> Tool:
    return Tool(name, name, {"type": "object", "properties": properties, "required": list(required)})


TOOLS = (
    tool("read_file", ("path",), path=TEXT, start=NUMBER),
    tool("write_file", ("path", "content"), path=TEXT, content=TEXT),
    tool("search", ("pattern",), pattern=TEXT, paths=LIST, regex=FLAG),
    tool("run_command", ("command",), command=TEXT),
    tool("run_tests"),
)
NAMES = {each.name for each in TOOLS}
LEAKS = Path(__file__).parent / "leaks"
CASES: dict[str, dict[str, Any]] = {
    f"{file.stem}: {case['name']}": case
    for file in sorted(LEAKS.glob("*.toml"))
    for case in tomllib.loads(file.read_text("utf-8"))["case"]
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_recording_gives_exactly_its_calls_its_refusals_and_what_is_left(case: dict[str, Any]):
    leaked = read_tool_calls(case["text"], TOOLS, heard=case.get("heard", ()))
    assert [(each.call.name, dict(each.call.arguments), each.mended) for each in leaked.calls] == [
        (each["name"], json.loads(each["arguments"]), each.get("mended", False)) for each in case.get("calls", [])
    ]
    assert leaked.text == (case.get("left", "") if leaked.calls else case["text"])
    refused = case.get("refused", [])
    assert [each.name for each in leaked.refused] == [name for name, _ in refused]
    for each, (_, reason) in zip(leaked.refused, refused, strict=True):
        assert each.reason.startswith(reason)


def test_there_are_recordings_of_many_dialects():
    assert len(CASES) >= 120
    recovering = {name.partition(":")[0] for name, case in CASES.items() if case.get("calls")}
    assert len(recovering) >= 14


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_recording_with_other_tools_calls_nothing(case: dict[str, Any]):
    assert not read_tool_calls(case["text"], (tool("other"),)).calls
    assert not read_tool_calls(case["text"], ()).calls


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_recording_inside_something_that_is_no_call_calls_nothing(case: dict[str, Any]):
    text = case["text"]
    arounds = [
        f"`notes.md`\n`````markdown\n{text}\n`````",
        f"<tool_response>\n{text}",
        "".join(f"> {line}\n" for line in text.split("\n")),
    ]
    if not case.get("refused") and not case.get("left", "").endswith(text[-5:]):  # what is cut off has no behind
        arounds.append(f"{text}\n\nThis is what the model would have printed.")
    for around in arounds:
        assert not read_tool_calls(around, TOOLS).calls


@pytest.mark.parametrize("case", [case for case in CASES.values() if case.get("calls") and not case.get("refused")])
def test_recording_that_is_cut_anywhere_gives_whole_calls_of_its_own_or_none(case: dict[str, Any]):
    whole = [(each["name"], json.loads(each["arguments"])) for each in case["calls"]]
    for length in range(len(case["text"])):
        leaked = read_tool_calls(case["text"][:length], TOOLS)
        assert [(each.call.name, each.call.arguments) for each in leaked.calls] in [
            whole[:count] for count in range(len(whole) + 1)
        ]


PIECES = st.sampled_from(
    [
        *(
            "<tool_call>", "</tool_call>", "<function=read_file>", "</function>", "<parameter=path>", "</parameter>",
            '{"name": "read_file", "arguments": {"path": "a"}}', '{"name": "run_tests", "arguments": {}}', "[", "]",
            "{", "}", '"', "'", "\\", ",", ":", "(", ")", "=", "\n", "\n\n", "    ", "> ", "`", "```", "```json\n",
            "```tool_code\n", "```python a.py\n", "a.py", "read_file", "run_tests()", 'read_file(path="a")', "[ARGS]",
            "[TOOL_CALLS]", "<|python_tag|>", "<｜tool▁calls▁begin｜>", "<｜tool▁call▁begin｜>", "<｜tool▁sep｜>",
            "functools", "Action: ", "Action Input: ", "Observation: ", ">>>", "<think>", "</think>", "<|channel|>",
            "analysis", "commentary to=functions.read_file ", "<|message|>", "<|call|>", "<|tool_call_begin|>",
            "<|tool_call_argument_begin|>", "functions.read_file:0", '<invoke name="read_file">', "</invoke>",
            '<parameter name="path">', "<arg_key>", "</arg_key>", "<arg_value>", "</arg_value>", "<tool_response>",
            "For example: ", "I will read it.", "\ud800", "\\ud800", "\0", "1e999", "NaN", "None", "привет", "例如",
        ),
    ]
)  # fmt: skip
HOSTILE = st.lists(PIECES, max_size=40).map("".join) | st.text(max_size=200)


def is_sound(leaked: Leaked, text: str) -> bool:
    """What holds of every answer: only offered tools, whole arguments, a reason for each refusal, no text made up."""
    for each in leaked.calls:
        assert each.call.name in NAMES
        assert json.loads(json.dumps(each.call.arguments)) == each.call.arguments
        required = next(tool for tool in TOOLS if tool.name == each.call.name).parameters["required"]
        assert isinstance(required, list)
        assert set(required) <= set(each.call.arguments)
    assert all(each.reason and each.reason in each.told and len(each.told) < 500 for each in leaked.refused)
    assert len(leaked.calls) <= MAX_CALLS
    remaining = iter(text)
    return all(character == "\n" or character in remaining for character in leaked.text)


@pytest.mark.slow
@given(text=HOSTILE, heard=st.lists(HOSTILE, max_size=2))
@settings(max_examples=examples(50), deadline=None)
def test_any_text_is_read_without_an_error_and_calls_only_what_is_offered(text: str, heard: list[str]):
    assert is_sound(read_tool_calls(text, TOOLS, heard=heard), text)


ARGUMENTS = st.fixed_dictionaries({"path": st.text(max_size=30), "content": st.text(max_size=60)})


@pytest.mark.slow
@given(arguments=ARGUMENTS)
@settings(max_examples=examples(50), deadline=None)
def test_json_arguments_come_back_as_they_were_whatever_they_hold(arguments: dict[str, str]):
    printed = json.dumps({"name": "write_file", "arguments": arguments})
    for text in (printed, f"<tool_call>{printed}</tool_call>", f"```json\n{printed}\n```", f"[TOOL_CALLS][{printed}]"):
        leaked = read_tool_calls(text, TOOLS)
        assert [each.call.arguments for each in leaked.calls] in ([arguments], []), text
        assert leaked.calls or leaked.refused


@pytest.mark.parametrize("text", CORPUS.values(), ids=CORPUS)
def test_the_list_of_bad_answers_calls_nothing(text: str):
    leaked = read_tool_calls(text, TOOLS)
    assert not leaked.calls
    assert leaked.text == text


def test_answer_that_is_too_long_is_refused_where_it_holds_a_call():
    call = '<tool_call>{"name": "run_tests", "arguments": {}}</tool_call>'
    (refused,) = read_tool_calls(call + " " * MAX_READ, TOOLS).refused
    assert "more than" in refused.told
    assert read_tool_calls(" " * (MAX_READ + 1), TOOLS) == Leaked(text=" " * (MAX_READ + 1))


GROWING: dict[str, Callable[[int], str]] = {
    "prose": lambda size: "prose\n" * size,
    "fences": lambda size: "```json\nx\n```\n" * size,
    "open fences": lambda size: "```\n" * size,
    "objects": lambda size: '{"a": 1}\n' * size,
    "open objects": lambda size: '{"a":\n' * size,
    "open strings": lambda size: "<tool_call>{'a" * size,
    "wrappers": lambda size: "<tool_call>" * size,
    "calls": lambda size: '<tool_call>{"name": "run_tests", "arguments": {}}</tool_call>\n' * size,
    "calls with fences": lambda size: (
        '<tool_call>{"name": "read_file", "arguments": {"path": "```\n"}}</tool_call>\n' * size
    ),
    "mentions": lambda size: "x <tool_call>{'a': 'b " * size,
    "quoted": lambda size: "> <tool_call>{}\n" * size,
    "parameters": lambda size: "<function=read_file>" + "<parameter=p>x</parameter>" * size,
    "twins": lambda size: "<function=read_file>" + "".join(f"<parameter=p{n}>x</parameter>" for n in range(size)),
    "a list": lambda size: "[" + 'read_file(path="a"), ' * size,
    "a loose list": lambda size: "<tool_call>['x', " + "1, " * size,
    "python": lambda size: 'read_file(path="a")\n' * size,
    "deep": lambda size: "<tool_call>" + "{'a':" * size,
    "thinking": lambda size: "<think>x</think>\n" * size,
    "thinking with fences": lambda size: "<think>\n```\n</think>\n" * size,
    "orphans": lambda size: "x</think>\n" * size,
    "braces": lambda size: '<tool_call>{"name": "run_tests", "arguments": {}}' + "}" * size,
}


@pytest.mark.parametrize("text", GROWING.values(), ids=GROWING)
def test_four_times_the_text_is_at_most_about_four_times_the_work(text: Callable[[int], str]):
    small = lines_run(lambda: read_tool_calls(text(100), TOOLS))
    large = lines_run(lambda: read_tool_calls(text(400), TOOLS))
    assert large <= 5 * small + 500
