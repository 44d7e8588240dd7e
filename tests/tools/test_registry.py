import asyncio
import json
import re
from pathlib import Path
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.model import JsonObject
from infrastructure.danger.places import LINKED_FOLDERS
from infrastructure.tools.client import ClientTool
from infrastructure.tools.local import local_tools
from infrastructure.tools.registry import AT_MOST, NameTaken, ToolRegistry
from infrastructure.tools.texts import RESULT_CHARACTERS
from infrastructure.tools.tool import (
    Checked,
    Doing,
    Reading,
    Refused,
    RegisteredTool,
    ToolPlace,
    ToolResult,
    ToolSpec,
)
from infrastructure.workspace import DEPENDENCY_FOLDERS
from tests.tools.views import with_client_tools

LOCAL = local_tools()
PLACE = ToolPlace(session="s1", call="c1")


def checked(name: str, arguments: object) -> JsonObject:
    found = LOCAL.check(name, arguments)
    assert isinstance(found, Checked), found
    return found.arguments


def refused(name: str, arguments: object) -> Refused:
    found = LOCAL.check(name, arguments)
    assert isinstance(found, Refused), found
    return found


def test_a_prompt_has_eight_tools_at_most_in_the_order_of_the_agent():
    names = tuple(reversed(LOCAL.names))
    offered = LOCAL.offered(names)
    assert [each.name for each in offered] == list(names[:AT_MOST])
    assert [each.name for each in LOCAL.offered(("echo", "gone", "echo", "search"))] == ["echo", "search"]


def test_eight_tools_take_less_than_a_thousand_tokens_of_a_prompt():
    offered = LOCAL.offered(LOCAL.names)
    text = json.dumps([{"name": e.name, "description": e.description, "parameters": e.parameters} for e in offered])
    assert len(text) < 4_000


def test_a_name_that_is_near_is_told():
    assert refused("readfile", {}).text == "there is no tool 'readfile'. Did you mean read_file?"
    assert "There are read_file" in refused("x" * 5_000, {}).text
    assert refused("frobnicate", {}).error_class == "UnknownTool"


@pytest.mark.parametrize(
    ("arguments", "meant"),
    [
        ({"path": "a.py", "start": "5"}, {"path": "a.py", "start": 5, "end": 0}),
        ({"path": "a.py", "start": 5.0, "end": None}, {"path": "a.py", "start": 5, "end": 0}),
        ('{"path": "a.py", "start": " 7 "}', {"path": "a.py", "start": 7, "end": 0}),
        ({"path": " a.py ", "note": None, "why": ""}, {"path": " a.py ", "start": 1, "end": 0}),
    ],
)
def test_slips_with_one_meaning_are_mended(arguments: object, meant: JsonObject):
    assert checked("read_file", arguments) == meant
    assert checked("read_file", meant) == meant, "checking again gives the same"


def test_a_list_that_came_as_text_or_alone_is_one():
    assert checked("todo_write", {"todos": '["a", "b"]'}) == {"todos": ["a", "b"]}
    assert checked("todo_write", {"todos": "a"}) == {"todos": ["a"]}
    assert checked("search", {"pattern": "x", "regex": "True"})["regex"] is True
    assert checked("calculator", {"expression": 5}) == {"expression": "5"}


@pytest.mark.parametrize("path", [5, ["a.py"], {"a": 1}, True, None])
def test_what_is_no_path_is_never_made_one(path: object):
    assert refused("read_file", {"path": path}).error_class == "BadArguments"
    assert refused("run_command", {"command": path}).error_class == "BadArguments"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"file": "a.py"}, "there is no argument 'file'"),
        ({"pth": "a.py"}, "Did you mean path?"),
        ({}, "path: Field required. It takes path, start (may be left out), end (may be left out)."),
        ({"path": "a.py", "start": "five"}, "start: "),
        ({"path": "a.py", "start": 0}, "start: "),
        ("[1, 2]", "one JSON object"),
        ("{'path': 1}", "no JSON"),
        ('{"path": "a", "start": NaN}', "NaN is not JSON"),
        ('{"path": "a", "start": ' + "9" * 5_000 + "}", "digits"),
        ("[" * 100_000, "nested deeper"),
        ({"path": {"a": [[[[[[[[[[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]]]]]]]]]]}}, "nested deeper"),
    ],
)
def test_a_refusal_says_what_would_be_right(arguments: object, said: str):
    found = refused("read_file", arguments)
    assert said in found.text
    assert found.error_class == "BadArguments"
    assert len(found.text) < 400


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)


@given(name=st.sampled_from(LOCAL.names), arguments=json_values | st.dictionaries(st.text(), json_values))
def test_whatever_a_model_sends_is_checked_or_refused(name: str, arguments: object):
    found = LOCAL.check(name, arguments)
    if isinstance(found, Checked):
        assert LOCAL.check(name, found.arguments) == found


def test_two_tools_never_bear_one_name():
    with pytest.raises(NameTaken):
        LOCAL.with_tools(
            [RegisteredTool(spec=ToolSpec(name="ECHO", description="", parameters={}, risk="reads"), read=dict)]
        )


