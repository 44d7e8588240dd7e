"""The simulator's answers against those of two real servers, case by case."""

import asyncio
import json
from functools import cache

import pytest

from tests.simulator import allowed
from tests.simulator.recordings import RECORDINGS, Exchange, as_exchange, play_all, recorded, served

CASES = [(recording, case) for recording in RECORDINGS for case in served(recording)]


@cache
def heard_from(recording: str) -> dict[str, Exchange]:
    return asyncio.run(play_all(recording))


@cache
def recorded_from(recording: str) -> dict[str, Exchange]:
    return {case["case"]: as_exchange(case) for case in recorded(recording)}


@pytest.mark.parametrize(("recording", "case"), CASES, ids=[f"{recording} {case}" for recording, case in CASES])
def test_answers_as_the_recorded_server_did(recording: str, case: str):
    real, simulated = recorded_from(recording)[case], heard_from(recording)[case]

    assert simulated.status == real.status
    assert simulated.http == real.http
    assert simulated.end == real.end
    assert framing(simulated) == framing(real)
    assert objects(simulated) == objects(real)
    assert simulated.text.endswith("\n") == real.text.endswith("\n")


def test_every_recorded_route_is_played_or_listed_as_not_served():
    assert [len(served(recording)) for recording in RECORDINGS] == [121, 121, 140]
    for version in ("0.32.15", "0.24.0"):
        assert set(allowed.EFFECTS) <= {case["case"] for case in recorded(version)}
    assert {case["case"] for case in recorded("edges")} >= set(allowed.NOT_IMITATED)


def framing(exchange: Exchange) -> list[tuple[str, str]]:
    """Headers in their order; how long the body is follows from the text."""
    return [
        (name, "" if name == "Content-Length" else value)
        for name, value in exchange.headers
        if name not in allowed.HEADERS
    ]


def objects(exchange: Exchange) -> list[object]:
    """The body's JSON objects with what may differ masked, fields in their order; else its text."""
    try:
        lines = [json.loads(line, object_pairs_hook=Pairs) for line in exchange.text.split("\n") if line]
    except json.JSONDecodeError:
        return [exchange.text]
    if exchange.case in allowed.RANDOM_TEXT:
        return [shape(lines)]
    added = allowed.FIELDS_ADDED.get(exchange.path, ())
    out = [masked(line, exchange) for line in lines]
    return [Pairs(pair for pair in line if pair[0] not in added) for line in out]


class Pairs(list):
    """A JSON object, fields in order; compares as such."""


def masked(value: object, exchange: Exchange) -> object:
    if isinstance(value, Pairs):
        return Pairs((name, masked_field(name, item, exchange)) for name, item in value)
    if isinstance(value, list):
        return [masked(item, exchange) for item in value]
    if isinstance(value, str):
        return allowed.SHA256.sub("sha256-…", value)
    return value


def masked_field(name: str, value: object, exchange: Exchange) -> object:
    if name in allowed.MASKED and not isinstance(value, list):
        assert allowed.MASKED[name].fullmatch(str(value)), (name, value)
        return len(str(value)) if name == "id" else "…"
    if name in allowed.NUMBERS:
        return how_many(value)
    if name == "models" and exchange.path in allowed.UNORDERED:
        return sorted(masked(value, exchange), key=str)
    if name == "modelfile" and exchange.case in allowed.ANY_ORDER_OF_PARAMETERS:
        return sorted(allowed.SHA256.sub("sha256-…", value).split("\n"))
    return masked(value, exchange)


def how_many(vectors: list) -> object:
    return [how_many(item) for item in vectors] if vectors and isinstance(vectors[0], list) else bool(vectors)


def shape(lines: list) -> object:
    """Of an answer under a grammar: the fields of each kind of line, why it ended, and that it is JSON."""
    whole = [dict(line) for line in lines]
    text = "".join(dict(line["message"])["content"] for line in whole)
    reason = whole[-1]["done_reason"]
    if reason == "stop":
        json.loads(text)
    fields = {tuple(line) for line in whole}
    return sorted(fields, key=str), reason, [dict(line["message"])["role"] for line in whole[:1]]
