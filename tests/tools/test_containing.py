"""What nobody is asked about cannot get out of the sandbox; what could be seen there that it should not, asks."""

from __future__ import annotations

import os
import socket
from dataclasses import replace
from pathlib import Path

import pytest

from infrastructure.sandbox import Level, Limits, NoSandbox, Sandbox, open_sandbox
from infrastructure.tools.containing import Containment, names_secrets, of_the_home
from infrastructure.tools.tool import ToolResult
from tests.tools.conftest import Bench

pytestmark = pytest.mark.slow


async def unasked(bench: Bench, line: str, held: str = "bubblewrap", **arguments: object) -> ToolResult:
    """Run a command as one that nobody was asked about."""
    brief = Limits(wall_seconds=10, processes=32, memory_bytes=256 << 20)
    place = replace(bench.place(), held=held, limits=brief)
    return await bench.registry.run("run_command", {"command": line, **arguments}, place)


def level_of(sandbox: Sandbox) -> Containment:
    async def opener() -> Sandbox:
        return sandbox

    return Containment(opener)


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    folder = tmp_path / "outside"
    folder.mkdir()
    (folder / "secret").write_text("word-of-power")
    return folder


@pytest.mark.parametrize(
    "line",
    [
        "cat {outside}/secret",
        "cat ../outside/secret ../../outside/secret",
        "cat link/secret file",
        "ln -s {outside} here; cat here/secret",
        "ln {outside}/secret here; cat here",
        "cat /proc/{pid}/environ /proc/{pid}/root{outside}/secret /proc/1/root{outside}/secret",
        "cat /proc/{pid}/cwd/../outside/secret",
        "cd {outside} && cat secret",
        "tar -cf - {outside} | tar -xOf -",
        "python3 -c 'print(open(\"{outside}/secret\").read())'",
        "unshare -r cat {outside}/secret",
        "mount --bind {outside} . && cat secret",
        "nsenter -t {pid} -m cat {outside}/secret",
        "chroot /proc/1/root cat {outside}/secret",
        "bash -c 'exec 3<{outside}/secret; cat <&3'",
        "for f in /tmp/*/outside/secret /*/*/*/outside/secret; do cat $f; done",
        "find / -name secret -exec cat {{}} +",
    ],
)
async def test_command_reads_nothing_outside(sandboxed: Bench, outside: Path, line: str):
    sandboxed.file("a.txt", "")
    (sandboxed.workspace / "link").symlink_to(outside)
    (sandboxed.workspace / "file").symlink_to(outside / "secret")
    result = await unasked(sandboxed, line.format(outside=outside, pid=os.getpid()))
    assert "word-of-power" not in result.text
    assert result.sandbox == "bubblewrap"


@pytest.mark.parametrize(
    "line",
    [
        "echo x > {outside}/new",
        "rm -rf {outside} / ~ .. 2>/dev/null",
        "ln -s {outside} here; echo x > here/new",
        "cp /bin/true {outside}/new; mv a.txt {outside}/new",
        'python3 -c \'import os; os.chdir("{outside}"); open("new", "w")\'',
        "echo x > /proc/{pid}/root{outside}/new",
        "echo x > /proc/{pid}/cwd/new; echo x > ~/.bashrc; echo x > /etc/passwd",
        "kill -9 {pid}; kill -9 -1; pkill -9 python",
        "echo 1 > /proc/sys/kernel/panic; echo x > /dev/sda; mknod d b 8 0",
        "mkdir -p .git/hooks; echo x > .git/hooks/post-checkout; git init -q; git config core.hooksPath {outside}",
        "setsid sh -c 'sleep 1; echo x > {outside}/new' & disown; nohup sh -c 'echo x > {outside}/new' &",
    ],
)
async def test_command_changes_nothing_outside(sandboxed: Bench, outside: Path, line: str):
    sandboxed.file("a.txt", "old")
    await unasked(sandboxed, line.format(outside=outside, pid=os.getpid()))
    assert sorted(each.name for each in outside.iterdir()) == ["secret"]
    assert (outside / "secret").read_text() == "word-of-power"
    assert sorted(each.name for each in sandboxed.workspace.iterdir()) == ["a.txt"]
    assert sandboxed.text("a.txt") == "old"


async def test_command_reaches_no_socket(sandboxed: Bench, tmp_path: Path):
    sandboxed.file("a.txt", "")
    with socket.socket() as tcp, socket.socket(socket.AF_UNIX) as unix:
        tcp.bind(("127.0.0.1", 0))
        tcp.listen()
        unix.bind(str(tmp_path / "s"))
        unix.listen()
        port = tcp.getsockname()[1]
        program = (
            "import socket\n"
            f"for family, where in ((socket.AF_INET, ('127.0.0.1', {port})), (socket.AF_UNIX, '{tmp_path}/s')):\n"
            "    try:\n        socket.socket(family).connect(where)\n        print('reached')\n"
            "    except OSError as error:\n        print('refused')\n"
        )
        sandboxed.file("probe.py", program)
        result = await unasked(sandboxed, f"python3 probe.py; (echo > /dev/tcp/127.0.0.1/{port}) && echo reached")
    assert "reached" not in result.text
    assert "refused\nrefused" in result.text


