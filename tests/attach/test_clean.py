"""`corral clean` beside `corral serve`: the server cleans, and goes on."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.attach.commands import bench

pytestmark = pytest.mark.slow


async def test_clean_beside_a_server_is_its_guest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with bench(tmp_path) as made:
        server = await made.serve()
        await made.held_by(server)
        run = await made.run()
        assert await run.ended() == 0, run.text
        monkeypatch.setenv("CORRAL_RETENTION__TREES_DAYS", "0")
        clean = await made.command("clean", "--output", "json")
        assert await clean.ended() == 0, clean.text
        assert f"`corral serve` (process {server.pid}), which has cleaned beside its work" in clean.text
        assert clean.documents[0]["trees"] == 1
        assert list((made.data / "trees").iterdir()) == []
        again = await made.run()
        assert await again.ended() == 0, again.text
