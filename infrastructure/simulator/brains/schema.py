"""Owns valid instances of a JSON schema, any one, the same for the same seed.

Knows object, array, string, integer, number, boolean, null, enum, const, anyOf, oneOf, allOf, $ref, $defs,
the usual bounds, and simple patterns. Instances are small: optional fields are filled in, except deep down.
"""

import random
from collections.abc import Iterator

import orjson

from infrastructure.simulator.brains.pattern import SchemaError, matching
from infrastructure.simulator.brains.question import Question
from infrastructure.simulator.golang import Json, JsonObject

_DEEP = 6
_MOST = 10_000
"""Values in an instance with the steps to them, and characters of a string: what takes more is refused, since nobody
else is served meanwhile."""
_LONG = 16
"""Words of an answer that may be any JSON."""
_WORDS = ("alpha", "bravo", "charlie", "delta", "echo", "foxtrot", "golf", "hotel", "india", "juliett")
_FORMATS = {
    "date-time": "2026-01-02T03:04:05Z",
    "date": "2026-01-02",
    "time": "03:04:05Z",
    "email": "someone@example.org",
    "uri": "https://example.org/",
    "uuid": "01890a5d-ac96-774b-bcce-b302099a8057",
    "ipv4": "192.0.2.1",
}


class SchemaBrain:
    """Answers with an instance of the schema in `format`; without one, with a small object."""

    def answer(self, question: Question) -> Iterator[str]:
        """See `Brain`."""
        rng = random.Random(f"{question.seed}/{question.prompt}")
        if question.format and isinstance(question.format, dict):
            value = instance(question.format, rng)
        else:
            value = {"answer": " ".join(rng.choices(_WORDS, k=_LONG))}
        return iter(question.model.tokenizer.pieces(orjson.dumps(value).decode()))


def instance(schema: Json, rng: random.Random) -> Json:
    """A value that the schema allows.

    Raises:
        SchemaError: none was found.
    """
    return _Maker(schema, rng).make(schema, 0)


class _Maker:
    """Makes values; `root` is where `$ref` begins."""

    def __init__(self, root: Json, rng: random.Random) -> None:
        self._root = root
        self._rng = rng
        self._made = 0

    def make(self, schema: Json, depth: int) -> Json:
        self._step()
        if schema is True:
            return self._rng.choice(_WORDS)
        if not isinstance(schema, dict):
            raise SchemaError(f"no value fits {schema!r}")
        schema = self._resolved(schema, depth)
        if "const" in schema:
            return schema["const"]
        choices = schema.get("enum")
        if isinstance(choices, list):
            if not choices:
                raise SchemaError("a choice of nothing")
            return self._rng.choice(choices)
        return self._typed(self._kind(schema, depth), schema, depth)

    def _step(self) -> None:
        self._made += 1
        if self._made > _MOST:
            raise SchemaError("an instance is too large")

    def _resolved(self, schema: JsonObject, depth: int) -> JsonObject:
        """References followed, `allOf` merged in, one branch of `anyOf` or `oneOf` chosen."""
        self._step()
        if depth > 64:
            raise SchemaError("the schema has no finite instance")
        reference = schema.get("$ref")
        if isinstance(reference, str):
            schema = _merged({name: value for name, value in schema.items() if name != "$ref"}, self._at(reference))
            return self._resolved(schema, depth + 1)
        parts = schema.get("allOf")
        if isinstance(parts, list):
            whole = {name: value for name, value in schema.items() if name != "allOf"}
            for part in parts:
                whole = _merged(whole, self._resolved(_object(part), depth + 1))
            return self._resolved(whole, depth + 1)
        for name in ("anyOf", "oneOf"):
            branches = schema.get(name)
            if isinstance(branches, list):
                rest = {key: value for key, value in schema.items() if key != name}
                return self._resolved(_merged(rest, self._branch(branches, depth)), depth + 1)
        return schema

    def _branch(self, branches: list[Json], depth: int) -> JsonObject:
        """Any branch; deep down one that goes no deeper, so that recursion ends."""
        if not branches:
            raise SchemaError("a choice of nothing")
        if depth < _DEEP:
            return _object(self._rng.choice(branches))
        return _object(min(branches, key=lambda branch: (_weight(branch), branches.index(branch))))

    def _at(self, reference: str) -> JsonObject:
        if not reference.startswith("#"):
            raise SchemaError(f"cannot follow {reference}")
        place = self._root
        for part in reference.lstrip("#/").split("/") if reference != "#" else ():
            key = part.replace("~1", "/").replace("~0", "~")
            if not isinstance(place, dict) or key not in place:
                raise SchemaError(f"nothing at {reference}")
            place = place[key]
        return _object(place)

    def _kind(self, schema: JsonObject, depth: int) -> str:
        kind = schema.get("type")
        if isinstance(kind, list) and kind:
            kind = self._rng.choice(kind) if depth < _DEEP or "null" not in kind else "null"
        if isinstance(kind, str):
            return kind
        marks = (("object", ("properties", "required", "additionalProperties")), ("array", ("items", "prefixItems")))
        for name, keys in marks:
            if any(key in schema for key in keys):
                return name
        return "integer" if {"minimum", "maximum", "multipleOf"} & schema.keys() else "string"

    def _typed(self, kind: str, schema: JsonObject, depth: int) -> Json:
        if kind == "object":
            return self._object(schema, depth)
        if kind == "array":
            return self._array(schema, depth)
        if kind == "string":
            return self._string(schema)
        if kind in ("integer", "number"):
            return _number(schema, self._rng, whole=kind == "integer")
        if kind == "boolean":
            return self._rng.random() < 0.5
        if kind == "null":
            return None
        raise SchemaError(f"unknown type {kind}")

    def _object(self, schema: JsonObject, depth: int) -> JsonObject:
        properties = _object(schema.get("properties", {}))
        required = [name for name in _array(schema.get("required")) if isinstance(name, str)]
        out: JsonObject = {}
        for name, part in properties.items():
            if name in required or (depth < _DEEP and part is not False):
                out[name] = self.make(part, depth + 1)
        extra = schema.get("additionalProperties", True)
        least = _count(schema, "minProperties", 0)
        names = [name for name in required if name not in out]
        names += [f"field{number}" for number in range(max(0, least - len(out) - len(names)))]
        for name in names:
            if extra is False:
                raise SchemaError(f"{name} is required and not allowed")
            out[name] = self.make(extra, depth + 1)
        return out

    def _array(self, schema: JsonObject, depth: int) -> Json:
        first = _array(schema.get("prefixItems"))
        least = _count(schema, "minItems", 0)
        most = _whole(schema.get("maxItems"), max(least, 3))
        items = schema.get("items", True)
        if items is False:
            most = min(most, len(first))
        count = least if depth >= _DEEP else self._rng.randint(least, max(least, min(most, least + 2)))
        out: list[Json] = []
        unique = schema.get("uniqueItems") is True
        for attempt in range(count * 50):
            if len(out) >= count:
                break
            part = first[len(out)] if len(out) < len(first) else items
            value = self.make(part, depth + 1)
            if not unique or value not in out:
                out.append(value)
            elif attempt == count * 50 - 1:
                break
        if len(out) < least:
            raise SchemaError("not enough different items")
        return out

    def _string(self, schema: JsonObject) -> str:
        pattern, shape = schema.get("pattern"), schema.get("format")
        least = _count(schema, "minLength", 0)
        most = _whole(schema.get("maxLength"), max(least, 24))
        if isinstance(pattern, str):
            return matching(pattern, self._rng, least, most)
        if isinstance(shape, str) and shape in _FORMATS:
            return _FORMATS[shape]
        text = self._rng.choice(_WORDS)
        while len(text) < least:
            text += " " + self._rng.choice(_WORDS)
        return text[:most]


