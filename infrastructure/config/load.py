"""Settings from a file, the environment and flags, each over the one before, with where each value came from.

Owns the order, the reading of `CORRAL_…` names, and the words for what is wrong. The environment is handed in, never
looked up, so that tests and the demo see none of the user's.
"""

from __future__ import annotations

import re
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, cast

from platformdirs import user_config_path, user_data_path
from pydantic import BaseModel, ValidationError

from infrastructure.config.complaints import problems_of
from infrastructure.config.errors import ConfigError, Problem, no_such_setting, unreadable
from infrastructure.config.fields import (
    BadText,
    Name,
    RawValue,
    UnknownName,
    annotation_of,
    dotted,
    leaves,
    parse_name,
    value_from_text,
)
from infrastructure.config.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

PREFIX = "CORRAL_"
ENCODING = "utf-8-sig"
"""Of the file: some editors begin UTF-8 with a mark, which TOML does not know."""
_NOT_SETTINGS = re.compile(
    r"CORRAL_(CONFIG|CORE|COMPILE|DEBUG|HUMANEVAL|TEST_.*"
    r"|SERVICE_(HOST|PORT.*)|PORT|PORT_\d+_.*)"  # Kubernetes sets these for a service named corral
)
EVENT_DRIVEN = "USE_EVENT_DRIVEN_PERSISTENCE"
"""Another name, in the environment, for one value of `sessions.persistence`; counts where nothing else says one."""
_PERSISTENCE = ("sessions", "persistence")
_PLACE = ("paths", "config")
_NO = {"", "0", "false", "no", "off"}


@dataclass(frozen=True, slots=True)
class Loaded:
    """Settings, and where each came from: "default", "file PATH", "environment NAME" or "flag", by dotted name."""

    settings: Settings
    origins: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Assignment:
    """One setting given a value somewhere."""

    name: Name
    value: RawValue
    origin: str


def default_config_file(environ: Mapping[str, str]) -> Path:
    """Where the configuration file is, or would be: CORRAL_CONFIG, else the user's configuration folder."""
    named = environ.get("CORRAL_CONFIG")
    if named:
        return _expand(named, environ)
    return _user_folder(environ, "XDG_CONFIG_HOME", ".config", user_config_path) / "corral.toml"


def load_settings(
    config_file: Path | None, environ: Mapping[str, str], flags: Mapping[str, object] | None = None
) -> Loaded:
    """Read all settings.

    Args:
        config_file: the TOML file; None reads none. It must exist, unless it is the default place.
        environ: the environment. Empty values count as unset. OLLAMA_HOST names the server when nothing else does,
            and USE_EVENT_DRIVEN_PERSISTENCE=1 the persistence of sessions.
        flags: values by dotted name; None counts as not given. A text is read like one of the environment.

    Raises:
        ConfigError: a file cannot be read, a name does not exist, or a value is wrong.
    """
    given = [
        *_from_file(config_file, environ),
        *_from_environment(environ),
        *_from_flags(flags or {}),
    ]
    if not any(assignment.name[0] == "servers" for assignment in given) and environ.get("OLLAMA_HOST", "").strip():
        given.append(Assignment(("servers",), [{"url": environ["OLLAMA_HOST"]}], "environment OLLAMA_HOST"))
    if _event_driven(environ) and not any(assignment.name == _PERSISTENCE for assignment in given):
        given.append(Assignment(_PERSISTENCE, "event_driven", f"environment {EVENT_DRIVEN}"))
    settings = validate(given, environ, config_file)
    origins = {assignment.name: assignment.origin for assignment in given}
    named = {dotted(name): origins.get(name, "default") for name in _names(settings, ())}
    return Loaded(settings, MappingProxyType(named))


def assignments_of(text: str, file: Path) -> list[Assignment]:
    """The settings a TOML text makes.

    Raises:
        ConfigError: it is no TOML.
    """
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(unreadable(file, f"no valid TOML: {error}", 'lines like  model = "qwen3:8b"')) from None
    return [Assignment(name, value, f"file {file}") for name, value in leaves((), table, Settings)]


def validate(given: list[Assignment], environ: Mapping[str, str], file: Path | None) -> Settings:
    """Settings made of assignments, a later one over an earlier.

    Raises:
        ConfigError: with everything that is wrong.
    """
    places: dict[str, RawValue] = {"data": str(_user_folder(environ, "XDG_DATA_HOME", ".local/share", user_data_path))}
    tree: dict[str, RawValue] = {"paths": places}
    if file is not None:
        places["config"] = str(file)
    misplaced = [_not_here(assignment) for assignment in given if assignment.name == _PLACE]
    for assignment in given:
        if assignment.name == _PLACE:
            continue
        _put(tree, assignment.name, _expanded(assignment.value, environ))
    servers = tree.get("servers")
    if isinstance(servers, list):
        tree["servers"] = [{"url": server} if isinstance(server, str) else server for server in servers]
    try:
        settings = Settings.model_validate(tree)
    except ValidationError as error:
        origins = {assignment.name: assignment.origin for assignment in given}
        raise ConfigError(*misplaced, *problems_of(error, origins)) from None
    if misplaced:
        raise ConfigError(*misplaced)
    return settings


