import os
import threading
from pathlib import Path

import pytest

from infrastructure.tools import paths, reading, searching
from infrastructure.tools.globs import matches
from infrastructure.tools.reading import MOST_BYTES
from infrastructure.tools.texts import RESULT_CHARACTERS
from tests.tools.conftest import Bench
from tests.workspace.repos import Repo

OUTSIDE = [
    "../secret", "/etc/passwd", "a/../../secret", "", ".", "a//b", ".git/config", "a/.GIT/config", "a\0b", "~/x/..",
    "link", "linked/passwd", "fifo", "x" * 300,
]  # fmt: skip


@pytest.mark.parametrize("path", OUTSIDE)
async def test_nothing_outside_the_workspace_is_read(bench: Bench, path: str):
    bench.file("../secret", "secret")
    bench.file(".git/config", "[core]")
    (bench.workspace / "link").symlink_to("../secret")
    (bench.workspace / "linked").symlink_to("/etc")
    os.mkfifo(bench.workspace / "fifo")
    result = await bench.run("read_file", path=path)
    assert not result.ok
    assert "secret\n" not in result.text
    assert "root:" not in result.text


async def test_lines_are_shown_with_their_numbers(bench: Bench):
    bench.file("a.py", "one\r\ntwo\nthree\n")
    assert (await bench.run("read_file", path="a.py")).text == ("[a.py, lines 1 to 3 of 3]\n1  one\n2  two\n3  three")
    assert (await bench.run("read_file", path="./a.py", start=2, end=2)).text == (
        "[a.py, lines 2 to 2 of 3; go on with start=3]\n2  two"
    )
    assert (await bench.run("read_file", path=str(bench.workspace / "a.py"), start=3)).ok, "its own absolute path"
    assert "no line 4" in (await bench.run("read_file", path="a.py", start=4)).text
    assert "before start" in (await bench.run("read_file", path="a.py", start=3, end=1)).text
    bench.file("empty", "")
    assert (await bench.run("read_file", path="empty")).text == "empty is empty"


async def test_a_file_of_any_size_is_shown_in_part(bench: Bench):
    bench.file("long.txt", ("x" * 79 + "\n") * 200)
    with (bench.workspace / "long.txt").open("ab") as file:
        file.truncate(MOST_BYTES * 20)  # sparse: the rest is NUL, behind what is probed
    result = await bench.run("read_file", path="long.txt", end=2)
    assert result.ok
    assert f"it has {MOST_BYTES * 20:,} bytes" in result.text
    bench.file("wide.txt", "y" * 5_000_000)
    result = await bench.run("read_file", path="wide.txt")
    assert "characters more]" in result.text
    assert len(result.text) < RESULT_CHARACTERS
    bench.file("many.txt", "".join(f"{'z' * 100} {number}\n" for number in range(10_000)))
    result = await bench.run("read_file", path="many.txt", end=9_000)
    assert "go on with start=" in result.text
    assert len(result.text) < RESULT_CHARACTERS


async def test_what_is_no_text_is_said_to_be(bench: Bench):
    bench.file("a.png", b"\x89PNG\0\0")
    assert (await bench.run("read_file", path="a.png")).error_class == "Binary"
    bench.file("latin", b"caf\xe9 \x1b[31mred\x1b[0m\x07\n")
    text = (await bench.run("read_file", path="latin")).text
    assert "caf\ufffd red" in text
    assert "no UTF-8" in text


async def test_a_file_that_is_not_there_is_told_with_those_that_may_be_meant(bench: Bench):
    bench.file("src/app.py", "")
    bench.file("src/tool.py", "")
    assert "Did you mean src/app.py?" in (await bench.run("read_file", path="app.py")).text
    assert "Did you mean src/tool.py" in (await bench.run("read_file", path="src/tol.py")).text
    assert "is a folder" in (await bench.run("read_file", path="src")).text
    assert (await bench.run("read_file", path="zzz")).error_class == "PathMissing"


async def test_ignored_files_are_neither_listed_nor_searched(bench: Bench, repo: Repo):
    repo.write(".gitignore", "*.log\nbuild/\n")
    repo.write("src/app.py", "needle\n")
    repo.write("old.py", "needle\n")
    repo.commit()
    repo.write("new.py", "needle\n")
    repo.write("a.log", "needle\n")
    repo.write("build/x.py", "needle\n")
    repo.write("node_modules/m/x.js", "needle\n")
    (repo.root / "old.py").unlink()
    (repo.root / "out").symlink_to("/etc")
    assert (await bench.run("list_files")).text.split("\n") == [".gitignore", "new.py", "out", "src/app.py"]
    assert (await bench.run("search", pattern="needle")).text == "new.py:1: needle\nsrc/app.py:1: needle"
    assert (await bench.run("list_files", path="src/")).text == "src/app.py"
    assert (await bench.run("list_files", glob="**/*.py")).text == "new.py\nsrc/app.py"
    assert not repo.witness.exists(), "no program of the repository ran"


async def test_a_long_list_says_where_the_rest_lies(bench: Bench):
    for number in range(400):
        bench.file(f"src/{number:03}.py", "")
    bench.file("z/a.py", "")
    text = (await bench.run("list_files")).text
    assert "[… 101 files more; of all 401:]" in text
    assert "src/: 400 files" in text
    assert "Did you mean" in (await bench.run("list_files", path="lib/src")).text
    assert (await bench.run("list_files", path="none")).error_class == "PathMissing"


