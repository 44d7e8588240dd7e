"""More than fits, for every role and window: nothing is cut by the server, and what we cut is known."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pytest

from agents.errors import UnusableAnswer
from infrastructure.simulator import Outcome
from tests.context.situations import SITUATIONS, Situation
from tests.context.stack import stack

pytestmark = pytest.mark.slow


def test_there_are_two_hundred() -> None:
    assert len(SITUATIONS) >= 200


@pytest.mark.parametrize(
    ("situation", "window"), SITUATIONS, ids=[f"{situation.name}, {window}" for situation, window in SITUATIONS]
)
async def test_what_is_too_long_is_cut_by_us_and_never_by_the_server(
    tmp_path: Path, situation: Situation, window: int
) -> None:
    async with stack(tmp_path, window) as there:
        step = there.step(situation.role.name, _lane(situation, window))
        with suppress(UnusableAnswer):  # the examiner wants a Python file named; what counts here is what was sent
            await situation.role.ask(step, situation.ask(window))
        call = (await there.xray())[-1]
        assert call.prompt is not None
        assert not any(request.truncated for request in there.requests)
        served = there.answered[-1]
        assert served.prompt_tokens == call.prompt_tokens
        assert served.prompt_tokens + served.tokens_made <= window
        assert situation.cut in {trim.part for trim in call.prompt.trims}
        assert all(trim.after < trim.before for trim in call.prompt.trims)
        assert call.prompt.refusals == sum(request.outcome is Outcome.REFUSED for request in there.requests)
        assert sum(section.tokens for section in call.prompt.sections) == call.prompt.estimated_tokens
        assert "call.trimmed" in there.kinds()
        assert "call.doubted" not in there.kinds()


def _lane(situation: Situation, window: int) -> str:
    return f"{ {'coder': 'coder', 'tester': 'tester'}.get(situation.role.name, 'talker') }-{window}".replace(" ", "")
