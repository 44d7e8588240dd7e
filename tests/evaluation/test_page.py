"""docs/eval.md: its tables have the fields and rules that there are."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from pydantic import BaseModel

from infrastructure.evaluation import RULES, ArmReport, EvalReport


@pytest.fixture
def page(repository_root: Path) -> str:
    return (repository_root / "docs" / "eval.md").read_text()


def rows(page: str, heading: str) -> list[list[str]]:
    """The rows of the tables of a part that begins with this text, up to the next heading."""
    part = re.split(r"^#+ |^Of each setting:", page.partition(f"{heading}\n")[2], maxsplit=1, flags=re.MULTILINE)[0]
    cells = [
        [cell.strip() for cell in line.strip("|").split(" |")] for line in part.splitlines() if line.startswith("|")
    ]
    assert cells, f"there is no table under {heading!r}"
    return cells[2:]


@pytest.mark.parametrize(("heading", "model"), [("## The report", EvalReport), ("Of each setting:", ArmReport)])
def test_every_field_of_the_report_is_told(page: str, heading: str, model: type[BaseModel]):
    table = rows(page, heading)

    assert [row[0].strip("`") for row in table] == list(model.model_fields)
    assert all(row[1].endswith(".") for row in table)


def test_the_rules_are_told_in_their_order(page: str):
    assert [tuple(row) for row in rows(page, "### Why a sample is not solved")] == [
        (str(why), when) for why, when in RULES
    ]
