"""Every event there is has a producer, a schema that the page tells, and a test."""

from __future__ import annotations

import ast
import typing
from collections.abc import Iterator
from pathlib import Path

import pytest

from infrastructure.events import catalogue
from infrastructure.events.audit import AUDITED
from infrastructure.events.catalogue import ANY_EVENT, Event
from tests.events.page import PAGE, every_event, kind_of, page

ROOT = Path(__file__).parents[2]
PACKAGES = ("agents", "infrastructure", "backend")
NAMES = {event.__name__ for event in every_event()}


def sources(folder: str) -> Iterator[Path]:
    return (ROOT / folder).rglob("*.py")


def constructed() -> set[str]:
    """The events that are made somewhere in the packages, but for the catalogue itself."""
    found: set[str] = set()
    for package in PACKAGES:
        for path in sources(package):
            if "catalogue" in path.parts:
                continue
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Call):
                    name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
                    found.add(name)
    return found & NAMES


def test_every_event_has_a_producer() -> None:
    without = NAMES - constructed()
    assert without == set(), "nothing makes these events"


def test_every_event_is_in_a_test() -> None:
    told = "\n".join(
        path.read_text(encoding="utf-8")
        for path in sources("tests")
        if path.name not in (Path(__file__).name, "page.py")
    )
    untested = {
        event.__name__ for event in every_event() if event.__name__ not in told and f'"{kind_of(event)}"' not in told
    }
    assert untested == set()


def test_the_page_is_the_catalogue() -> None:
    """`python -m tests.events.page` writes it anew."""
    assert PAGE.read_text(encoding="utf-8") == page()


@pytest.mark.parametrize("event", every_event(), ids=lambda event: event.__name__)
def test_every_event_is_well_formed(event: type[Event]) -> None:
    family, _, participle = kind_of(event).partition(".")
    assert family
    assert participle
    assert event.model_config.get("frozen")
    assert event.__doc__
    assert event.__name__ in catalogue.__all__


def test_kinds_are_all_different_and_each_is_read_back_as_its_own() -> None:
    kinds = [kind_of(event) for event in every_event()]
    assert len(set(kinds)) == len(kinds)
    schema = ANY_EVENT.json_schema()
    assert set(schema["discriminator"]["mapping"]) == set(kinds)


def test_what_is_audited_is_in_the_catalogue() -> None:
    assert set(AUDITED) <= {kind_of(event) for event in every_event()}
    assert len(typing.get_args(typing.get_args(catalogue.AnyEvent)[0])) == len(NAMES)
