"""The server as a process: its address, its end, and what goes on after it."""

from __future__ import annotations

import asyncio
import json
import shutil
import signal
import sys
from contextlib import AsyncExitStack, nullcontext
from importlib.util import find_spec
from pathlib import Path

import httpx
import pytest

from backend.cli.app import run_command
from backend.cli.entrance import Entrance, entrance_of
from backend.cli.serve import elsewhere
from backend.looping import loop_name, run_in_loop
from backend.security.addresses import is_loopback_host
from backend.server import AsyncServerCore, NoPassword, ToldToEnd, address_of, check_host, listen
from infrastructure.config.settings import ServeSettings
from infrastructure.processes import run_process
from tests.backend.serving import follow, served
from tests.backend.site import STREAM, Frame, Site, frames_of
from tests.engine.world import TASK, paced, repository, simulator

SLOW = pytest.mark.slow
RUNS, READERS = 10, 10


def test_a_port_that_is_taken_gives_the_next_free_one() -> None:
    with listen("127.0.0.1", 0) as first:
        port = first.getsockname()[1]
        with listen("127.0.0.1", port) as second:
            assert second.getsockname()[1] > port


def test_a_port_that_was_asked_for_is_that_one_or_none() -> None:
    with listen("127.0.0.1", 0) as first, pytest.raises(OSError, match="in use"):
        listen("127.0.0.1", first.getsockname()[1], tries=1)


