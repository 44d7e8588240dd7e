"""What pydantic found wrong, in words for a person: the setting, where it was set, what to write instead."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from infrastructure.config.errors import Problem, no_such_setting
from infrastructure.config.fields import Name, child, dotted, suggestion
from infrastructure.config.secrecy import is_secret
from infrastructure.config.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pydantic import ValidationError
    from pydantic_core import ErrorDetails

_SHOWN = 60
"""How much of a wrong value is shown."""

_INSTEAD: Final[Mapping[str, str]] = {
    "int_parsing": "a whole number",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_parsing": "a number",
    "float_type": "a number",
    "finite_number": "a finite number",
    "bool_parsing": "true or false",
    "bool_type": "true or false",
    "string_type": "a text in quotes",
    "path_type": "a path in quotes",
    "tuple_type": "a list in brackets",
    "dict_type": "a table",
    "model_type": "a table",
}
_INSTEAD_OF_LIMIT: Final[Mapping[str, Callable[[Mapping[str, object]], str]]] = {
    "greater_than": lambda limits: f"more than {limits['gt']}",
    "greater_than_equal": lambda limits: f"{limits['ge']} or more",
    "less_than": lambda limits: f"less than {limits['lt']}",
    "less_than_equal": lambda limits: f"{limits['le']} or less",
    "literal_error": lambda limits: f"one of {limits['expected']}",
    "too_short": lambda limits: f"at least {limits['min_length']} characters",
}


def problems_of(error: ValidationError, origins: Mapping[Name, str]) -> list[Problem]:
    """One problem for each setting that is wrong, in the order of the settings."""
    found: dict[str, Problem] = {}
    for details in error.errors(include_url=False):
        unknown = details["type"] == "extra_forbidden"
        name, place = _place(details["loc"], unknown)
        origin = _origin(name, origins)
        if unknown:
            problem = no_such_setting(origin, place, suggestion(name))
        else:
            problem = Problem(origin, place, *_words(details, name))
        found.setdefault(place, problem)
    return list(found.values())


def _place(location: tuple[int | str, ...], unknown: bool) -> tuple[Name, str]:
    """The name of the setting at pydantic's location, and as people write it, `servers[0].url`.

    A location ends with the names of union branches; those are cut off.
    """
    annotation: object = Settings
    name: list[str] = []
    text = ""
    for step, key in enumerate(location):
        below = child(annotation, key)
        if below is None and not (unknown and step == len(location) - 1):
            break
        annotation = below
        if isinstance(key, int):
            text += f"[{key}]"
        else:
            name.append(key)
            text += ("." if text else "") + dotted((key,))
    return tuple(name), text


def _origin(name: Name, origins: Mapping[Name, str]) -> str:
    for length in range(len(name), 0, -1):
        if name[:length] in origins:
            return origins[name[:length]]
    for length in range(len(name), 0, -1):  # what is missing was set nowhere: whoever set something beside it
        for place, origin in origins.items():
            if place[:length] == name[:length]:
                return origin
    return "default"


def _words(details: ErrorDetails, name: Name) -> tuple[str, str]:
    """What is wrong, and what to write instead."""
    if details["type"] == "missing":
        return "it is missing", f"{name[-1]} = …"
    if details["type"] == "value_error":  # of our own validators: they say both
        return details["msg"].removeprefix("Value error, "), ""
    limit = _INSTEAD_OF_LIMIT.get(details["type"])
    instead = limit(details.get("ctx", {})) if limit else _INSTEAD.get(details["type"], "")
    shown = "what is written" if is_secret(name) else _short(details["input"])
    return (f"{shown} is not accepted", instead) if instead else (details["msg"], "")


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
