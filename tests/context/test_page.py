"""`docs/context.md` says of every role what is cut of its prompt, and in which order; made of the roles by `rows()`."""

from __future__ import annotations

from pathlib import Path

import pytest

from agents.codegen import CODER, ROLES
from agents.codegen.coder import options_for
from agents.trimming import Rule, Trim

_LEAST = {"_changed": "those that the plan changes", "_untouched": "those that the last attempt left alone"}


def step(trim: Trim) -> str:
    if callable(trim.least):
        return f"{trim.part} ≥ {_LEAST[trim.least.__name__]}"
    unit = " characters" if trim.rule is Rule.MIDDLE else ""
    return f"{trim.part} ≥ {trim.least:,}{unit}{' (the last ones)' if trim.rule is Rule.OLDEST else ''}"


def bound(trim: Trim) -> str:
    unit = "characters" if trim.rule is Rule.MIDDLE else "pieces"
    return f"{trim.part} {trim.least:,} {unit}"


def rows() -> list[str]:
    return [
        f"| `{role.name}` | {options_for(0)['num_predict'] if role is CODER else role.options['num_predict']:,} | "
        f"{' · '.join(role.source.blocks('user'))} | {', '.join(map(bound, role.bounds))} | "
        f"{', '.join(map(step, role.trims))} |"
        for role in ROLES
    ]


@pytest.mark.parametrize("row", rows(), ids=[role.name for role in ROLES])
def test_the_page_has_every_role_as_it_is(row: str) -> None:
    page = (Path(__file__).parents[2] / "docs" / "context.md").read_text()
    assert row in page.split("\n"), f"put this row into docs/context.md:\n{row}"
