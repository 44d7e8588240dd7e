"""docs/settings.md is the settings' model in other words, and what it tells to type works."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from backend.cli.app import build_app
from infrastructure.config.edit import set_value
from infrastructure.config.load import load_settings
from tests.config.settings_page import COMMON, FLAGS, PAGE, Row, page, rows, toml

HOME = {"HOME": "/home/ada"}
ROWS = {row.name: row for row in rows()}


def in_file(row: Row) -> str:
    """A file with the row's line as the page shows it."""
    line = f"{row.key} = {toml(row.example)}\n"
    if row.section == "servers[0]":
        return f"[[servers]]\n{line}"
    return f"[{row.section}]\n{needed(row)}{line}" if row.section else line


NEEDED = {"lanes.NAME": ("model", "m"), "tools.mcp.NAME": ("command", "c")}


def needed(row: Row) -> str:
    """What the table must have beside it."""
    key, value = NEEDED.get(row.section, ("", ""))
    return f'{key} = "{value}"\n' if key and row.key not in (key, "url") else ""


def test_page_is_made_of_the_model():
    assert PAGE.read_text() == page(), "write it anew: python -m tests.config.settings_page"


def test_every_setting_that_loading_knows_has_its_row():
    known = set(load_settings(None, HOME).origins)
    assert known == {name for name in ROWS if not name.startswith(("servers[0]", "lanes.NAME", "tools.mcp.NAME"))}


def test_every_row_says_what_the_setting_means():
    for row in ROWS.values():
        assert row.meaning.endswith("."), row.name


@pytest.mark.parametrize("name", [name for name, row in ROWS.items() if row.example is not None])
def test_line_of_the_toml_column_can_be_loaded(tmp_path: Path, name: str):
    file = tmp_path / "corral.toml"
    file.write_text(in_file(ROWS[name]))
    assert load_settings(file, HOME).settings


@pytest.mark.parametrize("name", [name for name, row in ROWS.items() if row.variable and row.example is not None])
def test_variable_means_what_the_line_in_the_file_means(tmp_path: Path, name: str):
    row = ROWS[name]
    file = tmp_path / "corral.toml"
    file.write_text(in_file(row).replace("NAME", "name"))
    text = row.example if isinstance(row.example, str) else toml(row.example)
    if isinstance(row.example, dict):
        text = json.dumps(row.example)
    environ = {**HOME, row.variable: text}
    if needed(row):
        key, value = NEEDED[row.section]
        environ["CORRAL_" + f"{row.section}.{key}".replace(".", "__").upper()] = value
    settings = load_settings(file, HOME).settings
    told = load_settings(None, environ).settings
    paths = {"paths": told.paths.model_copy(update={"config": file})}
    assert told.model_copy(update=paths) == settings


@pytest.mark.parametrize("name", [name for name, row in ROWS.items() if isinstance(row.example, str | int | float)])
def test_name_of_the_first_column_can_be_set(tmp_path: Path, name: str):
    file = tmp_path / "corral.toml"
    beside = needed(ROWS[name]) if ROWS[name].section == "tools.mcp.NAME" else 'command = "c"\n'
    file.write_text(f'servers = ["gpu1"]\n[lanes.NAME]\nmodel = "m"\n[tools.mcp.NAME]\n{beside}')
    example = ROWS[name].example
    set_value(file, name, example if isinstance(example, str) else toml(example))


@pytest.mark.parametrize(("name", "verb"), [(name, verb) for name, (verbs, _) in FLAGS.items() for verb in verbs])
def test_flag_is_an_option_of_its_command(name: str, verb: str):
    options = {flag for argument in build_app()[verb].assemble_argument_collection() for flag in argument.names}
    assert FLAGS[name][1] in options


def test_common_flags_are_those_of_every_command():
    assert {name for name, (verbs, _) in FLAGS.items() if {"serve", "doctor", "run"} <= set(verbs)} == COMMON


def test_a_setting_without_a_meaning_would_be_noticed(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("tests.config.settings_page._docstrings", lambda group: {})
    with pytest.raises(KeyError):
        rows()
