"""docs/batch.md and docs/simulator.md: every field is told, none that does not exist, and the examples are taken."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from enum import Enum
from pathlib import Path
from typing import Literal, get_args, get_origin

import pytest
from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from backend.cli.app import build_app
from infrastructure.batch import BatchPlace, BatchReport, HumanEvalProblem, Job, Record, read_jobs
from infrastructure.simulator import (
    Break,
    Fault,
    FaultKind,
    Http2Settings,
    ModelSpec,
    SimulatorSettings,
    Task,
    Toxic,
    ToxicKind,
    Truth,
    default_models,
)
from infrastructure.simulator.gate import ROUTES
from infrastructure.tasks import EXIT_CODES

Table = list[dict[str, str]]


@pytest.fixture
def batch(repository_root: Path) -> str:
    return (repository_root / "docs" / "batch.md").read_text()


@pytest.fixture
def simulator(repository_root: Path) -> str:
    return (repository_root / "docs" / "simulator.md").read_text()


def tables(page: str, heading: str) -> list[Table]:
    """The tables of the section under a heading, each as rows by the name of the column."""
    section = re.split(r"^#+ ", page.partition(f" {heading}\n")[2], maxsplit=1, flags=re.MULTILINE)[0]
    assert section, f"there is no section {heading!r}"
    found: list[Table] = []
    for block in re.findall(r"(?:^\|.*\n)+", section, flags=re.MULTILINE):
        head, _, *lines = ([cell.strip() for cell in line.strip("|").split(" |")] for line in block.splitlines())
        found.append([dict(zip(head, line, strict=True)) for line in lines])
    return found


def named(table: Table, column: str = "Field") -> list[str]:
    """What the first column names."""
    return [row[column].strip("`") for row in table]


def fields_of(model: type[BaseModel]) -> list[str]:
    """The names as they are written in JSON."""
    return [field.alias or name for name, field in model.model_fields.items()]


def defaults_of(model: type[BaseModel]) -> list[str]:
    """The defaults as the tables write them."""
    shown: list[str] = []
    for field in model.model_fields.values():
        default = field.get_default(call_default_factory=True)
        if default is PydanticUndefined:
            shown.append("must be given")
        else:
            plain = default.value if isinstance(default, Enum) else default
            shown.append(f"`{json.dumps(list(plain) if isinstance(plain, tuple) else plain)}`")
    return shown


def check_fields(table: Table, model: type[BaseModel]) -> None:
    assert named(table) == fields_of(model)
    assert all(row["Meaning"].endswith(".") for row in table)
    if "Default" in table[0]:
        assert [row["Default"] for row in table] == defaults_of(model)


def examples(page: str, heading: str) -> list[str]:
    """The lines of the JSON blocks of a section."""
    section = re.split(r"^#+ ", page.partition(f" {heading}\n")[2], maxsplit=1, flags=re.MULTILINE)[0]
    return [line for block in re.findall(r"```json\n(.*?)```", section, re.DOTALL) for line in block.splitlines()]


# ------------------------------------------------------------------------------------------------ batches


@pytest.mark.parametrize(
    ("heading", "model"),
    [
        ("Corral's own form", Job),
        ("HumanEval problems", HumanEvalProblem),
        ("A record", Record),
        ("The report", BatchReport),
    ],
)
def test_every_field_of_a_batch_is_told(batch: str, heading: str, model: type[BaseModel]) -> None:
    (table,) = tables(batch, heading)
    check_fields(table, model)


def test_jobs_of_the_page_are_taken_as_they_are(batch: str, tmp_path: Path) -> None:
    lines = [*examples(batch, "Corral's own form"), *examples(batch, "HumanEval problems")]
    assert len(lines) == 3
    (tmp_path / "jobs.jsonl").write_text("\n".join(lines))
    entries = read_jobs(tmp_path / "jobs.jsonl")
    assert [entry.job.id for entry in entries] == ["slug", "json-option", "Tiny/1"]
    assert all(entry.has_tests for entry in entries)


def test_words_of_a_record_are_those_that_it_can_have(batch: str) -> None:
    (table,) = tables(batch, "A record")
    told = {row["Field"].strip("`"): set(re.findall(r"`(\w+)`", row["Meaning"])) for row in table}
    assert told["status"] == set(EXIT_CODES)
    for name in ("judge", "verdict"):
        allowed = words_of(Record.model_fields[name].annotation)
        assert told[name] - {"null"} == allowed
    assert told["tests"] == set(Record(**RECORD).tests.model_dump())
    assert told["error"] - {"null"} == {"class", "message", "hint"}


def test_every_file_of_the_folder_is_told(batch: str, tmp_path: Path) -> None:
    (table,) = tables(batch, "What the folder holds")
    place = BatchPlace(tmp_path)
    kept = {place.records, place.superseded, place.report, place.samples, place.ledger}
    assert set(named(table, "File")) == {path.name for path in kept} | {f"{place.patches.name}/", f"{place.work.name}/"}


RECORD = {"run": "r", "status": "done", "judge": "given", "exit_code": 0, "identity": "i", "job_id": "j"}


def words_of(annotation: object) -> set[str]:
    """The words of a literal, within a union too."""
    if get_origin(annotation) is Literal:
        return set(get_args(annotation))
    return {word for part in get_args(annotation) for word in words_of(part)}


# ---------------------------------------------------------------------------------------------- simulator


def test_every_field_of_the_simulator_is_told(simulator: str) -> None:
    tasks, ways = tables(simulator, "The oracle's tasks")
    check_fields(tasks, Task)
    assert named(ways, "`break`") == [way.value for way in Break]
    knobs, specs = tables(simulator, "Knobs")
    check_fields(knobs, SimulatorSettings)
    check_fields(specs, ModelSpec)
    kinds, faults = tables(simulator, "Faults")
    assert named(kinds, "Kind") == [kind.value for kind in FaultKind]
    check_fields(faults, Fault)
    kinds, toxics = tables(simulator, "Toxics")
    assert named(kinds, "Kind") == [kind.value for kind in ToxicKind]
    check_fields(toxics, Toxic)
    (http2,) = tables(simulator, "HTTP/2")
    check_fields(http2, Http2Settings)
    (truth,) = tables(simulator, "The truth")
    told = {name for row in truth for name in re.findall(r"`(\w+)", row["What"])}
    assert told | {"of", "as_json", "noted"} == {name for name in dir(Truth) if not name.startswith("_")}


def test_every_model_and_route_is_told(simulator: str) -> None:
    (table,) = tables(simulator, "Its models")
    assert sorted(named(table, "Model")) == sorted(spec.name for spec in default_models())
    listed = simulator.partition("Routes: ")[2].partition(" Any other")[0]
    assert set(re.findall(r"`(/[^`]+)`", listed)) == set(ROUTES) - {"/"}


def test_every_option_of_the_command_is_told_with_its_knob(simulator: str) -> None:
    knobs, _ = tables(simulator, "Knobs")
    told = {row["Option"].strip("`") for row in knobs if row["Option"]}
    options = {
        name
        for argument in build_app()["sim"].assemble_argument_collection()
        for name in argument.names
        if name.startswith("--")
    }
    assert told == options


def test_words_of_a_knob_are_those_that_it_can_have(simulator: str) -> None:
    knobs, specs = tables(simulator, "Knobs")
    for table, model in ((knobs, SimulatorSettings), (specs, ModelSpec)):
        for row in table:
            allowed = words_of(model.model_fields[row["Field"].strip("`")].annotation)
            assert allowed <= set(re.findall(r"`([^`]+)`", row["Meaning"])), row["Field"]


def test_tasks_of_the_page_are_tasks_that_are_found(simulator: str) -> None:
    code, question = (Task.model_validate_json(line) for line in examples(simulator, "The oracle's tasks"))
    assert code.matched("please: Write slugify(text) in text.py now")
    assert question.matched("Why are there hyphens?")
    assert not question.matched("Why?")


@pytest.mark.parametrize("page", ["settings.md", "batch.md", "simulator.md"])
@pytest.mark.parametrize("place", ["README.md", "docs/architecture.md"])
def test_reference_is_linked_where_a_reader_begins(repository_root: Path, page: str, place: str) -> None:
    links: Sequence[str] = re.findall(r"\]\(([^)]+)\)", (repository_root / place).read_text())
    assert any(link.rpartition("/")[2] == page for link in links)