@pytest.mark.parametrize("line", [":(){ :|:& };:; sleep 60", "python3 -c 'x = bytearray(1 << 40)'", "yes > big"])
async def test_command_that_takes_everything_is_bounded(sandboxed: Bench, line: str):
    sandboxed.file("a.txt", "")
    result = await unasked(sandboxed, line)
    assert not result.ok or "exit code 0" not in result.text
    assert (await unasked(sandboxed, "echo still here")).ok


async def test_files_that_may_hold_secrets_are_not_in_the_copy(sandboxed: Bench):
    for path in (".env", "deploy/id_rsa", "certs/server.pem", ".aws/config", "app/.env.local"):
        sandboxed.file(path, "word-of-power")
    sandboxed.file("a.txt", "seen")
    (sandboxed.workspace / "alias").symlink_to(".env")
    result = await unasked(sandboxed, "cat a.txt alias; cat $(ls -A) .[a-z]*/* */*; grep -r word .; find . -type f")
    assert "seen" in result.text
    assert "word-of-power" not in result.text
    assert "deploy/id_rsa" in result.text.partition("nobody was asked")[2], "what is not there is said"
    assert "would have changed" not in result.text
    asked = await unasked(sandboxed, "cat .env", held="")
    assert "word-of-power" in asked.text, "after a yes all of it is there"


@pytest.mark.parametrize("held", ["landlock", "none", "bubblewrap-of-old"])
async def test_command_runs_in_the_sandbox_it_was_not_asked_for_or_not_at_all(sandboxed: Bench, held: str):
    result = await unasked(sandboxed, "echo ran", held=held)
    assert (result.ok, result.error_class) == (False, "SandboxChanged")
    assert "ran" not in result.text.split()


async def test_only_the_strongest_level_answers_for_a_person():
    async def none() -> Sandbox:
        raise NoSandbox({}, "Type: sudo apt install bubblewrap")

    line = {"command": "make"}
    assert await level_of(await open_sandbox(Level.BUBBLEWRAP)).of("run_command", line) == "bubblewrap"
    for level in (Level.LANDLOCK, Level.NONE):
        assert await level_of(await open_sandbox(level)).of("run_command", line) == ""
    assert await Containment(none).of("run_command", line) == ""


@pytest.mark.parametrize(
    ("tool", "arguments"),
    [
        ("write_file", {"path": "a", "content": "b"}),
        ("read_file", {"path": "/etc/passwd"}),
        ("runner", {"command": "make"}),
        ("run_command", {"command": ["make"]}),
        ("run_command", {}),
        ("run_command", {"command": "cat .env"}),
        ("run_command", {"command": "x=deploy/id_rsa; cat $x"}),
        ("run_tests", {"command": "pytest --key=server.pem"}),
    ],
)
async def test_other_calls_are_not_answered_for(tool: str, arguments: dict[str, object]):
    held = level_of(await open_sandbox(Level.BUBBLEWRAP))
    assert await held.of(tool, arguments) == ""


async def test_program_of_another_project_in_the_home_asks_and_is_not_shown(
    sandboxed: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    home = tmp_path / "home"
    for place in ("work/other/bin", ".tools/bin"):
        (home / place).mkdir(parents=True)
    (home / "work/other/key.txt").write_text("word-of-power")
    for program in ("work/other/bin/theirs", ".tools/bin/mine"):
        (home / program).write_text("#!/bin/sh\necho ran\n")
        (home / program).chmod(0o755)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("PATH", f"{home}/work/other/bin:{home}/.tools/bin:{os.environ['PATH']}")
    sandboxed.file("a.txt", "")
    held = level_of(await open_sandbox(Level.BUBBLEWRAP))
    assert await held.of("run_command", {"command": f"theirs && cat {home}/work/other/key.txt"}) == ""
    assert await held.of("run_command", {"command": "mine"}) == "bubblewrap"
    assert await held.of("run_tests", {"command": "make check"}) == "bubblewrap"
    for line in ("theirs", "mine", f"{home}/work/other/bin/theirs", "../other/bin/theirs", "~/work/other/bin/theirs x"):
        assert await held.of("run_tests", {"command": line}) == "", line
    result = await unasked(sandboxed, f"theirs && cat {home}/work/other/key.txt")
    assert "word-of-power" not in result.text
    assert not of_the_home(home / ".tools")
    assert of_the_home(home / "work" / "other")


async def test_tests_that_nobody_was_asked_about_see_no_other_folder_of_the_home(
    sandboxed: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    home = tmp_path / "home"
    program = home / "work" / "other" / "run.sh"
    program.parent.mkdir(parents=True)
    (program.parent / "key.txt").write_text("word-of-power")
    program.write_text(f"#!/bin/sh\ncat {program.parent}/key.txt\nexit 1\n")
    program.chmod(0o755)
    monkeypatch.setenv("HOME", str(home))
    sandboxed.file("a.txt", "")

    async def said(held: str) -> str:
        place = replace(sandboxed.place(), held=held)
        return (await sandboxed.registry.run("run_tests", {"command": str(program)}, place)).text

    assert "word-of-power" not in await said("bubblewrap")
    assert "word-of-power" in await said("")  # somebody was asked


def test_words_that_name_secrets():
    for line in (
        "cat .env",
        "cat ./app/.env.local",
        "f=~/.ssh/id_rsa",
        "(cat <server.key)",
        "tar c .aws",
        'cat "a/.npmrc"',
    ):
        assert names_secrets(line), line
    for line in ("make env", "pytest -k environment", "ls", "python3 -m http.server"):
        assert not names_secrets(line), line
