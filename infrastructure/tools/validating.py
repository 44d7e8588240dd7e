"""Checking a value by a JSON schema of a stranger, so that the check comes to an end.

Owns how much a check may do. A schema whose definitions point at one another twice each doubles its work with every one
of them, and none of its single steps takes long: so each step is counted, with the size of what it goes through and of
what it says, and a check that goes beyond its budget is given up. What can take for ever in one step is passed over
(`pattern`, `uniqueItems`), as is what looks at schemas without steps of its own (`unevaluatedProperties`,
`unevaluatedItems`): whoever does the call checks those. A schema inside another cannot name a version of JSON schema
that has them again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextvars import ContextVar
from typing import Protocol, cast

from jsonschema import validators
from referencing import Registry

from agents.model import JsonObject

MOST_STEPS = 30_000
"""Of one check: 0.1 to 0.3 s where all of it is used. A list of 8,000 numbers takes about 16,000, and one of a hundred
things of ten kinds (`anyOf`) 10,500."""
MOST_SCHEMA_STEPS = 40_000
"""Of the check of a schema itself. 500 arguments take some 25,000, ten take 600."""
_STEP_CHARACTERS = 256
"""Characters that are gone through, or said, and count as one step more."""
_NAME_CHARACTERS = 16
"""As what a name counts that is looked up."""
_WALKS = frozenset({"additionalProperties"})
"""What goes through the names of a value by itself; others go through it by schemas inside them, which are counted."""
_PASSED_OVER = frozenset({"pattern", "uniqueItems", "unevaluatedProperties", "unevaluatedItems"})


class TooMuch(Exception):
    """The check was given up: it would take more steps than it may."""


class Problem(Protocol):
    """What jsonschema finds wrong."""

    @property
    def message(self) -> str:
        """What, with the value."""
        ...

    @property
    def json_path(self) -> str:
        """Where, beginning with `$`."""
        ...


class Checker:
    """Checks values by one schema, which has references only within itself and no `$id` inside.

    Args:
        schema: It.
        named: Whether its own `$id` is believed.
    """

    def __init__(self, schema: JsonObject, *, named: bool = False) -> None:
        own = {name: value for name, value in schema.items() if named or name != "$id"}
        self._validator = _KIND(schema=own, registry=_NOTHING)
        self._sizes: dict[int, int] = {}
        _measure(own, self._sizes)

    def problem(self, value: object, most: int = MOST_STEPS) -> Problem | None:
        """The first thing that is wrong with a value; None where nothing is.

        Raises:
            TooMuch: It was not found out.
            Exception: The schema is none in a part that this value leads to; jsonschema says it in many ways.
        """
        token = _BUDGET.set(_Budget(most, self._sizes))
        try:
            return next(self._validator.iter_errors(value), None)
        finally:
            _BUDGET.reset(token)


def schema_problem(schema: JsonObject) -> Problem | None:
    """What is wrong with a schema itself. Its patterns are not tried: compiling one can take minutes."""
    return _SCHEMAS.problem(schema, MOST_SCHEMA_STEPS)


# ---------------------------------------------------------------------------------------------------- counting
class _Budget:
    """The steps that a check has left, and the sizes of the parts of its schema, by identity."""

    def __init__(self, left: int, sizes: Mapping[int, int]) -> None:
        self._left, self._sizes = left, sizes
        self._last: Problem | None = None

    def take(self, characters: int = 0, part: object = None) -> None:
        """One step, and more for what it looks at. Raises TooMuch."""
        self._left -= 1 + (characters + self._sizes.get(id(part), 0)) // _STEP_CHARACTERS
        if self._left < 0:
            raise TooMuch

    def said(self, problem: Problem) -> None:
        """A problem was put into words, or is handed on by the keywords around the one that did. Raises TooMuch."""
        if problem is not self._last:
            self._last = problem
            self.take(len(problem.message))


_BUDGET: ContextVar[_Budget] = ContextVar("_BUDGET")


def _measure(value: object, sizes: dict[int, int]) -> int:
    """About how many characters a value has as JSON; of those that are worth it and of what holds them, noted."""
    size = 4
    if isinstance(value, str):
        size = len(value)
    elif isinstance(value, int):
        size = value.bit_length() // 3
    elif isinstance(value, Mapping):
        parts = cast("Mapping[str, object]", value).items()
        size = sum(4 + len(name) + _measure(each, sizes) for name, each in parts)
    elif isinstance(value, list | tuple):
        size = sum(2 + _measure(each, sizes) for each in cast("Sequence[object]", value))
    if size >= _STEP_CHARACTERS:
        sizes[id(cast("object", value))] = size
    return size


# -------------------------------------------------------------------------------------------------- the library
_Keyword = Callable[["_Validator", object, object, object], "Iterable[Problem] | None"]


class _Validator(Protocol):
    """A kind of schema, and a checker by one of that kind; the library has no types of its own."""

    VALIDATORS: Mapping[str, _Keyword]
    META_SCHEMA: JsonObject
    evolve: Callable[..., _Validator]

    def __call__(self, **given: object) -> _Validator: ...
    def iter_errors(self, instance: object) -> Iterator[Problem]: ...


class _Validators(Protocol):
    Draft202012Validator: _Validator

    def extend(self, validator: _Validator, validators: Mapping[str, object]) -> _Validator: ...


def _counted(name: str, keyword: _Keyword) -> _Keyword:
    walks = name in _WALKS

    def check(validator: _Validator, value: object, instance: object, schema: object) -> Iterator[Problem]:
        budget = _BUDGET.get()
        names = cast("Mapping[str, object]", instance) if walks and isinstance(instance, Mapping) else ()
        budget.take(_NAME_CHARACTERS * len(names), value)
        for problem in keyword(validator, value, cast("object", instance), schema) or ():
            budget.said(problem)
            yield problem

    return check


def _passed_over(validator: _Validator, value: object, instance: object, schema: object) -> Sequence[Problem]:
    del validator, value, instance, schema
    return ()


def _bounded_kind() -> _Validator:
    """Draft 2020-12, with each keyword and each schema inside another counted.

    The library goes from schema to schema by `evolve`, and its own would take the kind that a `$schema` inside names.
    """
    known = _LIBRARY.Draft202012Validator
    keywords = {
        name: _passed_over if name in _PASSED_OVER else _counted(name, keyword)
        for name, keyword in known.VALIDATORS.items()
    }
    kind = _LIBRARY.extend(known, keywords)

    def evolve(self: object, **changes: object) -> _Validator:
        _BUDGET.get().take()
        kept = {given: getattr(self, name) for name, given in _KEPT}
        return kind(**(kept | changes))

    kind.evolve = evolve
    return kind


_KEPT = (("schema", "schema"), ("_registry", "registry"), ("_resolver", "_resolver"))
"""What the library's own `evolve` keeps, and as what it is given."""
_LIBRARY = cast("_Validators", validators)
_NOTHING: Registry[object] = Registry()  # from which nothing is had, so nothing is fetched
_KIND = _bounded_kind()
_SCHEMAS = Checker(_KIND.META_SCHEMA, named=True)
