"""Changing one setting in the configuration file: comments stay, and nothing wrong is ever written.

Owns the file's mode too: one that holds a secret is its owner's alone.
"""

from __future__ import annotations

import fcntl
import os
import re
import tempfile
from collections.abc import Callable, Generator, MutableMapping, MutableSequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from itertools import pairwise, takewhile
from pathlib import Path
from typing import cast

import tomlkit
from pydantic import SecretStr
from tomlkit.exceptions import TOMLKitError

from infrastructure.config.errors import ConfigError, Problem, no_such_setting, unreadable
from infrastructure.config.fields import (
    BadText,
    Place,
    RawValue,
    UnknownName,
    annotation_of,
    dotted,
    parse_place,
    value_at,
    value_from_text,
)
from infrastructure.config.load import ENCODING, Assignment, assignments_of, validate
from infrastructure.config.secrecy import holds_secret, is_secret
from infrastructure.config.settings import Settings

OWNERS_ALONE = 0o600
"""Of a new file, and the widest of one that holds a secret."""


@dataclass(frozen=True, slots=True)
class Written:
    """What the file has now.

    Attributes:
        value: The setting's value by the file alone.
        narrowed: Whether others could read the file before, and now cannot.
    """

    value: object
    narrowed: bool

    @property
    def secret(self) -> bool:
        """Whether the value must not be shown."""
        return holds_secret(self.value)


def set_value(file: Path, name: str, text: str) -> Written:
    """Set one setting in a file, made where it is missing, its folder too.

    Args:
        file: the TOML file.
        name: the dotted name, such as `pool.num_predict`, `lanes."qwen2.5:7b".num_ctx` or `servers[0].token`.
        text: the value, as the environment would have it.

    What else is wrong in the file stays as it is, and is no reason to refuse this.

    Raises:
        ConfigError: the name does not exist, the value is wrong, or the file is no TOML; it is left as it was.
    """
    place = _place_of(name)
    try:
        value = value_from_text(text, annotation_of(place))
    except BadText as error:
        raise ConfigError(Problem("", name, error.what, error.instead)) from None
    return _changed(file, name, place, value, lambda before: _with_value(before, place, value, file))


def unset_value(file: Path, name: str) -> Written:
    """Take one setting out of a file, so that its default rules; or what stands there and is no setting.

    Raises:
        ConfigError: the file does not set it, or what it is goes wrong without it; it is left as it was.
    """
    try:
        place = parse_place(name)
    except UnknownName:
        place = _place_of(name)  # says what was meant

    def without(before: str) -> str:
        try:
            return _without(before, place, name, file)
        except ConfigError:
            _place_of(name)
            raise

    return _changed(file, name, place, None, without)


def _place_of(name: str) -> Place:
    try:
        place = parse_place(name)
        annotation_of(place)
    except UnknownName as error:
        raise ConfigError(no_such_setting("", _as_typed(name, error), error.suggestion)) from None
    return place


def _as_typed(name: str, error: UnknownName) -> str:
    return name if name.isprintable() else dotted(error.name)


def _changed(file: Path, name: str, place: Place, value: RawValue, change: Callable[[str], str]) -> Written:
    target = file.resolve()
    try:
        if not target.parent.exists():
            _validated("", change(""), place, file)  # what is wrong makes no folder
            target.parent.mkdir(parents=True, exist_ok=True)
        with _alone(target.parent):
            before = target.read_text(encoding=ENCODING) if target.exists() else ""
            after = change(before)
            settings = _validated(before, after, place, file)
            secret = _may_be_secret(place) if settings is None else holds_secret(settings)
            narrowed = _replace(target, after, private=secret)
    except UnicodeDecodeError as error:
        raise ConfigError(unreadable(file, f"it is no UTF-8 ({error.reason})")) from None
    except OSError as error:
        mend = f"See to it that {file} is a file you can write."
        raise ConfigError(
            Problem(f"file {file}", name, f"the file cannot be changed ({error.strerror})", mend=mend)
        ) from None
    if settings is None:  # the value as it was written, since nothing can be read back
        return Written(SecretStr(str(value)) if secret and value is not None else value, narrowed)
    return Written(value_at(settings, place), narrowed)


