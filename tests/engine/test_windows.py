"""A whole run in a window that is too small for it, and in one where much has to be cut."""

from __future__ import annotations

from pathlib import Path

import pytest

from infrastructure.events.catalogue import CallFailed, PromptTrimmed
from infrastructure.running.xray import xray_of
from tests.engine.world import RIGHT, TASK, simulator, world

pytestmark = pytest.mark.slow


async def test_a_run_whose_file_fits_no_window_ends_with_the_advice(tmp_path: Path) -> None:
    server = simulator(tmp_path)
    async with world(tmp_path / "w", server, window=4096) as there:
        padded = "".join(f"# a comment of line {number}, which takes its room\n" for number in range(900))
        (there.repo / "calc.py").write_text((there.repo / "calc.py").read_text() + padded)
        result = await there.run(TASK)
        assert (result.status, result.exit_code) == ("error", 3)
        assert result.error is not None
        assert result.error.error_class == "WindowTooSmall"
        assert "the coder needs" in result.error.message
        assert "raise num_ctx of the lane to" in result.error.hint
        assert [event.error_class for event in there.events(CallFailed)] == ["WindowTooSmall"]
        assert not any(request.truncated for request in server.truth.requests)


async def test_a_run_among_many_files_is_done_in_a_small_window(tmp_path: Path) -> None:
    server = simulator(tmp_path)
    async with world(tmp_path / "w", server, window=4096) as there:
        for number in range(300):
            (there.repo / f"a_module_with_a_long_name_number_{number}.py").write_text(f"x = {number}\n" * 300)
        result = await there.run(TASK)
        assert result.status == "done"
        assert RIGHT.splitlines()[1].strip() in (result.patch or "")
        assert there.events(PromptTrimmed)
        calls = xray_of(await there.app.calls.of_run(result.run))
        assert all(call.prompt is not None and call.prompt_tokens < 4096 for call in calls)
        assert any(trim.part == "listing" for call in calls if call.prompt for trim in call.prompt.trims)
        assert not any(request.truncated for request in server.truth.requests)