def _number(schema: JsonObject, rng: random.Random, *, whole: bool) -> int | float:
    """A number within the bounds; a whole one where there is one."""
    low, high = _bound(schema, "minimum", "exclusiveMinimum", 1), _bound(schema, "maximum", "exclusiveMaximum", -1)
    step = schema.get("multipleOf")
    if low is None:
        low = 0 if high is None else min(0, high - 100)
    if high is None:
        high = max(100, low + 100)
    if isinstance(step, int | float) and step:
        first = -(-low // step)
        last = high // step
        if first > last:
            raise SchemaError("no multiple within the bounds")
        value = rng.randint(int(first), int(min(last, first + 100))) * step
        return int(value) if whole else value
    first, last = -int(-low // 1), int(high // 1)
    if first <= last:
        return rng.randint(first, last)
    if whole:
        raise SchemaError("no integer within the bounds")
    return (low + high) / 2


def _bound(schema: JsonObject, closed: str, opened: str, direction: int) -> float | None:
    """The tighter of two bounds, an open one moved inwards by a little."""
    bounds: list[float] = []
    if isinstance(value := schema.get(closed), int | float):
        bounds.append(value)
    if isinstance(value := schema.get(opened), int | float):
        nudge = 1 if float(value).is_integer() and schema.get("type") == "integer" else max(abs(value), 1) * 1e-9
        bounds.append(value + direction * nudge)
    if not bounds:
        return None
    return max(bounds) if direction > 0 else min(bounds)


def _merged(one: JsonObject, other: JsonObject) -> JsonObject:
    """Both schemas in one: properties and required joined, bounds tightened, the rest from the second."""
    out = {**one, **other}
    for name in ("properties", "$defs"):
        if name in one and name in other:
            left, right = _object(one[name]), _object(other[name])
            shared = {key: _both(left[key], right[key]) for key in left.keys() & right.keys()}
            out[name] = {**left, **right, **shared}
    if "required" in one and "required" in other:
        out["required"] = [*_array(one["required"]), *_array(other["required"])]
    for names, tighter in ((("minimum", "minLength", "minItems"), max), (("maximum", "maxLength", "maxItems"), min)):
        for name in names:
            left, right = one.get(name), other.get(name)
            if isinstance(left, int | float) and isinstance(right, int | float):
                out[name] = tighter(left, right)
    return out


def _both(one: Json, other: Json) -> Json:
    if isinstance(one, dict) and isinstance(other, dict):
        return _merged(one, other)
    return other if one is True else one


def _weight(schema: Json) -> int:
    """How deep a schema goes, roughly; scalars weigh nothing."""
    if not isinstance(schema, dict):
        return 0
    deep = {"$ref": 3, "properties": 2, "items": 1, "anyOf": 3, "oneOf": 3, "allOf": 3}
    return sum(weight for name, weight in deep.items() if name in schema)


def _object(value: Json) -> JsonObject:
    return value if isinstance(value, dict) else {}


def _array(value: Json) -> list[Json]:
    return value if isinstance(value, list) else []


def _count(schema: JsonObject, name: str, default: int) -> int:
    """The least number of parts of a value.

    Raises:
        SchemaError: no value has so many here.
    """
    least = _whole(schema.get(name), default)
    if least > _MOST:
        raise SchemaError(f"{name} is too large: {least}")
    return least


def _whole(value: Json, default: int) -> int:
    return int(value) if isinstance(value, int | float) and not isinstance(value, bool) else default