@contextmanager
def _alone(folder: Path) -> Generator[None]:
    """One change at a time, of all processes: the folder is locked, as the file itself is replaced.

    Some file systems of a network lock no folders; there the last of two changes at once holds.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _validated(before: str, after: str, place: Place, file: Path) -> Settings | None:
    """The settings the file will make, or those of what is changed alone where the rest was wrong before.

    None where that cannot be read by itself. What is wrong at the place itself was not written by the file.
    """
    given = assignments_of(after, file)
    problems = _problems(given, file)
    shown, known = _shown(place), _problems(assignments_of(before, file), file)
    here = [each for each in problems if re.match(rf"{re.escape(shown)}($|[.\[])", each.name)]
    if wrong := here + [each for each in problems if each not in known and each not in here]:
        raise ConfigError(
            *(replace(each, origin="") if each in here and each.origin.startswith("file ") else each for each in wrong)
        )
    keys = tuple(takewhile(lambda key: isinstance(key, str), place))
    for length in (0, len(keys), 1):
        some = [each for each in given if each.name[:length] == keys[:length]]
        if not _problems(some, file):
            return validate(some, {}, file)
    return None


def _problems(given: list[Assignment], file: Path) -> tuple[Problem, ...]:
    try:
        validate(given, {}, file)
    except ConfigError as error:
        return error.problems
    return ()


def _may_be_secret(place: Place) -> bool:
    return is_secret(tuple(key for key in place if isinstance(key, str)))


def _shown(place: Place) -> str:
    """The place as problems name it."""
    keys = [f"[{key}]" if isinstance(key, int) else f".{dotted((key,))}" for key in place]
    return "".join(keys).removeprefix(".")


def _with_value(text: str, place: Place, value: RawValue, file: Path) -> str:
    document = _parsed(text, file)
    table: object = document
    for key, below in pairwise(place):
        table = _server(table, key, file) if isinstance(key, int) else _below(table, key, made=isinstance(below, str))
    cast("MutableMapping[str, object]", table)[str(place[-1])] = value
    return tomlkit.dumps(document)


def _without(text: str, place: Place, name: str, file: Path) -> str:
    document = _parsed(text, file)
    *above, last = place
    table: object = document
    for key in above:
        table = _server(table, key, file) if isinstance(key, int) else _below(table, key, made=False)
    if not isinstance(table, MutableMapping) or last not in table:
        raise ConfigError(Problem(f"file {file}", name, "the file does not set it"))
    del cast("MutableMapping[str, object]", table)[str(last)]
    return tomlkit.dumps(document)


def _parsed(text: str, file: Path) -> tomlkit.TOMLDocument:
    try:
        return tomlkit.parse(text)
    except TOMLKitError as error:
        raise ConfigError(unreadable(file, f"no valid TOML: {error}")) from None


def _below(table: object, key: str, *, made: bool) -> object:
    """What a table has under a key; where that is no table, one is put in its place if it may be made."""
    if not isinstance(table, MutableMapping):
        return None
    keyed = cast("MutableMapping[str, object]", table)
    if made and not isinstance(keyed.get(key), MutableMapping):
        keyed[key] = tomlkit.table()
    return keyed.get(key)


def _server(listed: object, number: int, file: Path) -> object:
    """The table of one server; a plain address becomes one."""
    if not isinstance(listed, MutableSequence) or number >= len(cast("MutableSequence[object]", listed)):
        raise ConfigError(Problem(f"file {file}", f"servers[{number}]", "the file names no such server"))
    servers = cast("MutableSequence[object]", listed)
    if isinstance(servers[number], str):
        table = tomlkit.inline_table()
        table["url"] = servers[number]
        servers[number] = table
    return servers[number]


def _replace(file: Path, text: str, *, private: bool) -> bool:
    """Write the whole file: after a crash it is the old one or the new. Its mode stays, but for the eyes of others.

    Returns:
        Whether the mode was narrowed.
    """
    before = file.stat().st_mode & 0o777 if file.exists() else OWNERS_ALONE
    mode = before & OWNERS_ALONE if private else before
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
    return mode != before
