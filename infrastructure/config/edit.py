"""Changing one setting in the configuration file: comments stay, and nothing wrong is ever written."""

from __future__ import annotations

import os
import tempfile
from collections.abc import MutableMapping
from pathlib import Path
from typing import cast

import tomlkit
from tomlkit.exceptions import TOMLKitError

from infrastructure.config.errors import ConfigError, Problem, no_such_setting
from infrastructure.config.fields import (
    BadText,
    Name,
    RawValue,
    UnknownName,
    annotation_of,
    dotted,
    parse_name,
    value_from_text,
)
from infrastructure.config.load import assignments_of, validate

NEW_FILE_MODE = 0o600
"""The file may hold tokens."""


def set_value(file: Path, name: str, text: str) -> None:
    """Set one setting in a file, made where it is missing.

    Args:
        file: the TOML file.
        name: the dotted name, such as `pool.num_predict` or `lanes."qwen2.5:7b".num_ctx`.
        text: the value, as the environment would have it.

    Raises:
        ConfigError: the name does not exist, the value is wrong, or the file is; it is left as it was.
    """
    origin = f"file {file}"
    try:
        place = parse_name(name)
        value = value_from_text(text, annotation_of(place))
    except UnknownName as error:
        raise ConfigError(no_such_setting(origin, dotted(error.name), error.suggestion)) from None
    except BadText as error:
        raise ConfigError(Problem(origin, name, error.what, error.instead)) from None
    try:
        before = file.read_text(encoding="utf-8") if file.exists() else ""
        after = _with_value(before, place, value, file)
        validate(assignments_of(after, file), {}, file)
        _replace(file.resolve(), after)
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(Problem(origin, name, f"the file cannot be changed ({error})")) from None


def _with_value(text: str, place: Name, value: RawValue, file: Path) -> str:
    try:
        document = tomlkit.parse(text)
    except TOMLKitError as error:
        raise ConfigError(Problem(f"file {file}", "", f"no valid TOML: {error}")) from None
    table = cast("MutableMapping[str, object]", document)
    for key in place[:-1]:
        if not isinstance(table.get(key), MutableMapping):
            table[key] = tomlkit.table()
        table = cast("MutableMapping[str, object]", table[key])
    table[place[-1]] = value
    return tomlkit.dumps(document)


def _replace(file: Path, text: str) -> None:
    """Write the whole file: after a crash it is the old one or the new. Its mode stays."""
    file.parent.mkdir(parents=True, exist_ok=True)
    mode = file.stat().st_mode & 0o777 if file.exists() else NEW_FILE_MODE
    descriptor, name = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}.")
    temporary = Path(name)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as written:
            os.fchmod(written.fileno(), mode)
            written.write(text)
            written.flush()
            os.fsync(written.fileno())
        temporary.replace(file)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