async def test_a_long_result_keeps_its_two_ends_and_says_what_is_gone():
    async def shout(arguments: JsonObject, place: ToolPlace) -> ToolResult:
        return ToolResult("\n".join(f"line {number}" for number in range(10_000)))

    spec = ToolSpec(name="shout", description="", parameters={}, risk="reads")
    registry = ToolRegistry([RegisteredTool(spec=spec, read=dict, do=shout)])
    text = (await registry.run("shout", {}, PLACE)).text
    assert text.startswith("line 0\n")
    assert text.endswith("line 9999")
    gone = re.search(r"\[… ([\d,]+) characters in ([\d,]+) lines left out …\]", text)
    assert gone is not None
    kept = text.replace(gone[0] + "\n", "")
    assert len(kept) <= RESULT_CHARACTERS
    assert len(kept) + int(gone[1].replace(",", "")) == sum(len(f"line {number}") + 1 for number in range(10_000)) - 1


async def test_what_goes_wrong_is_a_result():
    async def full(arguments: JsonObject, place: ToolPlace) -> ToolResult:
        raise OSError(28, "No space left on device")

    spec = ToolSpec(name="full", description="", parameters={}, risk="writes")
    result = await ToolRegistry([RegisteredTool(spec=spec, read=dict, do=full)]).run("full", {}, PLACE)
    assert result == ToolResult("the system refused: No space left on device", False, "SystemRefused")
    assert (await LOCAL.run("nope", {}, PLACE)).error_class == "UnknownTool"
    assert (await LOCAL.run("read_file", {"path": "a"}, PLACE)).error_class == "NoWorkspace"
    assert (await LOCAL.run("run_command", {"command": "ls"}, PLACE)).error_class == "NoWorkspace"


async def test_a_tool_of_the_client_is_not_done_here():
    registry = with_client_tools(LOCAL, [ClientTool(name="open_tab")])
    assert (await registry.run("open_tab", {}, PLACE)).error_class == "NotHere"
    assert "open_tab" not in LOCAL


async def test_switching_names_an_agent_that_there_is():
    place = ToolPlace(session="s1", call="c1", agents=("architect", "coder"))
    assert (await LOCAL.run("switch_mode", {"agent": "coder", "reason": "write it"}, place)).ok
    told = await LOCAL.run("switch_mode", {"agent": "code"}, place)
    assert told == ToolResult("there is no agent 'code'. Did you mean coder?", False, "UnknownAgent")


async def test_the_page_tells_of_every_tool(repository_root: Path):
    section = (repository_root / "docs" / "sessions.md").read_text().partition("\n## Tools\n")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| `(\w+)` \| ([^|]*) \| (\w+) \| ([^|]*) \|$", section, flags=re.MULTILINE)
    table = {name: (said.strip(), risk, re.findall(r"`(\w+)`", takes)) for name, said, risk, takes in rows}
    assert table == {
        each.name: (each.description, each.risk, list(cast("JsonObject", each.parameters["properties"])))
        for each in LOCAL
    }


def test_folders_that_danger_knows_as_linked_are_those_that_a_copy_links() -> None:
    assert LINKED_FOLDERS == DEPENDENCY_FOLDERS


def own_tool(do: Doing, read: Reading = dict) -> ToolRegistry:
    spec = ToolSpec(name="ticket", description="Reads a ticket.", parameters={"type": "object"}, risk="reads")
    return ToolRegistry([RegisteredTool(spec=spec, read=read, do=do)])


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (ValueError("no such ticket"), "ticket failed: ValueError: no such ticket"),
        (KeyError(), "ticket failed: KeyError"),
        (ExceptionGroup("two at once", [OSError("a"), ValueError("b")]), "ticket failed: ExceptionGroup: two at once"),
    ],
)
async def test_whatever_a_tool_of_ones_own_raises_is_its_result(error: Exception, text: str, caplog):
    async def do(arguments: JsonObject, place: ToolPlace) -> ToolResult:
        raise error

    result = await own_tool(do).run("ticket", {}, PLACE)
    assert (result.ok, result.error_class) == (False, type(error).__name__)
    assert result.text.startswith(text)
    assert "the tool ticket failed" in caplog.text


async def test_tool_of_ones_own_that_gives_no_result_has_failed():
    async def do(arguments: JsonObject, place: ToolPlace) -> ToolResult:
        return "a word"  # pyright: ignore[reportReturnType] - the slip that this is about

    assert (await own_tool(do).run("ticket", {}, PLACE)).error_class == "AttributeError"


async def test_cancelling_a_tool_raises():
    async def do(arguments: JsonObject, place: ToolPlace) -> ToolResult:
        raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        await own_tool(do).run("ticket", {}, PLACE)


def test_arguments_that_a_tool_of_ones_own_cannot_read_are_refused(caplog):
    async def do(arguments: JsonObject, place: ToolPlace) -> ToolResult:
        raise AssertionError("it is not done")

    def read(arguments: JsonObject) -> JsonObject:
        return {"id": arguments["id"]}

    assert own_tool(do, read).check("ticket", {}) == Refused(
        "ticket: its arguments cannot be read: KeyError: 'id'", "BadArguments"
    )
