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
Place: TypeAlias = tuple[str | int, ...]
"""The same, where it may be within one server: `("servers", 0, "token")`."""
RawValue: TypeAlias = "str | int | float | bool | Sequence[RawValue] | Mapping[str, RawValue] | None"
"""What a TOML file or JSON can say."""

_BARE = re.compile(r"[A-Za-z0-9_-]+")
_OF_A_SERVER = re.compile(r"servers\[(\d{1,4})\]\.(\w+)")


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


def parse_place(text: str) -> Place:
    """The place that a person names, `pool.num_predict` or `servers[0].token`.

    Raises:
        UnknownName: it is no name at all.
    """
    found = _OF_A_SERVER.fullmatch(text)
    return ("servers", int(found[1]), found[2]) if found else parse_name(text)


def value_at(settings: Settings, place: Place) -> object:
    """What settings have at a place; None where the place is within something that is not there."""
    found: object = settings
    for key in place:
        if isinstance(found, BaseModel):
            found = getattr(found, str(key), None)
        elif isinstance(found, dict):
            found = cast("dict[str, object]", found).get(str(key))
        elif isinstance(found, tuple) and isinstance(key, int) and key < len(cast("tuple[object, ...]", found)):
            found = cast("tuple[object, ...]", found)[key]
        else:
            return None
    return found


def annotation_of(name: Place) -> object:
    """The type a setting holds.

    Raises:
        UnknownName: there is no such setting.
    """
    found: object = Settings
    for key in name:
        below = child(found, key)
        if below is None:
            raise UnknownName(tuple(key for key in name if isinstance(key, str)))
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
    """The single settings within a value; a key that does not exist is one of them, to be complained of later.

    A table with nothing in it is one of them as well: what it lacks may be needed.
    """
    if isinstance(value, Mapping) and (value or not name) and (annotation is None or is_table(annotation)):
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
    """The setting that was probably meant, as a dotted name; empty when nothing comes near.

    What each server and each lane has is named `servers[0].token` and `lanes.NAME.num_ctx`. A single word may be the
    end of several names.
    """
    said = _plainly(name)
    every = {".".join(known): known[-1] for known in _every(Settings, (), groups_of=len(said))}
    end = said[-1]
    near = difflib.get_close_matches(".".join(said), every, n=1, cutoff=0.75)
    same_end = [text for text, known in every.items() if known == end]
    like_end = difflib.get_close_matches(end, every.values(), n=1, cutoff=0.75)
    by_end = [text for text, known in every.items() if like_end and known == like_end[0]]
    if len(said) == 1 and end not in every and same_end:
        return " or ".join(same_end[:3])
    exact = [text for text in near if text.rpartition(".")[2] == end]
    return next(iter([*exact, *same_end, *near, *by_end]), "")


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


def _plainly(name: Name) -> Name:
    """A name that was written as the environment has it, or with hyphens, as settings are written."""
    text = ".".join(name).lower().removeprefix("corral_").replace("__", ".").replace("-", "_")
    return tuple(text.split("."))


def _every(annotation: object, name: Name, groups_of: int) -> Iterator[Name]:
    """Every single setting, those of any one server or lane included, and the groups with names of so many keys."""
    if (group := _model(annotation)) is not None:
        if len(name) == groups_of and name:
            yield name
        for key, field in group.model_fields.items():
            yield from _every(field.annotation, (*name, key), groups_of)
        return
    yield name
    items: tuple[tuple[object, Name], ...] = (
        (child(annotation, 0), (*name[:-1], f"{name[-1]}[0]")),
        (child(annotation, "NAME"), (*name, "NAME")),
    )
    for item, place in items:
        if _model(item) is not None:
            yield from _every(item, place, groups_of=0)


def _model(annotation: object) -> type[BaseModel] | None:
    return annotation if isinstance(annotation, type) and issubclass(annotation, BaseModel) else None
