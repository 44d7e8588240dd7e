"""Bad edits as small models write them: each is applied as a person would, or refused with a reason that helps."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping

import pytest

from agents.answers import Rejected, apply_edits, read_files
from agents.errors import UnusableAnswer
from tests.agents.answers.corpus import PLACE, rendered

CASES = [json.loads(line) for line in PLACE.read_text(encoding="utf-8").split("\n") if line]


def tried(case: Mapping) -> Mapping[str, str | None] | str:
    """What became of an answer: new texts, or why it was refused and what to do."""
    try:
        changes = read_files(case["answer"], case["default"], known=tuple(case["files"]), functions=case["functions"])
    except UnusableAnswer as error:
        return f"{error.reason}. {error.hint}"
    result = apply_edits(case["files"], changes)
    return f"{result.reason}. {result.hint}" if isinstance(result, Rejected) else dict(result.contents)


@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
def test_bad_edit_is_applied_as_it_was_meant_or_refused_with_a_reason(case: Mapping):
    outcome = tried(case)
    if case["result"] is None:
        assert isinstance(outcome, str), "applied, though it may mean something else"
        assert case["word"] in outcome
    else:
        assert outcome == case["result"]


def test_corpus_is_what_its_builder_makes_and_is_large():
    assert PLACE.read_text(encoding="utf-8") == rendered()
    names = Counter(case["name"] for case in CASES)
    assert max(names.values()) == 1
    assert len(CASES) >= 300
    assert len({case["answer"] for case in CASES}) >= 0.98 * len(CASES)
