from pathlib import Path

import pytest

from infrastructure.sandbox import Limits, NoSandbox, Sandbox
from infrastructure.tools.tool import ToolPlace
from tests.tools.conftest import Bench
from tests.workspace.repos import Repo

pytestmark = pytest.mark.slow


def left(folder: Path) -> set[str]:
    return {str(each.relative_to(folder)) for each in folder.rglob("*")}


async def test_a_command_changes_nothing_and_says_what_it_would_have_changed(sandboxed: Bench):
    sandboxed.file("a.txt", "old\n")
    sandboxed.file("gone.txt", "x\n")
    before = left(sandboxed.workspace)
    result = await sandboxed.run(
        "run_command", command="cat a.txt; echo new > a.txt; echo x > b.txt; rm gone.txt; exit 3"
    )
    assert result.ok, "a command that ends with 3 has been run"
    assert "exit code 3" in result.text
    assert "--- stdout\nold\n" in result.text
    assert "would have changed M a.txt, A b.txt, D gone.txt" in result.text
    assert sandboxed.text("a.txt") == "old\n"
    assert left(sandboxed.workspace) == before


async def test_a_command_reaches_neither_the_network_nor_the_home_folder(sandboxed: Bench, tmp_path: Path):
    (tmp_path / "secret").write_text("secret-word")
    sandboxed.file("a.txt", "")
    (sandboxed.workspace / "out").symlink_to(tmp_path / "secret")
    probe = (
        f"cat {tmp_path}/secret out ~/.ssh/* 2>/dev/null;"
        " (echo > /dev/tcp/127.0.0.1/22) 2>/dev/null && echo reached; python3 -c 'import os; print(os.getppid())'; pwd"
    )
    result = await sandboxed.run("run_command", command=probe)
    assert "secret-word" not in result.text
    assert "reached" not in result.text
    assert str(tmp_path) not in result.text


async def test_a_command_that_floods_or_never_ends_is_stopped(sandboxed: Bench):
    sandboxed.file("a.txt", "")
    place = sandboxed.place()
    brief = ToolPlace(
        session="s1", call="c", workspace=place.workspace, sandbox=place.sandbox, limits=Limits(wall_seconds=1)
    )
    result = await sandboxed.registry.run("run_command", {"command": "sleep 60"}, brief)
    assert not result.ok
    assert result.error_class == "Stopped"
    flood = await sandboxed.run("run_command", command="yes | head -c 300000; printf '\\033[31mred\\033[0m'")
    assert "left out" in flood.text
    assert "\x1b" not in flood.text
    assert len(flood.text) < 17_000


async def test_a_command_runs_in_a_folder_of_the_workspace(sandboxed: Bench):
    sandboxed.file("sub/a.txt", "")
    assert "--- stdout\na.txt" in (await sandboxed.run("run_command", command="ls", cwd="sub")).text
    assert (await sandboxed.run("run_command", command="ls", cwd="none")).error_class == "PathMissing"
    assert not (await sandboxed.run("run_command", command="ls", cwd="../..")).ok


async def test_the_workspaces_tests_are_run(sandboxed: Bench):
    assert (await sandboxed.run("run_tests")).error_class == "NoTests"
    sandboxed.file("app.py", "def one():\n    return 2\n")
    sandboxed.file(
        "test_app.py", "from app import one\n\ndef test_one():\n    assert one() == 1\n\ndef test_two():\n    pass\n"
    )
    before = left(sandboxed.workspace)
    result = await sandboxed.run("run_tests")
    assert result.ok, "red tests are an answer"
    assert "1 passed, 1 failed" in result.text
    assert "FAILED test_app.py::test_one" in result.text
    assert "assert 2 == 1" in result.text
    assert "1 passed, 0 failed" in (await sandboxed.run("run_tests", command="pytest -q -k two")).text
    assert (await sandboxed.run("run_tests", command="pytest 'open")).error_class == "BadArguments"
    assert (await sandboxed.run("run_tests", command="./none.sh")).error_class == "NotStarted"
    assert left(sandboxed.workspace) == before


async def test_where_no_sandbox_holds_nothing_runs(bench: Bench):
    async def opener() -> Sandbox:
        raise NoSandbox({}, "Type: sudo apt install bubblewrap")

    bench.file("a.txt", "")
    assert (await bench.run("run_command", command="touch /tmp/ran")).error_class == "NotAllowed"
    bench.sandbox = opener
    result = await bench.run("run_command", command="touch /tmp/ran")
    assert result.error_class == "NoSandbox"
    assert "apt install" in result.text


async def test_what_differs_from_the_last_commit_is_shown(bench: Bench, repo: Repo):
    repo.write("a.py", "one\ntwo\n")
    repo.write("same.py", "same\n")
    repo.write("gone.py", "gone\n")
    repo.write("big.txt", "x\n" * 400_000)
    repo.write("crlf.txt", "a\r\nb\r\n")
    repo.commit()
    assert (await bench.run("git_diff")).text == "nothing differs from the last commit"
    repo.write(".gitattributes", "*.py filter=evil diff=evil\n")
    repo.git("config", "filter.evil.clean", f"touch {repo.witness}")
    repo.git("config", "diff.evil.textconv", f"touch {repo.witness}")
    repo.git("config", "diff.external", f"touch {repo.witness}")
    repo.write("a.py", "one\n2\n")
    repo.write("sub/new.py", "new\n")
    repo.write("big.txt", "y\n" * 400_000)
    repo.write("a.bin", b"\0\1")
    (repo.root / "gone.py").unlink()
    text = (await bench.run("git_diff")).text
    assert "modified a.py (+1 -1)" in text
    assert "added sub/new.py (+1 -0)" in text
    assert "deleted gone.py (+0 -1)" in text
    assert "differs, not shown: big.txt" in text
    assert "differs, not shown (binary): a.bin" in text
    assert "-two\n+2" in text
    assert "same.py" not in text
    assert "crlf" not in text
    assert (await bench.run("git_diff", path="sub")).text.startswith("1 file\nadded sub/new.py")
    bench.workspace = repo.root / "sub"
    assert "added new.py" in (await bench.run("git_diff")).text
    assert not repo.witness.exists(), "no program of the repository ran"


async def test_a_folder_that_is_no_repository_has_nothing_to_compare_with(bench: Bench):
    assert (await bench.run("git_diff")).error_class == "NoRepository"