async def test_text_and_expressions_are_found(bench: Bench):
    bench.file("a.py", "def f(x):\n    return x\r\n\nDEF = f(1)  # f(1) f(1)\n")
    bench.file("b.txt", "def f(x)")
    bench.file("c.bin", b"def f\0")
    assert (await bench.run("search", pattern="f(")).text == (
        "a.py:1: def f(x):\na.py:4: DEF = f(1)  # f(1) f(1)\nb.txt:1: def f(x)"
    )
    assert (await bench.run("search", pattern="def", ignore_case=True, glob="*.py")).text == (
        "a.py:1: def f(x):\na.py:4: DEF = f(1)  # f(1) f(1)"
    )
    assert (await bench.run("search", pattern=r"^\s+return \w$", regex=True)).text == "a.py:2: return x"
    assert (await bench.run("search", pattern=r"RETURN", regex=True, ignore_case=True)).text == "a.py:2: return x"
    assert (await bench.run("search", pattern="def", path="b.txt")).text == "b.txt:1: def f(x)"
    assert "regex=true" in (await bench.run("search", pattern="def.*x")).text
    assert "no regular expression" in (await bench.run("search", pattern="(", regex=True)).text
    assert (await bench.run("search", pattern="x", path="gone")).error_class == "PathMissing"


async def test_many_lines_that_match_are_bounded(bench: Bench):
    bench.file("a.txt", ("hit " + "x" * 1_000 + "\n") * 5_000)
    for regex in (False, True):
        text = (await bench.run("search", pattern="hit", regex=regex)).text
        assert "more than 100 lines match" in text or "left out" in text
        assert len(text) < RESULT_CHARACTERS + 200


@pytest.mark.parametrize("character", ["x", "\N{GRINNING FACE}", "\x01", '"'])
async def test_lines_of_any_characters_in_a_long_path_are_found_by_an_expression(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, character: str
):
    monkeypatch.setattr(searching, "SECONDS", 60.0)  # however loaded this machine is
    path = "/".join(letter * 250 for letter in "defg")
    bench.file(path, (character * 900 + "\n") * 120)
    result = await bench.run("search", pattern=".", regex=True)
    assert result.ok
    assert result.text.startswith(f"{path}:1: ")


@pytest.mark.parametrize(
    ("tool", "arguments", "work"),
    [
        ("search", {"pattern": "x", "glob": "*.py"}, "matches"),
        ("list_files", {"glob": "*.py"}, "matches"),
        ("read_file", {"path": "b.py"}, "nearest"),
    ],
)
async def test_what_grows_with_the_workspace_is_not_done_on_the_loop(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, tool: str, arguments: dict[str, object], work: str
):
    threads: list[int] = []
    real = getattr(paths, work)

    def counted(*given: object) -> object:
        threads.append(threading.get_ident())
        return real(*given)

    for module in (paths, reading, searching):
        monkeypatch.setattr(module, work, counted, raising=False)
    bench.file("a.py", "x\n")
    assert "a.py" in (await bench.run(tool, **arguments)).text
    assert threads
    assert threading.get_ident() not in threads


async def test_an_expression_that_would_take_for_ever_is_stopped(bench: Bench, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(searching, "SECONDS", 0.5)
    bench.file("a.txt", "a" * 5_000 + "!\n")
    result = await bench.run("search", pattern="(a+)+$", regex=True)
    assert result.error_class == "TooSlow"
    assert "literal text" in result.text


@pytest.mark.parametrize(
    "pattern", ["(" * 900, "((a{1,65535}){1,65535}){1,65535}", "[[]", "(?P<a>x)" * 120, r"(?<=a+)b"]
)
async def test_no_expression_breaks_the_search(bench: Bench, pattern: str):
    bench.file("a.txt", "b\n")
    result = await bench.run("search", pattern=pattern, regex=True)
    assert result.ok or result.error_class in ("BadArguments", "SearchFailed")


@pytest.mark.parametrize(
    ("path", "glob", "fits"),
    [
        ("a/b/c.md", "**/*.md", True), ("c.md", "**/*.md", True), ("c.md", "*.md", True), ("a/c.md", "*.md", True),
        ("a/c.md", "./*.md", True), ("a/b/c.py", "a/**", True), ("a/b/c.py", "a/**/c.py", True),
        ("a/c.py", "a/**/c.py", True),
        ("a/b.md/c.py", "**/*.md", False), ("a/c.MD", "*.md", False), ("ab/c.py", "a/**", False),
        ("a/b/c", "a/*", False),
        ("docs/x.md", "docs/?.md", True), ("x" * 200, "*x" * 40, False), ("a/" * 50 + "b", "**/" * 40 + "c", False),
        ("c.md.py", "*.md", False),
    ],
)  # fmt: skip
def test_globs(path: str, glob: str, fits: bool):
    assert matches(path, glob) is fits


async def test_a_workspace_that_is_gone_is_told(bench: Bench, tmp_path: Path):
    bench.workspace = tmp_path / "gone"
    for tool, arguments in (("list_files", {}), ("search", {"pattern": "x"}), ("read_file", {"path": "a"})):
        assert not (await bench.run(tool, **arguments)).ok
