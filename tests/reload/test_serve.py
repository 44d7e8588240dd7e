"""`corral serve` over its settings file: it says what it takes, and goes on."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path

import pytest

from tests.backend.serving import served
from tests.engine.world import simulator


@pytest.mark.slow
async def test_a_file_that_changes_and_sighup_are_taken_and_told(tmp_path: Path):
    file = tmp_path / "corral.toml"
    file.write_text("[pool]\nqueue_length = 10\n")
    async with simulator(tmp_path) as ollama, served(tmp_path / "data", [ollama.url], "--config", str(file)) as server:
        file.write_text("[pool]\nqueue_length = 20\n[serve]\nport = 1\n")
        assert await server.line_with("settings") == "settings reloaded: pool.queue_length\n"  # the port is a flag's

        file.write_text("[pool]\nqueue_length = 0\n[retention]\nrun_days = 1\n")
        line = await server.line_with("settings")
        assert "settings not reloaded, those before stay: file" in line
        assert "pool.queue_length: 0 is not accepted; write 1 or more" in line
        assert "did you mean retention.runs_days?" in line

        file.write_text("[pool]\nqueue_length = 30\n")
        server.process.send_signal(signal.SIGHUP)
        assert await server.line_with("settings") == "settings reloaded: pool.queue_length\n"
        async with server.client() as client:
            shown = (await client.get("/api/v1/config")).json()
        assert (shown["settings"]["pool"]["queue_length"], shown["watched"]) == (30, True)
        assert await server.stop() == 0


@pytest.mark.slow
async def test_without_the_watch_only_a_signal_has_the_file_read(tmp_path: Path):
    file = tmp_path / "corral.toml"
    file.write_text("[serve]\nwatch = false\n")
    async with simulator(tmp_path) as ollama, served(tmp_path / "data", [ollama.url], "--config", str(file)) as server:
        file.write_text("[serve]\nwatch = false\n[run]\nrounds = 3\n")
        async with server.client() as client:
            shown = (await client.get("/api/v1/config")).json()
            assert (shown["settings"]["run"]["rounds"], shown["watched"]) == (2, False)
            told = asyncio.create_task(server.line_with("settings"))
            server.process.send_signal(signal.SIGHUP)
            assert await told == "settings reloaded: run.rounds\n"
            assert (await client.get("/api/v1/config")).json()["settings"]["run"]["rounds"] == 3
        assert await server.stop() == 0