@pytest.mark.parametrize("verb", ["serve", "sim"])
def test_a_port_that_is_taken_is_told_in_words_with_what_to_do(
    verb: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    with listen("127.0.0.1", 0) as taken:
        port = str(taken.getsockname()[1])
        data = ["--data", str(tmp_path / "data")] if verb == "serve" else []
        assert run_command([verb, "--port", port, *data]) == 3
    said = capsys.readouterr().err
    assert f"error: port {port} is taken on 127.0.0.1\n  → " in said
    assert "--port" in said
    assert "Errno" not in said
    assert not (tmp_path / "data").exists()


def test_a_descriptor_that_is_no_socket_is_told_in_words(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert run_command(["serve", "--fd", "999", "--data", str(tmp_path / "data")]) == 2
    assert "--fd: 999 is no socket" in capsys.readouterr().err


async def test_nobody_is_sent_to_a_server_that_brings_its_runs_to_rest(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    application, seen = site.application, list[Entrance | None]()
    core = AsyncServerCore(
        lambda: nullcontext(application), application.settings.serve, listener=listen("127.0.0.1", 0)
    )

    async def entrance() -> Entrance | None:
        return await asyncio.to_thread(lambda: entrance_of(application.settings, "serve", by_password=False))

    async def drain(reason: str) -> None:
        seen.append(await entrance())

    monkeypatch.setattr(application.engine, "drain", drain)
    async with core:
        there = await entrance()
        assert there is not None
        assert there.address == core.address
    assert seen == [None]


async def test_server_that_is_told_to_end_before_it_begins_does_not_begin(site: Site) -> None:
    application = site.application
    core = AsyncServerCore(
        lambda: nullcontext(application), application.settings.serve, listener=listen("127.0.0.1", 0)
    )
    core.begin_shutdown()
    with pytest.raises(ToldToEnd):
        await core.start()


@pytest.mark.parametrize(
    ("host", "hosts", "said"),
    [
        ("127.0.0.1", ("gpu.lan",), ()),
        ("192.168.1.5", (), ()),
        ("0.0.0.0", ("gpu.lan", "192.168.1.5"), ("http://gpu.lan:8765/signin", "http://192.168.1.5:8765/signin")),
        ("0.0.0.0", (), ("other machines are refused", "corral config set serve.hosts")),
        ("::", (), ("other machines are refused", "corral config set serve.hosts")),
    ],
)
def test_other_machines_are_told_of_where_the_server_listens_to_all(
    host: str, hosts: tuple[str, ...], said: tuple[str, ...]
) -> None:
    lines = elsewhere(ServeSettings(host=host, hosts=hosts, password="correct horse"), "http://127.0.0.1:8765")
    assert len(lines) == len(said)
    assert all(word in line for word, line in zip(said, lines, strict=True))


def test_an_address_that_is_not_ours_is_no_reason_to_try_on() -> None:
    with pytest.raises(OSError, match="assign requested address"):
        listen("192.0.2.1", 8765)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "box.example"])
def test_an_address_open_to_others_wants_a_password(host: str) -> None:
    with pytest.raises(NoPassword):
        check_host(host, ServeSettings())
    check_host(host, ServeSettings(password="correct horse"))
    assert not is_loopback_host(host)


def test_serving_others_without_a_password_ends_at_once_and_says_what_to_do(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert run_command(["serve", "--host", "0.0.0.0", "--data", str(tmp_path / "data")]) == 2
    assert "--password-file" in capsys.readouterr().err
    assert not (tmp_path / "data").exists()


def test_a_short_password_is_refused(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "password").write_text("short\n")
    assert run_command(["serve", "--password-file", str(tmp_path / "password"), "--data", str(tmp_path / "d")]) == 2
    assert "8 characters" in capsys.readouterr().err


def test_everybodys_address_is_reached_over_loopback() -> None:
    assert address_of("0.0.0.0", 80) == "http://127.0.0.1:80"
    assert address_of("::", 80) == "http://[::1]:80"
    assert address_of("192.168.1.5", 80) == "http://192.168.1.5:80"


def test_programs_are_fed_on_the_servers_event_loop_too() -> None:
    async def echo() -> bytes:
        done = await run_process(["/bin/cat"], cwd=None, env={}, stdin=b"fed", timeout=60)
        return done.stdout

    assert run_in_loop(echo) == b"fed"


def test_the_loop_that_is_named_is_the_one_that_runs() -> None:
    async def name() -> str:
        return loop_name()

    assert run_in_loop(name, fast=False) == "asyncio"
    assert run_in_loop(name) == ("uvloop" if find_spec("uvloop") else "asyncio")


@SLOW
async def test_shutdown_ends_every_stream_and_the_next_engine_goes_on_with_the_runs(tmp_path: Path) -> None:
    data, repo = tmp_path / "data", repository(tmp_path / "repo")
    readings: dict[str, list[list[Frame]]] = {}
    async with AsyncExitStack() as stack:
        slow = await stack.enter_async_context(paced(tmp_path, tokens_per_second=2))
        async with served(data, [slow.url]) as server, server.client() as client, asyncio.TaskGroup() as beside:
            started = asyncio.Semaphore(0)
            for number in range(RUNS):
                key = {"Idempotency-Key": f"task {number}"}
                answer = await client.post("/api/v1/runs", json={"task": TASK, "repo": str(repo)}, headers=key)
                run = answer.json()["run"]
                readings[run] = [[] for _ in range(READERS)]
                for frames in readings[run]:
                    beside.create_task(follow(client, run, frames, started))
            for _ in range(RUNS * READERS):
                await started.acquire()
            assert await server.stop() == 0
        for several in readings.values():
            for frames in several:
                assert [frame.event for frame in frames[-2:]] == ["run.interrupted", "server-shutdown"]
                assert [frame.id for frame in frames[:-1]] == list(range(1, len(frames)))
        assert (data / "engine.lock").read_text() == ""

        fast = await stack.enter_async_context(simulator(tmp_path))
        async with served(data, [fast.url]) as server, server.client() as client, asyncio.TaskGroup() as beside:
            for run, several in readings.items():
                seen = several[0].pop()  # the shutdown has no number
                assert seen.event == "server-shutdown"
                beside.create_task(_go_on(client, run, several[0]))
            again = await client.post(
                "/api/v1/runs", json={"task": TASK, "repo": str(repo)}, headers={"Idempotency-Key": "task 0"}
            )
            assert again.json()["run"] == next(iter(readings))
        for several in readings.values():
            frames = several[0]
            assert [frame.event for frame in frames[-2:]] == ["run.finished", "end"]
            assert frames[-2].json["status"] == "done"
            assert [frame.id for frame in frames[:-1]] == list(range(1, len(frames)))


@SLOW
async def test_a_killed_engines_guests_go_on_and_its_users_runs_wait(tmp_path: Path) -> None:
    data, repo = tmp_path / "data", repository(tmp_path / "repo")
    async with AsyncExitStack() as stack:
        slow = await stack.enter_async_context(paced(tmp_path, tokens_per_second=2))
        async with served(data, [slow.url]) as server, server.client() as client:
            answer = await client.post("/api/v1/runs", json={"task": TASK, "repo": str(repo)})
            stopped = await client.post("/api/v1/runs", json={"task": TASK, "repo": str(repo)})
            assert (await client.post(f"/api/v1/runs/{stopped.json()['run']}/interrupt")).status_code == 202
            server.process.kill()
            await server.process.wait()
        fast = await stack.enter_async_context(simulator(tmp_path))
        async with served(data, [fast.url]) as server, server.client() as client:
            frames: list[Frame] = []
            await follow(client, answer.json()["run"], frames, asyncio.Semaphore(0))
            assert [frame.event for frame in frames[-2:]] == ["run.finished", "end"]
            view = (await client.get(f"/api/v1/runs/{stopped.json()['run']}")).json()
            assert (view["state"], view["reason"]) == ("interrupted", "interrupted by a person")


@SLOW
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_a_signal_ends_an_idle_server_well(tmp_path: Path, number: signal.Signals) -> None:
    async with served(tmp_path / "data", []) as server:
        token = server.headers
        assert await server.stop(number) == 0
        assert "shutting down" in server.said
    async with served(tmp_path / "data", []) as server:
        assert server.headers == token


@SLOW
async def test_a_second_serve_only_says_where_to_sign_in(tmp_path: Path) -> None:
    async with served(tmp_path / "data", []) as server:
        second = await asyncio.create_subprocess_exec(
            *_command("serve", "--data", str(tmp_path / "data")), stderr=asyncio.subprocess.PIPE
        )
        _, said = await second.communicate()
        assert second.returncode == 0
        address = next(word for word in said.decode().split() if "/signin?code=" in word)
        assert address.startswith(server.address)
        async with httpx.AsyncClient() as browser:
            assert (await browser.get(address)).status_code == 200
            assert (await browser.get(f"{server.address}/api/v1/pool")).status_code == 200
        assert await server.stop() == 0


@SLOW
@pytest.mark.parametrize("known", [True, False])
async def test_a_second_serve_beside_one_with_a_password_prints_no_one_time_address(
    tmp_path: Path, known: bool
) -> None:
    """Also where only the first was told of the password."""
    (tmp_path / "password").write_text("correct horse\n")
    guarded = ["--password-file", str(tmp_path / "password")]
    async with served(tmp_path / "data", [], *guarded, until="asks for the password") as server:
        second = await asyncio.create_subprocess_exec(
            *_command("serve", "--data", str(tmp_path / "data"), *(guarded if known else [])),
            stderr=asyncio.subprocess.PIPE,
        )
        _, said = await second.communicate()
        assert second.returncode == 0
        assert f"{server.address}/signin    asks for the password" in said.decode()
        assert "code=" not in said.decode()
        assert await server.stop() == 0


@SLOW
@pytest.mark.usefixtures("executed")  # of other sources
async def test_reload_starts_anew_on_the_same_socket_when_the_source_changes(tmp_path: Path) -> None:
    source = tmp_path / "source"
    for package in ("agents", "infrastructure", "backend"):
        ignored = shutil.ignore_patterns("__pycache__")
        await asyncio.to_thread(shutil.copytree, Path(__file__).parents[2] / package, source / package, ignore=ignored)
    data = tmp_path / "data"
    async with served(data, [], "--reload", source=source) as server, server.client() as client:
        before = json.loads((data / "engine.lock").read_text())
        (source / "backend" / "broken.py").write_text("def half(")  # an editor that is not done yet
        (source / "backend" / "__init__.py").write_text('"""Changed."""\n')
        (source / "backend" / "broken.py").write_text("half = 1\n")
        await server.line_with("shutting down")
        await server.line_with("signs a browser in")
        after = json.loads((data / "engine.lock").read_text())
        assert (after["address"], after["pid"]) == (before["address"], before["pid"])
        assert after["started"] > before["started"]
        assert (await client.get("/api/v1/pool")).status_code == 200
        assert await server.stop() == 0


async def _go_on(client: httpx.AsyncClient, run: str, frames: list[Frame]) -> None:
    """Read on behind what was read before."""
    headers = {**STREAM, "Last-Event-ID": str(frames[-1].id)}
    async with client.stream("GET", f"/api/v1/runs/{run}/events", headers=headers) as answer:
        frames += [frame async for frame in frames_of(answer)]


def _command(*words: str) -> list[str]:
    return [sys.executable, "-m", "backend.cli", *words]
