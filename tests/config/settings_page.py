"""docs/settings.md, made of the settings' own model: `python -m tests.config.settings_page` writes it anew.

A meaning is the docstring below a field, a unit its `Unit`, a range its bounds, and when a change holds is
`infrastructure.config.holding`'s to say. What stands above the first heading is
written by hand in the page, and stays.
"""

from __future__ import annotations

import ast
import inspect
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Literal, cast, get_args, get_origin

from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from infrastructure.config import settings as model
from infrastructure.config.fields import members
from infrastructure.config.holding import HOLDS
from infrastructure.config.settings import LaneSettings, McpServerSettings, ServerSettings, Settings, Unit

PAGE = Path(__file__).parents[2] / "docs" / "settings.md"

FLAGS: Mapping[str, tuple[tuple[str, ...], str]] = {
    "servers": (("run", "batch", "serve", "doctor"), "--server"),
    "model": (("run", "batch"), "--model"),
    "run.candidates": (("run", "batch"), "--candidates"),
    "run.approve": (("run",), "--approve"),
    "sandbox.level": (("run", "resume", "batch"), "--sandbox"),
    "paths.data": (("run", "batch", "serve", "doctor"), "--data"),
    "paths.config": (("run", "batch", "serve", "doctor"), "--config"),
    "serve.host": (("serve",), "--host"),
    "serve.port": (("serve",), "--port"),
    "serve.password": (("serve",), "--password-file"),
}
"""Which commands take a setting as an option; where it is a common option, some that do."""
COMMON = {"servers", "paths.data", "paths.config"}
EXAMPLES: Mapping[str, object] = {
    "servers": ["gpu1", "https://gpu2.lan"],
    "servers[0].url": "https://gpu2.lan",
    "servers[0].name": "gpu2",
    "servers[0].token": "…",
    "servers[0].username": "corral",
    "servers[0].password": "…",
    "servers[0].ca_file": "/etc/ssl/lan-ca.pem",
    "model": "coder",
    "roles": {"planner": "qwen3:8b"},
    "lanes": {"coder": {"model": "qwen2.5-coder:14b"}},
    "lanes.NAME.model": "qwen2.5-coder:14b",
    "lanes.NAME.num_ctx": 32768,
    "lanes.NAME.num_batch": 512,
    "lanes.NAME.num_gpu": 99,
    "lanes.NAME.main_gpu": 0,
    "lanes.NAME.num_thread": 8,
    "lanes.NAME.use_mmap": True,
    "lanes.NAME.draft_num_predict": 8,
    "lanes.NAME.shift": False,
    "lanes.NAME.keep_alive": "30m",
    "run.approve": ["plan", "patch"],
    "sandbox.read": ["~/lib"],
    "sandbox.at_once": 4,
    "tools.mcp": {"github": {"command": "github-mcp-server"}},
    "tools.mcp.NAME.command": "github-mcp-server",
    "tools.mcp.NAME.args": ["stdio"],
    "tools.mcp.NAME.env": {"GITHUB_TOKEN": "…"},
    "tools.mcp.NAME.url": "http://127.0.0.1:9000/mcp",
    "paths.data": "~/corral",
    "serve.password": "at least eight",
    "serve.hosts": ["gpu1.lan"],
}
"""What stands in the TOML column where the default says too little."""
_HIDDEN_DEFAULTS = {
    "paths.data": "`~/.local/share/corral`",
    "paths.config": "`~/.config/corral/corral.toml`",
    "lanes.NAME.model": "must be given",
}

_INTROS: Mapping[str, str] = {
    "": "Before any `[table]` of the file.",
    "servers[0]": (
        "One table for each server. `servers[0]` is the first one, `servers[1]` the next. The environment names them\n"
        "all together, in `CORRAL_SERVERS`: by commas, or as a JSON list of tables."
    ),
    "lanes.NAME": (
        "A lane is a model with the options that decide whether a server must load it anew. Only what is set here is\n"
        "sent: fewer is better. NAME is yours; one with other signs than letters, digits, `_` and `-` is quoted, as\n"
        'in `lanes."qwen2.5:7b".num_ctx`. The environment has it in lower case.'
    ),
    "tools.mcp.NAME": (
        "A server that speaks MCP, the Model Context Protocol; its tools are named `NAME__TOOL`. It needs the extra\n"
        "`corral[mcp]`, and runs with your rights, outside the sandbox. Either `command` or `url` is set. The\n"
        "environment has NAME in lower case."
    ),
}
_KINDS: Mapping[object, str] = {
    str: "a text",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    Path: "a path",
    SecretStr: "a secret",
}
_HEADINGS = {
    "": "At the top",
    "servers[0]": "`[[servers]]`",
    "lanes.NAME": "`[lanes.NAME]`",
    "tools.mcp.NAME": "`[tools.mcp.NAME]`",
}


@dataclass(frozen=True)
class Row:
    """One setting."""

    section: str
    key: str
    field: FieldInfo
    meaning: str

    @property
    def name(self) -> str:
        return f"{self.section}.{self.key}" if self.section else self.key

    @property
    def variable(self) -> str:
        """Empty where it has none of its own."""
        if self.name == "paths.config":
            return "CORRAL_CONFIG"
        if self.section == "servers[0]":
            return ""
        return "CORRAL_" + self.name.replace(".", "__").upper()

    @property
    def default(self) -> object:
        return None if self.field.default is PydanticUndefined else self.field.default

    @property
    def example(self) -> object:
        """What the TOML column shows; None where the setting cannot stand in the file."""
        return None if self.name == "paths.config" else EXAMPLES.get(self.name, self.default)


