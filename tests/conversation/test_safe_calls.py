"""Calls that are done since they are judged to be safe: what they are not shown, and whose programs they are."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from infrastructure.conversation.ports import Decided
from infrastructure.sandbox import Level, Sandbox, open_sandbox
from tests.conversation.stack import called, simulator, stack
from tests.conversation.world import followed, kinds, talk
from tests.workspace.repos import Repo

pytestmark = pytest.mark.slow

SECRET = "word-of-power"
LEVELS = [Level.BUBBLEWRAP, Level.LANDLOCK, Level.NONE]


def run(line: str) -> str:
    return called("run_command", json.dumps({"command": line}))


async def results(tmp_path: Path, folder: Path, call: str, level: Level = Level.NONE) -> tuple[str, list[str]]:
    """What came of a call, and how the turn's stream ended."""

    async def opener() -> Sandbox:
        return await open_sandbox(level)

    async with simulator(call, "Well.") as server, stack(tmp_path, server.url, sandbox=opener) as here:
        session = await here.session(folder)
        chunks = await talk(here.conversations.process_message(session, "Look", "debug", ends_when_waiting=True))
        return "\n".join(chunk.text for chunk in chunks if chunk.kind == "tool_result"), kinds(chunks)


def repository(tmp_path: Path) -> Path:
    """One with a secret that is committed and has changed, and one that is not."""
    repo = Repo(tmp_path / "work", tmp_path / "witness")
    repo.write("app.py", "print('hello')\n")
    repo.write("config/server.pem", "old\n")
    repo.commit()
    repo.write("app.py", "print('hello again')\n")
    repo.write("config/server.pem", f"{SECRET}\n")
    repo.write(".env", f"TOKEN={SECRET}\n")
    return repo.root


@pytest.mark.parametrize("level", LEVELS)
async def test_a_command_that_nobody_was_asked_about_is_shown_no_secrets(tmp_path: Path, level: Level):
    found, kept = await results(tmp_path, repository(tmp_path), run("grep -r . ."), level)
    assert "approval" not in kept
    assert "hello again" in found
    assert SECRET not in found
    assert "not in the copy, since they may hold secrets and nobody was asked: config/server.pem, .env" in found


@pytest.mark.parametrize("level", [Level.LANDLOCK, Level.NONE])
@pytest.mark.parametrize("line", ["grep -r . {root}", "grep -r . node_modules/..", "grep -r . node_modules/member"])
async def test_a_command_does_not_come_to_the_workspace_itself_by_a_link_of_its_copy(
    tmp_path: Path, level: Level, line: str
):
    root = repository(tmp_path)
    (root / "node_modules").mkdir()
    (root / "node_modules" / "member").symlink_to("../config")
    found, kept = await results(tmp_path, root, run(line.format(root=root)), level)
    assert kept[-1] == "approval"
    assert not found


async def test_a_command_that_nobody_was_asked_about_reads_what_is_installed(tmp_path: Path):
    root = repository(tmp_path)
    (root / "node_modules").mkdir()
    (root / "node_modules" / "x.js").write_text("installed\n")
    found, kept = await results(tmp_path, root, run("cat node_modules/x.js"))
    assert "approval" not in kept
    assert "installed" in found


@pytest.mark.parametrize(
    ("call", "shown"),
    [
        (called("search", '{"pattern": "o"}'), "app.py:1"),
        (called("search", '{"pattern": "o", "regex": true}'), "app.py:1"),
        (called("search", '{"pattern": "o", "glob": "*.env"}'), "nothing found"),
        (called("search", '{"pattern": "o", "path": "config"}'), "nothing found"),
        (called("git_diff", "{}"), "modified app.py"),
        (called("git_diff", '{"path": "config"}'), "nothing else differs"),
    ],
)
async def test_a_tool_that_nobody_was_asked_about_passes_secrets_over_and_says_so(
    tmp_path: Path, call: str, shown: str
):
    found, kept = await results(tmp_path, repository(tmp_path), call)
    assert "approval" not in kept
    assert shown in found
    assert SECRET not in found
    assert "may hold secrets" in found