def _from_file(file: Path | None, environ: Mapping[str, str]) -> list[Assignment]:
    if file is None:
        return []
    try:
        return assignments_of(file.read_text(encoding=ENCODING), file)
    except FileNotFoundError:
        if file == default_config_file(environ) and not environ.get("CORRAL_CONFIG"):
            return []
        made = "Name another one, or `corral config set NAME VALUE` with the same --config or CORRAL_CONFIG makes it."
        raise ConfigError(Problem(f"file {file}", "", "there is no such file", "the path of one", mend=made)) from None
    except OSError as error:
        said = f"it cannot be read ({error.strerror})"
        raise ConfigError(
            Problem(f"file {file}", "", said, mend=f"See to it that {file} is a file you can read.")
        ) from None
    except UnicodeDecodeError as error:
        raise ConfigError(unreadable(file, f"it is no UTF-8 ({error.reason})")) from None


def _from_environment(environ: Mapping[str, str]) -> Iterator[Assignment]:
    for variable in sorted(environ):
        text = environ[variable]
        if not variable.startswith(PREFIX) or not text.strip() or _NOT_SETTINGS.fullmatch(variable):
            continue
        name = tuple(key.lower() for key in variable.removeprefix(PREFIX).split("__"))
        yield from _read(name, text, f"environment {variable}")


def _event_driven(environ: Mapping[str, str]) -> bool:
    return environ.get(EVENT_DRIVEN, "").strip().lower() not in _NO


def _from_flags(flags: Mapping[str, object]) -> Iterator[Assignment]:
    for text, value in flags.items():
        if value is None:
            continue
        try:
            name = parse_name(text)
        except UnknownName as error:
            raise ConfigError(no_such_setting("flag", dotted(error.name), error.suggestion)) from None
        yield from _read(name, cast("RawValue", value), "flag")


def _read(name: Name, value: RawValue, origin: str) -> Iterator[Assignment]:
    try:
        annotation = annotation_of(name)
        if isinstance(value, str):
            value = value_from_text(value, annotation)
    except UnknownName as error:
        raise ConfigError(no_such_setting(origin, dotted(name), error.suggestion)) from None
    except BadText as error:
        raise ConfigError(Problem(origin, dotted(name), error.what, error.instead)) from None
    for leaf, below in leaves(name, value, annotation):
        yield Assignment(leaf, below, origin)


def _not_here(assignment: Assignment) -> Problem:
    told = "the place of the settings file cannot be a setting of it"
    return Problem(assignment.origin, dotted(assignment.name), told, "--config FILE, or CORRAL_CONFIG=FILE")


def _put(tree: dict[str, RawValue], name: Name, value: RawValue) -> None:
    for key in name[:-1]:
        below = tree.get(key)
        if not isinstance(below, dict):
            below = tree[key] = {}
        tree = below
    if value == {} and isinstance(tree.get(name[-1]), dict):
        return  # an empty table takes nothing away
    tree[name[-1]] = value


def _names(value: object, name: Name) -> Iterator[Name]:
    """Every single setting of settings, as `leaves` cuts them."""
    if isinstance(value, BaseModel):
        for key in type(value).model_fields:
            yield from _names(getattr(value, key), (*name, key))
    elif isinstance(value, dict) and value:
        for key, below in cast("dict[str, object]", value).items():
            yield from _names(below, (*name, key))
    else:
        yield name


def _expanded(value: RawValue, environ: Mapping[str, str]) -> RawValue:
    """The value with `~/` at the start of a text made the home folder; no setting but a path begins so."""
    if isinstance(value, str):
        return str(_expand(value, environ)) if value.startswith("~/") else value
    if isinstance(value, list):
        return [_expanded(item, environ) for item in value]
    return value


def _expand(text: str, environ: Mapping[str, str]) -> Path:
    return _home(environ) / text[2:] if text.startswith("~/") else Path(text)


def _home(environ: Mapping[str, str]) -> Path:
    return Path(environ["HOME"]) if environ.get("HOME") else Path.home()


def _user_folder(environ: Mapping[str, str], variable: str, below_home: str, otherwise: Callable[[str], Path]) -> Path:
    """The user's folder by the XDG rules, of the environment that was handed in."""
    if Path(environ.get(variable, "")).is_absolute():
        return Path(environ[variable]) / "corral"
    if sys.platform == "linux" and environ.get("HOME"):
        return Path(environ["HOME"]) / below_home / "corral"
    return otherwise("corral")
