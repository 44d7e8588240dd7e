"""docs/telemetry.md: every name that is sent is on it, and none that is not."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from infrastructure.telemetry import names
from infrastructure.telemetry.metrics import FAMILIES

DOTTED = re.compile(r"^(gen_ai|corral|server|error)\.[a-z_.]+$")


@pytest.fixture
def page(repository_root: Path) -> str:
    return (repository_root / "docs" / "telemetry.md").read_text()


def test_every_name_that_is_sent_is_on_the_page_and_none_that_is_not(page: str) -> None:
    sent = {value for value in vars(names).values() if isinstance(value, str) and DOTTED.match(value)}
    told = {each for each in re.findall(r"`([a-z_.]+)`", page) if DOTTED.match(each)}
    assert told - sent == set()
    assert sent - told == set()


def test_every_metric_of_prometheus_is_on_the_page_of_the_door(repository_root: Path) -> None:
    door = (repository_root / "docs" / "http.md").read_text()
    assert [name for name in FAMILIES if name not in door] == []


def test_no_name_is_written_outside_of_the_one_module(repository_root: Path) -> None:
    sources = (repository_root / "infrastructure" / "telemetry").rglob("*.py")
    found = {
        (path.name, name)
        for path in sources
        if path.name != "names.py"
        for name in re.findall(r'"((?:gen_ai|corral|server|error)[._][a-z_.]+)"', path.read_text())
    }
    assert found == set()