@pytest.mark.parametrize("tool", ["search", "git_diff"])
@pytest.mark.parametrize("path", [".env", "config/server.pem"])
async def test_a_secret_that_is_named_is_asked_about_and_shown_after_a_yes(tmp_path: Path, tool: str, path: str):
    arguments = {"path": path, **({"pattern": "o"} if tool == "search" else {})}
    script = (called(tool, json.dumps(arguments)), "Well.")
    async with simulator(*script) as server, stack(tmp_path, server.url) as here:
        session = await here.session(repository(tmp_path))
        first = await talk(here.conversations.process_message(session, "Look", "debug", ends_when_waiting=True))
        assert kinds(first)[-1] == "approval"
        following = await followed(here.conversations, session)
        await here.conversations.decide(first[-1].approval, Decided(kind="approve"))
        assert SECRET in next(chunk.text for chunk in await following if chunk.kind == "tool_result")


@pytest.mark.parametrize("level", LEVELS)
async def test_a_program_of_the_workspace_is_not_taken_for_the_one_that_was_judged(tmp_path: Path, level: Level):
    folder = tmp_path / "work"
    programs = folder / ".venv" / "bin"
    programs.mkdir(parents=True)
    (folder / "README.md").write_text("x\n")
    (folder / ".venv" / "pyvenv.cfg").write_text("home = /usr/bin\n")
    (programs / "python").symlink_to("/usr/bin/python3")
    (programs / "ls").write_text("#!/bin/sh\necho taken over\n")
    (programs / "ls").chmod(0o755)
    found, kept = await results(tmp_path, folder, run("ls"), level)
    assert "approval" not in kept
    assert "--- stdout\nREADME.md" in found
    assert "taken over" not in found


@pytest.mark.parametrize("level", [Level.LANDLOCK, Level.NONE])
@pytest.mark.parametrize("line", ["ls", "grep -r . ."])
async def test_tests_by_a_command_that_only_reads_ask_since_they_find_the_workspaces_programs(
    tmp_path: Path, level: Level, line: str
):
    found, kept = await results(
        tmp_path, repository(tmp_path), called("run_tests", json.dumps({"command": line})), level
    )
    assert kept[-1] == "approval"
    assert not found


async def test_a_program_of_the_workspace_that_is_on_the_path_of_corral_comes_after_the_systems(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    folder = tmp_path / "work"
    (folder / "bin").mkdir(parents=True)
    (folder / "README.md").write_text("x\n")
    for name in ("ls", "rg"):
        (folder / "bin" / name).write_text("#!/bin/sh\necho taken over\n")
        (folder / "bin" / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}/bin:{os.environ['PATH']}")
    found, kept = await results(tmp_path, folder, run("ls; rg x"))
    assert "approval" not in kept
    assert "README.md" in found
    assert "taken over" not in found


@pytest.mark.parametrize("setting", ["fsmonitor", "hooksPath"])
async def test_a_repository_among_the_files_of_the_workspace_runs_nothing(tmp_path: Path, setting: str):
    repo, witness = Repo(tmp_path / "work", tmp_path / "none"), tmp_path / "witness"
    program = f"#!/bin/sh\ntouch '{witness}'\n"
    repo.write("docs/run", program)
    repo.write("docs/hooks/post-index-change", program)
    for path in ("docs/run", "docs/hooks/post-index-change"):
        (repo.root / path).chmod(0o755)
    repo.write("docs/HEAD", "ref: refs/heads/main\n")
    repo.write("docs/objects/kept", "")
    repo.write("docs/refs/kept", "")
    value = {"fsmonitor": "$PWD/docs/run", "hooksPath": "docs/hooks"}[setting]
    repo.write(
        "docs/config",
        f'[core]\n\trepositoryformatversion = 0\n\tbare = false\n\tworktree = ..\n\t{setting} = "{value}"\n',
    )
    repo.commit()
    found, kept = await results(tmp_path, repo.root, run("cd docs && git status"))
    assert "approval" not in kept
    assert "fatal" in found
    assert not witness.exists()
