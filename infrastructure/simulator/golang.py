"""Owns how the real server, a Go program, writes JSON, times and durations, and reads the latter."""

import re
from datetime import UTC, datetime
from typing import TypeAlias

import orjson

Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"
JsonObject: TypeAlias = dict[str, Json]

FOREVER = float("inf")
_LARGEST_DURATION = (2**63 - 1) / 1e9
_UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_PART = re.compile(r"(\d+\.?\d*|\.\d+)(ns|us|µs|μs|ms|s|m|h)")
_ESCAPES = (
    (b"<", b"\\u003c"),
    (b">", b"\\u003e"),
    (b"&", b"\\u0026"),
    ("\u2028".encode(), b"\\u2028"),
    ("\u2029".encode(), b"\\u2029"),
)


def dump(value: Json) -> bytes:
    """JSON as Go's encoder writes it: compact, with `<`, `>`, `&`, U+2028 and U+2029 escaped."""
    try:
        text = orjson.dumps(value)
    except TypeError:  # a lone surrogate: Go writes U+FFFD
        text = orjson.dumps(_without_surrogates(value))
    for plain, escaped in _ESCAPES:
        if plain in text:
            text = text.replace(plain, escaped)
    return text


def timestamp(seconds: float) -> str:
    """RFC 3339 in UTC with nanoseconds, trailing zeros dropped, as Go prints a time."""
    whole = int(seconds)
    nanoseconds = int((seconds - whole) * 1e9)
    text = datetime.fromtimestamp(whole, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    fraction = f".{nanoseconds:09d}".rstrip("0").rstrip(".")
    return f"{text}{fraction}Z"


def expiry(now: float, keep_alive: float) -> float:
    """When a runner that goes idle now will be unloaded, in seconds since the epoch."""
    return now + min(keep_alive, _LARGEST_DURATION)


def parse_duration(text: str) -> float:
    """Seconds of a Go duration such as `1h30m`.

    Raises:
        ValueError: with Go's text.
    """
    sign = -1.0 if text.startswith("-") else 1.0
    rest = text.lstrip("+-")
    if rest == "0":
        return 0.0
    total, position = 0.0, 0
    while position < len(rest) and (part := _PART.match(rest, position)):
        total += float(part[1]) * _UNITS[part[2]]
        position = part.end()
    if rest and position == len(rest):
        return sign * total
    if re.fullmatch(r"\d+\.?\d*", rest[position:]):
        raise ValueError(f'time: missing unit in duration "{text}"')
    raise ValueError(f'time: invalid duration "{text}"')


def _without_surrogates(value: Json) -> Json:
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, list):
        return [_without_surrogates(item) for item in value]
    if isinstance(value, dict):
        return {key: _without_surrogates(item) for key, item in value.items()}
    return value
