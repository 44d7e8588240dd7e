"""The coder's prompts of one candidate, and of several, share their beginning: what changes stands last."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from agents.codegen import CODER, CoderQuestion, Repair
from infrastructure.pool.doubts import common_beginning
from tests.context.situations import SMALL, plan, several
from tests.context.stack import stack

FIRST = CoderQuestion(task="Print JSON.", plan=plan(), files=(SMALL, *several(3, "code", 200)), tests=(SMALL,))


def user_text(question: CoderQuestion) -> str:
    return CODER.question(question).messages[1].content


def repaired(question: CoderQuestion, number: int) -> CoderQuestion:
    return replace(question, repair=Repair(f"cause {number}", f"E   assert {number}", (SMALL,)))


@pytest.mark.parametrize("variant", range(4))
def test_attempts_of_a_candidate_differ_from_the_repair_on(variant: int) -> None:
    first = replace(FIRST, variant=variant)
    one, two, three = (user_text(each) for each in (first, repaired(first, 1), repaired(first, 2)))
    assert two.startswith(one)
    assert three.startswith(one)
    shared = two[: common_beginning(two, three)]
    assert shared.startswith(one)
    assert "## Failing tests" in shared


def test_candidates_differ_from_the_approach_on() -> None:
    one, two = (user_text(replace(FIRST, variant=variant)) for variant in (1, 2))
    plain = user_text(FIRST)
    assert one.startswith(plain)
    assert two.startswith(plain)
    assert one[: common_beginning(one, two)].rstrip().endswith("## Approach")


def test_the_system_message_is_the_same_in_all_of_them() -> None:
    questions = (FIRST, replace(FIRST, variant=3), repaired(FIRST, 1))
    assert len({CODER.question(each).messages[0].content for each in questions}) == 1


async def test_the_server_reads_only_the_repair_anew(tmp_path: Path) -> None:
    async with stack(tmp_path, 8192) as there:
        for question in (FIRST, repaired(FIRST, 1), repaired(FIRST, 2)):
            await there.ask(CODER, question, 8192)
        first, second, third = there.requests
        assert second.cached_tokens >= first.prompt_tokens - 20  # the end of the template
        assert third.cached_tokens > first.prompt_tokens
        assert third.prefilled_tokens < first.prompt_tokens / 5
