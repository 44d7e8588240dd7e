"""Prompt files: their shape, their variables, their hash."""

from importlib.resources import files

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.answers.fences import blocks
from agents.errors import PromptError
from agents.prompting import excerpt, load_prompt, parse_prompt, quoted

NAMES = sorted(
    f"{folder.name}/{file.name.removesuffix('.md')}"
    for folder in files("agents").joinpath("prompts").iterdir()
    if folder.is_dir()
    for file in folder.iterdir()
    if file.name.endswith(".md")
)
SOURCE = "---\nrole: planner\nabout: x\n---\n# system\nYou.\n# user\n{{ task }}\n"


def test_there_is_a_prompt_for_each_role_and_agent_and_three_shared_ones():
    assert len(NAMES) == 20


@pytest.mark.parametrize("name", NAMES)
def test_every_prompt_file_loads_and_says_what_it_is_about(name: str):
    assert load_prompt(name).about


@pytest.mark.parametrize("name", NAMES)
def test_another_text_has_another_hash(name: str):
    source = files("agents").joinpath("prompts", *f"{name}.md".split("/")).read_text(encoding="utf-8")
    assert parse_prompt(name, source).sha == load_prompt(name).sha
    assert parse_prompt(name, source.replace("\n", "\r\n")).sha == load_prompt(name).sha
    assert parse_prompt(name, source + "{# x #}").sha != load_prompt(name).sha


def test_sections_and_variables_are_read():
    prompt = parse_prompt("planner/p", SOURCE)
    assert dict(prompt.sections) == {"system": "You.", "user": "{{ task }}\n"}
    assert prompt.variables == {"task"}
    assert prompt.render("user", {"task": "do"}) == "do"


@pytest.mark.parametrize(
    "source",
    [
        "",
        "# system\nx\n# user\ny\n",
        "---\nrole: planner\n# system\n",
        SOURCE.replace("role: planner", "role: coder"),
        SOURCE.replace("about: x", "abuot: x"),
        SOURCE.replace("about: x", "role: planner"),
        SOURCE.replace("about: x", "about"),
        SOURCE.replace("# system", "stray\n# system"),
        SOURCE + "# user\nagain\n",
        "---\nrole: planner\n---\n",
        SOURCE.replace("{{ task }}", "{% if task %}"),
    ],
)
def test_a_malformed_file_is_refused(source: str):
    with pytest.raises(PromptError):
        parse_prompt("planner/p", source)


@pytest.mark.parametrize("name", ["planner/none", "none/none", "planner", "planner/plan/more"])
def test_a_missing_file_is_refused(name: str):
    with pytest.raises(PromptError, match="no such prompt"):
        load_prompt(name)


def test_a_missing_variable_or_section_is_an_error():
    prompt = parse_prompt("planner/p", SOURCE.partition("# user")[0] + "{{ other }}\n")
    with pytest.raises(PromptError):
        prompt.render("system", {})
    with pytest.raises(PromptError, match="no section"):
        prompt.render("user", {})


def test_values_are_never_rendered_again_nor_escaped():
    prompt = parse_prompt("planner/p", SOURCE)
    hostile = "{{ 7 * 7 }} {% raw %} <b> & # system\n# user"
    assert prompt.render("user", {"task": hostile}) == hostile


@given(st.text(alphabet="`~a\n ", max_size=60))
def test_quoted_text_cannot_close_its_fence(text: str):
    (block,) = blocks(quoted(text))
    assert block.closed
    wanted = text if not text or text.endswith("\n") else text + "\n"
    assert "".join(f"{line}\n" for line in block.lines) == wanted


def test_an_excerpt_keeps_both_ends_and_counts_what_is_gone():
    assert excerpt("abcdef", 3) == "abcdef"
    assert excerpt("abcXdef", 3) == "abc\n[… 1 characters left out …]\ndef"
