"""Which server keeps which lane in memory, and which lanes have to take turns."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from infrastructure.config.settings import LaneSettings
from infrastructure.pool.fitting import ServerMemory
from infrastructure.pool.plan import plan_lanes
from infrastructure.transport.messages import LoadedModel, LocalModel

LANES = {
    "a": LaneSettings(model="a"),
    "b": LaneSettings(model="b"),
    "c": LaneSettings(model="c"),
    "wide": LaneSettings(model="a", num_ctx=8192),
    "again": LaneSettings(model="A:latest"),
}


def server(label: str, models: str, places: int | None = None, *, loaded: str = "") -> ServerMemory:
    return ServerMemory(
        label=label,
        models=[LocalModel(f"{name}:latest", name, 1, None, "", "", "", None) for name in models],
        loaded=[LoadedModel(f"{name}:latest", name, 1, 1, None, None) for name in loaded],
        places=places,
    )


@pytest.mark.parametrize(
    ("names", "servers", "homes", "turns"),
    [
        ("a b", [server("x", "ab")], {"a": "x", "b": "x"}, {}),
        ("a b", [server("x", "ab", 1)], {"a": "x"}, {"b": ("a",)}),
        ("a b", [server("x", "ab", 1), server("y", "ab", 1)], {"a": "x", "b": "y"}, {}),
        ("a b", [server("x", "ab", 1, loaded="b"), server("y", "ab", 1)], {"a": "y", "b": "x"}, {}),
        # b can only be on x, so a, which came first, moves on to y.
        ("a b", [server("x", "ab", 1), server("y", "a", 1)], {"a": "y", "b": "x"}, {}),
        ("a b c", [server("x", "abc", 2), server("y", "c", 1)], {"a": "x", "b": "x", "c": "y"}, {}),
        ("a b c", [server("x", "abc", 2)], {"a": "x", "b": "x"}, {"c": ("a", "b")}),
        ("a wide", [server("x", "a", 3)], {"a": "x"}, {"wide": ("a",)}),
        ("a wide", [server("x", "a"), server("y", "a")], {"a": "x", "wide": "y"}, {}),
        ("a again b", [server("x", "ab", 1)], {"a": "x", "again": "x"}, {"b": ("a",)}),
        ("a c", [server("x", "ab", 1)], {"a": "x"}, {}),
    ],
)
def test_as_many_lanes_as_possible_have_a_place_and_the_others_take_turns(
    names: str, servers: list[ServerMemory], homes: Mapping[str, str], turns: Mapping[str, tuple[str, ...]]
):
    plan = plan_lanes({name: LANES[name] for name in names.split()}, servers)
    assert (plan.homes, plan.turns) == (homes, turns)


def test_what_is_said_names_who_takes_turns_with_whom_and_where():
    plan = plan_lanes({name: LANES[name] for name in "abc"}, [server("x", "abc", 2)])
    assert plan.said == (
        "c has no place of its own in memory beside a and b (x): they take turns, and each turn is a load",
    )
