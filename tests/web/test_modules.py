"""The page's modules: what they decide, and that no text can become code in them."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import unicodedata
from pathlib import Path
from typing import get_args

import pytest
from langgraph.graph.state import CompiledStateGraph

from backend.cli.console import visible
from backend.routers.page import page_files
from infrastructure.danger.looks import FILLERS
from infrastructure.events.catalogue import AnyEvent
from infrastructure.workflow.candidate import build_candidate_graph
from infrastructure.workflow.graph import compile_codegen_graph

NODE = shutil.which("node")
OLDEST_NODE = 20
SECONDS = 60
ENDS = {"__start__", "__end__"}
WEB = Path(__file__).parents[2] / "backend" / "web"
SCRIPTS = sorted(WEB.glob("app/*.js"))


def node(*arguments: str) -> str:
    """What node prints."""
    if NODE is None:
        pytest.skip("node is not installed")
    version = subprocess.run([NODE, "--version"], capture_output=True, text=True, timeout=SECONDS, check=True).stdout
    if int(version.removeprefix("v").partition(".")[0]) < OLDEST_NODE:
        pytest.skip(f"node {version.strip()} is older than {OLDEST_NODE}")
    done = subprocess.run(
        [NODE, *arguments],
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
        env={"PATH": os.environ["PATH"]},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def exported(module: str, names: str) -> dict[str, object]:
    """What a module of the page exports, as JSON."""
    source = f"import {{ {names} }} from {json.dumps((WEB / 'app' / module).as_uri())};"
    return json.loads(node("--input-type=module", "--eval", f"{source} console.log(JSON.stringify({{ {names} }}));"))


@pytest.mark.slow
def test_modules_decide_what_their_own_tests_say() -> None:
    found = sorted(str(file) for file in Path(__file__).parent.glob("*.test.mjs"))
    assert found
    assert "\n# fail 0\n" in node("--test", "--test-reporter=tap", *found)


@pytest.mark.slow
def test_page_knows_every_kind_of_event_and_no_other() -> None:
    union = get_args(AnyEvent)[0]
    kinds = {kind for event in get_args(union) for kind in get_args(event.model_fields["kind"].annotation)}
    assert set(exported("words.js", "KINDS")["KINDS"]) == kinds


@pytest.mark.slow
def test_page_and_terminal_write_the_same_characters_as_their_numbers() -> None:
    """Of those that this Python knows; a browser may know newer ones."""
    source = (
        f"import {{ visible }} from {json.dumps((WEB / 'app' / 'format.js').as_uri())};"
        "const changed = [];"
        "for (let at = 0; at < 0x110000; at++) {"
        " const char = String.fromCodePoint(at), shown = visible(char);"
        " if (shown !== char) changed.push([at, shown]);"
        "} console.log(JSON.stringify(changed));"
    )
    page = dict(json.loads(node("--input-type=module", "--eval", source)))
    terminal = {at: shown for at in range(0x110000) if (shown := visible(chr(at))) != chr(at)}
    known = {at for at in range(0x110000) if unicodedata.category(chr(at)) != "Cn"}
    assert {ord(each) for each in FILLERS} - {0xFE0F} <= page.keys()
    assert {at: shown for at, shown in page.items() if at in known} == terminal


@pytest.mark.slow
@pytest.mark.parametrize(
    ("steps", "edges", "compiled"),
    [
        ("STEPS", "EDGES", compile_codegen_graph()),
        ("CANDIDATE_STEPS", "CANDIDATE_EDGES", build_candidate_graph(None)),
    ],
)
def test_page_draws_the_graph_that_the_engine_compiles(steps: str, edges: str, compiled: CompiledStateGraph) -> None:
    shape = exported("shape.js", f"{steps}, {edges}")
    graph = compiled.get_graph()
    arrows = {(edge.source, edge.target) for edge in graph.edges if not ENDS & {edge.source, edge.target}}
    assert set(shape[steps]) == set(graph.nodes) - ENDS
    assert {(edge["from"], edge["to"]) for edge in shape[edges]} == arrows


@pytest.mark.parametrize("file", SCRIPTS, ids=lambda file: file.name)
def test_no_module_makes_markup_or_code_of_text(file: Path) -> None:
    doors = (
        r"innerHTML|outerHTML|insertAdjacentHTML|setHTML|document\.write|createContextualFragment|DOMParser"
        r"|\beval\b|new Function|import\(|javascript:|\.on[a-z]+\s*=[^=]|setAttribute\(\s*[\"'](on|style)"
    )
    code = re.sub(r"/\*.*?\*/", "", file.read_text("utf-8"), flags=re.DOTALL)  # the types in comments import, too
    assert [found[0] for found in re.finditer(doors, code)] == []


@pytest.mark.parametrize("file", SCRIPTS, ids=lambda file: file.name)
def test_modules_import_only_modules_of_the_page(file: Path) -> None:
    names = re.findall(r"^(?:import|export)\b[^;]*?\bfrom\s+\"([^\"]+)\"", file.read_text("utf-8"), re.MULTILINE)
    assert all(name.startswith("./") and (file.parent / name).is_file() for name in names), names


def test_modules_import_each_other_without_a_circle() -> None:
    left = {
        file.name: set(re.findall(r"^import\b[^;]*?\bfrom\s+\"\./([^\"]+)\"", file.read_text("utf-8"), re.MULTILINE))
        for file in SCRIPTS
    }
    while free := {name for name, needs in left.items() if not needs & left.keys()}:
        left = {name: needs for name, needs in left.items() if name not in free}
    assert left == {}


def test_page_has_no_inline_code_and_asks_nobody_else() -> None:
    text = (WEB / "index.html").read_text("utf-8")
    assert re.findall(r"<style|\sstyle=|\son[a-z]+=|<script(?![^>]*\ssrc=)|<base|<iframe", text) == []
    assert re.findall(r"(?:src|href)=\"(?!/static/|#)[^\"]*\"", text) == []


def test_files_that_the_page_names_are_served() -> None:
    served = page_files()
    named = re.findall(r"(?:src|href)=\"/static/([^\"]+)\"", (WEB / "index.html").read_text("utf-8"))
    assert named
    assert set(named) <= set(served)
    assert {f"app/{file.name}" for file in SCRIPTS} <= set(served)


@pytest.mark.parametrize("file", sorted(WEB.rglob("*.*")), ids=lambda file: file.name)
def test_no_file_of_the_page_names_another_host(file: Path) -> None:
    addresses = set(re.findall(r"(?:https?|wss?)://[^\s\"'<>)]+", file.read_text("utf-8")))
    assert addresses <= {"http://www.w3.org/2000/svg"}
