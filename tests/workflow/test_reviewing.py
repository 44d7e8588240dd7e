"""What the reviewer is shown of a patch, and what is kept of its word."""

from __future__ import annotations

import json

import pytest

from agents.codegen import Review
from agents.codegen.reviewer import REVIEWER, ReviewerQuestion
from infrastructure.events.catalogue import ANY_EVENT, Noted, PatchReviewed
from infrastructure.judge.linting import Finding
from infrastructure.workflow.ports import ToolAnswer, ToolKey, ToolRecorder
from infrastructure.workflow.reviewing import MOST_RISKS, notes_of, risks_of
from tests.workflow.scenario import RIGHT, Scenario, code, review, scripted

SHADY = "def add(a, b, seen=[]):\n    return a + b\n"
FOUND = "calc.py:1: Do not use mutable data structures for argument defaults (B006)"


def said(**fields: object) -> str:
    return json.dumps({"summary": "It adds.", "objections": [], "verdict": "approve", **fields})


async def test_new_findings_reach_reviewer_event_and_state(tmp_path):
    source = scripted(coder=[code(SHADY)], reviewer=[said(files=["calc.py: adds two numbers"], risks=["floats"])])
    scenario = Scenario(folder=tmp_path, source=source)
    end = await scenario.run()
    assert FOUND in source.asked("reviewer")[0].messages[1].content
    told = scenario.of(PatchReviewed)[0]
    assert (told.findings, told.risks, told.files) == ((FOUND,), ("floats",), ("calc.py: adds two numbers",))
    assert (end["findings"][0].rule, end["reviewed"]) == ("B006", end["chosen"].number)


async def test_what_the_snapshot_had_already_is_not_told(tmp_path):
    old = "def add(a, b, seen=[]):\n    raise NotImplementedError\n"
    source = scripted(coder=[code(SHADY)])
    end = await Scenario(folder=tmp_path, source=source, files={"calc.py": old}).run()
    assert not end["findings"]
    assert "Static checks" not in source.asked("reviewer")[0].messages[1].content


async def test_findings_are_told_though_the_review_cannot_be_read(tmp_path):
    scenario = Scenario(folder=tmp_path, source=scripted(coder=[code(SHADY)], reviewer=lambda _: "fine, I think"))
    end = await scenario.run()
    assert "review" not in end
    assert end["status"] == "done"
    assert f"static check: {FOUND}" in [note.text for note in scenario.of(Noted)]


class Remembering(ToolRecorder):
    """Keeps what tools said in a dictionary."""

    def __init__(self) -> None:
        self.said: dict[ToolKey, ToolAnswer] = {}

    async def recall(self, key: ToolKey, request: bytes) -> ToolAnswer | None:
        return self.said.get(key)

    async def record(self, key: ToolKey, request: bytes, answer: ToolAnswer) -> None:
        self.said[key] = answer


async def test_check_is_made_once_and_then_taken_from_the_record(tmp_path, monkeypatch):
    tools = Remembering()
    ends: list[tuple[Finding, ...]] = []
    for folder in ("first", "second"):
        scenario = Scenario(folder=tmp_path / folder, source=scripted(coder=[code(SHADY)]))
        object.__setattr__(scenario.scope, "tools", tools)
        ends.append((await scenario.run())["findings"])
        monkeypatch.setattr("infrastructure.judge.linting.find_ruff_bin", lambda: "/nowhere/ruff")
    assert ends[0] == ends[1] != ()
    assert [key.step for key in tools.said if key.name == "checks"] == ["reviewer:1"]


async def test_review_is_of_the_candidate_that_was_read(tmp_path):
    source = scripted(coder=[code(RIGHT), code(RIGHT + "# documented\n")], reviewer=[review("no comment")])
    end = await Scenario(folder=tmp_path, source=source).run()
    assert (end["reviewed"], end["chosen"].number) == (1, 2)


def test_event_of_before_there_were_findings_still_loads():
    old = {"kind": "work.patch_reviewed", "verdict": "approve", "objections": [], "summary": "s"}
    event = ANY_EVENT.validate_python(old)
    assert isinstance(event, PatchReviewed)
    assert (event.files, event.risks, event.findings) == ((), (), ())


@pytest.mark.parametrize(
    "files",
    [
        ["a.py: one", "b.py.bak: two"],
        {"a.py": "one", "b.py.bak": "two"},
        ["`a.py`: one", "- ./b.py.bak — two", "made/up.py: three", "a.py: again", "nothing"],
    ],
    ids=["as asked", "an object", "as models write it"],
)
def test_sentence_for_each_file_is_read_however_it_is_written(files):
    answer = REVIEWER.read(said(files=files), ReviewerQuestion(task="", plan=None, patch="", report=""))
    assert notes_of(answer, ["a.py", "b.py", "b.py.bak"]) == (("a.py", "one"), ("b.py.bak", "two"))


def test_few_short_risks_are_kept():
    kept = risks_of(Review(summary="", verdict="approve", risks=["", *("long " * 200 for _ in range(9))]))
    assert len(kept) == MOST_RISKS
    assert all(0 < len(each) <= 300 for each in kept)
