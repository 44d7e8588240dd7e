"""The settings as a tree of names: which there are, what each can hold, and how text becomes its value.

Owns dotted names and the reading of one value from the environment, a flag or `corral config set`.
"""

from __future__ import annotations

import difflib
import json
import re
import tomllib
import types
from collections.abc import Iterator, Mapping, Sequence
from typing import TypeAlias, Union, cast, get_args, get_origin

from pydantic import BaseModel

from infrastructure.config.settings import ServerSettings, Settings

Name: TypeAlias = tuple[str, ...]
"""A setting's place: `("pool", "num_predict")`."""
RawValue: TypeAlias = "str | int | float | bool | Sequence[RawValue] | Mapping[str, RawValue] | None"
"""What a TOML file or JSON can say."""

_BARE = re.compile(r"[A-Za-z0-9_-]+")


class UnknownName(Exception):
    """No setting has this name; `suggestion` is the one probably meant, or empty."""

    def __init__(self, name: Name) -> None:
        self.name = name
        self.suggestion = suggestion(name)
        super().__init__(f"no setting {dotted(name)!r}")


class BadText(Exception):
    """The text is not what this setting holds."""

    def __init__(self, what: str, instead: str) -> None:
        self.what, self.instead = what, instead
        super().__init__(what)


def dotted(name: Name) -> str:
    """The name as TOML writes it: `lanes."qwen2.5:7b".num_ctx`."""
    return ".".join(key if _BARE.fullmatch(key) else json.dumps(key, ensure_ascii=False) for key in name)


def parse_name(text: str) -> Name:
    """The name that `dotted` wrote.

    Raises:
        UnknownName: it is no name at all.
    """
    if not text or any(sign in text for sign in "\n=#"):
        raise UnknownName((text,))
    try:
        level: object = tomllib.loads(f"{text} = 0")
    except tomllib.TOMLDecodeError:
        raise UnknownName((text,)) from None
    name: list[str] = []
    while isinstance(level, dict):
        key, level = next(iter(cast("dict[str, object]", level).items()))
        name.append(key)
    return tuple(name)


def annotation_of(name: Name) -> object:
    """The type a setting holds.

    Raises:
        UnknownName: there is no such setting.
    """
    found: object = Settings
    for key in name:
        below = child(found, key)
        if below is None:
            raise UnknownName(name)
        found = below
    return found


def child(annotation: object, key: str | int) -> object | None:
    """The type found under a key of this type; None when it has none."""
    for member in members(annotation):
        if isinstance(member, type) and issubclass(member, BaseModel):
            field = member.model_fields.get(str(key))
            return field.annotation if field else None
        if get_origin(member) is dict and isinstance(key, str):
            return get_args(member)[1]
        if get_origin(member) is tuple and isinstance(key, int):
            return get_args(member)[0]
    return None


def members(annotation: object) -> tuple[object, ...]:
    """What a union allows, without None; the type alone when it is no union."""
    if get_origin(annotation) in (Union, types.UnionType):
        return tuple(member for member in get_args(annotation) if member is not type(None))
    return (annotation,)


def is_table(annotation: object) -> bool:
    """Whether the setting is a group of others."""
    return any(
        get_origin(member) is dict or (isinstance(member, type) and issubclass(member, BaseModel))
        for member in members(annotation)
    )


def leaves(name: Name, value: RawValue, annotation: object) -> Iterator[tuple[Name, RawValue]]:
    """The single settings within a value; a key that does not exist is one of them, to be complained of later."""
    if isinstance(value, Mapping) and (annotation is None or is_table(annotation)):
        for key, below in cast("Mapping[str, RawValue]", value).items():
            yield from leaves((*name, key), below, child(annotation, key))
    else:
        yield name, value


def value_from_text(text: str, annotation: object) -> RawValue:
    """The value a text stands for: numbers and words as they are, lists by commas or as JSON, tables as JSON.

    Raises:
        BadText: it is not readable as that.
    """
    allowed = members(annotation)
    if any(get_origin(member) is tuple for member in allowed):
        return _list_from_text(text, child(annotation, 0))
    if is_table(annotation):
        return _json(text)
    if {int, float, bool} & {*allowed}:
        try:
            value = json.loads(text)
        except ValueError:
            return text
        return value if isinstance(value, int | float) else text
    return text


def suggestion(name: Name) -> str:
    """The setting that was probably meant, as a dotted name; empty when nothing comes near."""
    every = {dotted(known): known for known in _every(Settings, (), groups_of=len(name))}
    same_end = [text for text, known in every.items() if known[-1] == name[-1]]
    near = difflib.get_close_matches(dotted(name), every, n=1, cutoff=0.75)
    like_end = difflib.get_close_matches(name[-1], [known[-1] for known in every.values()], n=1, cutoff=0.75)
    by_end = [text for text, known in every.items() if like_end and known[-1] == like_end[0]]
    return next(iter([*near, *same_end, *by_end]), "")


def _list_from_text(text: str, item: object) -> RawValue:
    if text.lstrip().startswith(("[", "{")):
        return _json(text)
    parts = [part.strip() for part in text.split(",") if part.strip()]
    if item is ServerSettings:
        return [{"url": part} for part in parts]
    return [value_from_text(part, item) for part in parts]


def _json(text: str) -> RawValue:
    try:
        return cast("RawValue", json.loads(text))
    except ValueError as error:
        raise BadText(f"no JSON: {error}", 'JSON, such as {"name": "value"} or ["a", "b"]') from None


def _every(annotation: object, name: Name, groups_of: int) -> Iterator[Name]:
    """Every single setting, and the groups with names of so many keys.

    A dictionary counts as one setting, since nothing can be known of its keys.
    """
    if not (isinstance(annotation, type) and issubclass(annotation, BaseModel)):
        yield name
        return
    if len(name) == groups_of:
        yield name
    for key, field in annotation.model_fields.items():
        yield from _every(field.annotation, (*name, key), groups_of)