def rows() -> list[Row]:
    """All settings, in the order of the page."""
    top = [row for row in _rows(Settings, "") if row.section == ""]
    rest = [row for row in _rows(Settings, "") if row.section != ""]
    after = next(number for number, row in enumerate(rest, 1) if row.name == "tools.mcp")
    rest[after:after] = _rows(McpServerSettings, "tools.mcp.NAME")
    return [*top, *_rows(ServerSettings, "servers[0]"), *_rows(LaneSettings, "lanes.NAME"), *rest]


def page() -> str:
    """The whole page."""
    parts = [PAGE.read_text(encoding="utf-8").partition("\n## ")[0]]
    sections: dict[str, list[Row]] = {}
    for row in rows():
        sections.setdefault(row.section, []).append(row)
    for section, listed in sections.items():
        parts.append(f"## {_HEADINGS.get(section, f'`[{section}]`')}\n")
        parts.append(f"{_INTROS.get(section) or _about(section)}\n")
        parts.append("| Name | TOML | Environment | Flag | Default | Unit and range | Meaning | A change holds |")
        parts.append("|---|---|---|---|---|---|---|---|")
        parts += [_line(row) for row in listed]
        parts.append("")
    return "\n".join(parts)


def toml(value: object) -> str:
    """A value as TOML writes it."""
    if isinstance(value, Mapping):
        items = cast("Mapping[str, object]", value).items()
        return "{ " + ", ".join(f"{key} = {toml(each)}" for key, each in items) + " }"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(toml(each) for each in cast("list[object]", value)) + "]"
    return json.dumps(value, ensure_ascii=False)


def _rows(group: type[BaseModel], section: str) -> Iterator[Row]:
    told = _docstrings(group)
    for key, field in group.model_fields.items():
        below = next((each for each in members(field.annotation) if _is_group(each)), None)
        if below is None:
            yield Row(section, key, field, told[key])
        else:
            yield from _rows(cast("type[BaseModel]", below), f"{section}.{key}" if section else key)


def _is_group(annotation: object) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)


def _docstrings(group: type[BaseModel]) -> dict[str, str]:
    """The docstring below each field that has one."""
    classes = [each for each in ast.parse(inspect.getsource(model)).body if isinstance(each, ast.ClassDef)]
    body = next(each.body for each in classes if each.name == group.__name__)
    found: dict[str, str] = {}
    for field, said in pairwise(body):
        if (
            isinstance(field, ast.AnnAssign)
            and isinstance(field.target, ast.Name)
            and isinstance(said, ast.Expr)
            and isinstance(said.value, ast.Constant)
        ):
            found[field.target.id] = " ".join(str(said.value.value).split())
    return found


def _about(section: str) -> str:
    group: type[BaseModel] = Settings
    for key in section.split("."):
        group = cast("type[BaseModel]", group.model_fields[key].annotation)
    return " ".join(str(group.__doc__).split())


def _line(row: Row) -> str:
    flag = ""
    if row.name in FLAGS:
        verbs, option = FLAGS[row.name]
        flag = f"`{option}`" if row.name in COMMON else f"`{option}` of {', '.join(f'`{verb}`' for verb in verbs)}"
    cells = [
        f"`{row.name}`",
        "" if row.example is None else f"`{row.key} = {toml(row.example)}`",
        f"`{row.variable}`" if row.variable else "",
        flag,
        _default(row),
        _holds(row.field),
        row.meaning,
        HOLDS[row.name],
    ]
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _default(row: Row) -> str:
    if row.name in _HIDDEN_DEFAULTS:
        return _HIDDEN_DEFAULTS[row.name]
    empty = row.default is None or row.default in ((), {}, "")
    return "unset" if empty else f"`{toml(row.default)}`"


def _holds(field: FieldInfo) -> str:
    """What kind of value, in which unit, and within which bounds."""
    units = [each.name for each in field.metadata if isinstance(each, Unit)]
    bounds = _bounds(field)
    kinds = [_kind(each) for each in members(field.annotation)]
    if units or bounds:  # which tell that it is a number
        kinds = [kind for kind in kinds if not kind.endswith("number")]
    return ", ".join(filter(None, (" or ".join([*units, *kinds]), *bounds)))


def _bounds(field: FieldInfo) -> list[str]:
    return [
        word.format(getattr(each, sign))
        for each in field.metadata
        for sign, word in (("gt", "more than {:g}"), ("ge", "{:,} or more"), ("le", "at most {:,}"))
        if getattr(each, sign, None) is not None
    ]


def _kind(annotation: object) -> str:
    if get_origin(annotation) is Annotated:  # one member of a union, with bounds of its own
        kind, field = get_args(annotation)
        return ", ".join([_kind(kind), *_bounds(field)])
    if get_origin(annotation) is Literal:
        values = [f"`{value}`" for value in get_args(annotation)]
        return values[0] if len(values) == 1 else "one of " + ", ".join(values)
    if get_origin(annotation) is tuple:
        inside = get_args(annotation)[0]
        kind = "a table" if _is_group(inside) else _kind(inside)
        return (
            f"a list of {kind.removeprefix('a ')}s"
            if kind.startswith("a ")
            else f"a list: any {kind.partition(' ')[2]}"
        )
    if get_origin(annotation) is dict:
        return "a table"
    return _KINDS[annotation]


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
