import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from agents.conversation.compacting import written_in
from agents.model import Message
from backend.retention import Cleaning, clean_up
from backend.store import open_store
from infrastructure.config.settings import Paths, Settings
from infrastructure.tools.tool import ToolPolicy, ToolResult
from infrastructure.workspace import sha_of
from tests.tools.conftest import Bench

MARKDOWN = ToolPolicy(writes_only=("**/*.md",))
CODE = "def one():\n    return 1\n\n\ndef two():\n    return 2\n"


@pytest.mark.parametrize(
    "path",
    [
        "../out", "/tmp/out", "a/../../out", ".git/hooks/pre-commit", ".GIT/config", "sub/.git/config", "git~1/config",
        "link", "linked/out", "con", "a\nb", "-rf", "a:b", "", "x" * 300, "a\0b", "\u202e.txt",
    ],
)  # fmt: skip
async def test_nothing_is_written_where_it_must_not_be(bench: Bench, path: str, tmp_path: Path):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "kept").write_text("kept")
    bench.file(".git/config", "[core]")
    (bench.workspace / "link").symlink_to(outside / "kept")
    (bench.workspace / "linked").symlink_to(outside)
    before = {
        each: each.read_bytes() for each in tmp_path.rglob("*") if each.is_file() and "corral.db" not in each.name
    }
    for tool, arguments in (("write_file", {"content": "evil"}), ("apply_edit", {"search": "kept", "replace": "evil"})):
        result = await bench.run(tool, path=path, **arguments)
        assert not result.ok, result
    after = {each: each.read_bytes() for each in tmp_path.rglob("*") if each.is_file() and "corral.db" not in each.name}
    assert after == before
    assert await bench.writes.of_session("s1") == () or all(
        each.state == "undone" for each in await bench.writes.of_session("s1")
    )


async def test_a_file_is_written_and_its_syntax_told(bench: Bench):
    result = await bench.run("write_file", path="src/a.py", content="def f():\n    return 1")
    assert result.text == "src/a.py is written: it has 2 lines.\nIts syntax is in order."
    assert bench.text("src/a.py") == "def f():\n    return 1\n"
    result = await bench.run("write_file", path="src/a.py", content="def f(:\n")
    assert result.ok
    assert "Check: src/a.py:1:" in result.text
    assert "Check: it cannot be read" in (await bench.run("write_file", path="a.json", content="{")).text
    assert "in order" in (await bench.run("write_file", path="a.toml", content="a = 1")).text
    assert "no syntax check" in (await bench.run("write_file", path="a.txt", content="hello")).text
    assert "nothing was written" in (await bench.run("write_file", path="a.txt", content="hello\n")).text


async def test_result_says_which_file_was_written_to_whoever_sums_up(bench: Bench):
    def written(tool: str, result: ToolResult) -> str:
        return written_in(Message("tool", result.text, tool_name=tool))

    write = {"path": "./src/a.py", "content": "one\ntwo"}
    assert written("write_file", await bench.run("write_file", call="w1", **write)) == "src/a.py"
    assert written("write_file", await bench.run("write_file", call="w1", **write)) == "src/a.py"  # after a crash
    assert written("write_file", await bench.run("write_file", call="w2", **write)) == ""
    edit = {"path": "src/a.py", "search": "one", "replace": "1"}
    assert written("apply_edit", await bench.run("apply_edit", call="e1", **edit)) == "src/a.py"
    assert written("apply_edit", await bench.run("apply_edit", call="e2", **edit)) == ""


async def test_line_ends_and_mode_of_a_file_stay(bench: Bench):
    script = bench.file("run.sh", "echo 1\r\necho 2\r\n")
    script.chmod(0o755)
    await bench.run("write_file", path="run.sh", content="echo 1\necho 3\n")
    assert script.read_bytes() == b"echo 1\r\necho 3\r\n"
    assert script.stat().st_mode & 0o777 == 0o755


async def test_a_file_that_is_given_in_part_is_not_written(bench: Bench):
    bench.file("a.py", CODE)
    result = await bench.run(
        "write_file", path="a.py", content="def one():\n    return 3\n\n# ... rest of the file unchanged\n"
    )
    assert result.error_class == "DoesNotFit"
    assert bench.text("a.py") == CODE


async def test_what_is_no_text_is_neither_written_nor_written_over(bench: Bench):
    bench.file("a.bin", b"\0\1")
    assert (await bench.run("write_file", path="a.bin", content="x")).error_class == "NotText"
    assert (await bench.run("write_file", path="b", content="x\0y")).error_class == "NotText"
    assert (await bench.run("write_file", path="b", content="x\ud800")).error_class == "NotText"
    assert (await bench.run("write_file", path="b", content="x" * (3 << 20))).error_class == "TooLarge"
    bench.file("big", "x" * (3 << 20))
    assert (await bench.run("apply_edit", path="big", search="x", replace="y")).error_class == "TooLarge"


async def test_an_edit_replaces_lines_or_the_only_such_characters(bench: Bench):
    bench.file("a.py", CODE)
    assert (await bench.run("apply_edit", path="a.py", search="    return 2", replace="    return 22")).ok
    assert (await bench.run("apply_edit", path="a.py", search="one", replace="uno")).ok
    assert bench.text("a.py") == CODE.replace("return 2", "return 22").replace("one", "uno")
    assert (await bench.run("apply_edit", path="a.py", search="def uno():\n    return 1\n\n\n", replace="")).ok
    assert bench.text("a.py") == "def two():\n    return 22\n"


async def test_an_edit_that_does_not_fit_shows_the_nearest_lines(bench: Bench):
    bench.file("a.py", CODE)
    result = await bench.run("apply_edit", path="a.py", search="def twoo():\n    return 3", replace="x = 1")
    assert result.error_class == "DoesNotFit"
    assert "def two():" in result.text
    assert (await bench.run("apply_edit", path="a.py", search="return", replace="x")).error_class == "DoesNotFit"
    assert (await bench.run("apply_edit", path="b.py", search="x", replace="y")).error_class == "PathMissing"
    assert bench.text("a.py") == CODE


async def test_an_agent_that_writes_markdown_writes_nothing_else(bench: Bench):
    assert (await bench.run("write_file", policy=MARKDOWN, path="docs/plan.md", content="# Plan")).ok
    for path in ("a.py", "docs/plan.md.py", "md"):
        result = await bench.run("write_file", policy=MARKDOWN, path=path, content="x")
        assert result.error_class == "NotAllowed"
        assert "**/*.md" in result.text
    assert not (bench.workspace / "a.py").exists()


# ------------------------------------------------------------------------------------------------------ undo
async def test_the_last_write_is_taken_back_and_then_the_one_before(bench: Bench):
    bench.file("a.py", CODE)
    await bench.run("apply_edit", path="a.py", search="    return 2", replace="    return 3")
    await bench.run("write_file", path="new/b.py", content="x = 1\n")
    undone = await bench.journal.undo("s1")
    assert undone.ok
    assert undone.text == "new/b.py is removed: it was not there before"
    assert not (bench.workspace / "new/b.py").exists()
    assert (await bench.journal.undo("s1")).text == "a.py is as it was before"
    assert bench.text("a.py") == CODE
    assert not (await bench.journal.undo("s1")).ok
    assert not (await bench.journal.undo("another")).ok


async def test_an_undo_removes_the_folders_that_the_write_made_and_none_that_was_there(bench: Bench):
    (bench.workspace / "var" / "log").mkdir(parents=True)
    assert (await bench.run("write_file", path="var/log/new/er/a.txt", content="x\n")).ok
    assert (await bench.run("write_file", path="other/a.txt", content="x\n")).ok
    assert (await bench.journal.undo("s1")).ok
    assert (await bench.journal.undo("s1")).ok
    assert sorted(str(each.relative_to(bench.workspace)) for each in bench.workspace.rglob("*")) == ["var", "var/log"]


async def test_an_undo_of_a_write_of_an_older_version_removes_no_folder(bench: Bench):
    place = bench.place("old")
    await bench.writes.intend(
        session="s1", call="old", workspace=str(bench.workspace), path="a/b.txt", before="", after=sha_of(b"x\n")
    )
    assert await bench.journal.write(place, "a/b.txt", None, b"x\n") == ""
    assert (await bench.journal.undo("s1")).ok
    assert [each.name for each in bench.workspace.rglob("*")] == ["a"]


async def test_a_named_undo_keeps_to_its_write_also_where_that_was_changed_since(bench: Bench):
    for name in ("a.py", "b.py"):
        await bench.run("write_file", path=name, content="x = 1\n")
    bench.file("b.py", "mine = 1\n")
    for _ in range(2):
        assert "changed since" in (await bench.journal.undo("s1", request="k1")).text
    assert await bench.journal.undone("s1", "k1") is None
    assert bench.text("a.py") == "x = 1\n"
    bench.file("b.py", "x = 1\n")
    undone = await bench.journal.undo("s1", request="k1")
    assert (undone.ok, undone.text) == (True, "b.py is removed: it was not there before")
    assert await bench.journal.undo("s1", request="k1") == await bench.journal.undone("s1", "k1") == undone
    await bench.journal.forget("s1")
    assert await bench.journal.undone("s1", "k1") is None


async def test_a_file_that_a_person_changed_since_is_left_alone(bench: Bench):
    bench.file("a.py", CODE)
    await bench.run("write_file", path="a.py", content="x = 1\n")
    bench.file("a.py", "mine = 1\n")
    undone = await bench.journal.undo("s1")
    assert not undone.ok
    assert "changed since" in undone.text
    assert bench.text("a.py") == "mine = 1\n"
    (bench.workspace / "a.py").unlink()
    (bench.workspace / "a.py").symlink_to("elsewhere")
    assert not (await bench.journal.undo("s1")).ok


async def test_a_write_that_runs_again_after_a_crash_is_done_once(bench: Bench):
    bench.file("a.py", CODE)
    first = await bench.run("apply_edit", call="c", path="a.py", search="    return 2", replace="    return 3")
    again = await bench.run("apply_edit", call="c", path="a.py", search="    return 2", replace="    return 3")
    assert first.ok
    assert again.ok
    assert "done before" in again.text
    assert len(await bench.writes.of_session("s1")) == 1
    bench.file("a.py", "mine = 1\n")
    late = await bench.run("write_file", call="c", path="a.py", content="x = 1\n")
    assert late.error_class == "Changed"
    assert bench.text("a.py") == "mine = 1\n"


@pytest.mark.parametrize("died", ["before the file", "after the file"])
async def test_whenever_a_write_dies_doing_it_again_and_taking_it_back_end_the_same(bench: Bench, died: str):
    bench.file("a.txt", "old\n")
    await bench.blobs.put(b"old\n")
    await bench.writes.intend(
        session="s1",
        call="c",
        workspace=str(bench.workspace),
        path="a.txt",
        before=sha_of(b"old\n"),
        after=sha_of(b"new\n"),
    )
    if died == "after the file":
        bench.file("a.txt", "new\n")
    assert (await bench.run("write_file", call="c", path="a.txt", content="new\n")).ok
    assert bench.text("a.txt") == "new\n"
    [receipt] = await bench.writes.of_session("s1")
    assert receipt.state == "done"
    assert (await bench.journal.undo("s1")).ok
    assert bench.text("a.txt") == "old\n"


async def test_a_write_that_never_happened_is_passed_over_when_taking_back(bench: Bench):
    await bench.run("write_file", path="a.txt", content="first\n")
    bench.file("b.txt", "old\n")
    await bench.writes.intend(
        session="s1",
        call="x",
        workspace=str(bench.workspace),
        path="b.txt",
        before=sha_of(b"old\n"),
        after=sha_of(b"new\n"),
    )
    assert (await bench.journal.undo("s1")).path == "a.txt"
    assert bench.text("b.txt") == "old\n"


async def test_contents_that_an_undo_needs_are_named_until_it_is_done(bench: Bench):
    bench.file("a.txt", "old\n")
    await bench.run("write_file", path="a.txt", content="new\n")
    assert await bench.writes.blobs() == {sha_of(b"old\n")}
    await bench.journal.undo("s1")
    assert await bench.writes.blobs() == frozenset()
    await bench.journal.forget("s1")
    assert await bench.writes.of_session("s1") == ()


async def test_cleaning_up_keeps_what_an_undo_needs(tmp_path: Path):
    long_ago = datetime(2020, 1, 1, tzinfo=UTC)
    async with open_store(Settings(paths=Paths(data=tmp_path / "data")), verb="clean") as store:
        needed, gone = [await store.blobs.put(content) for content in (b"old\n", b"nobody's\n")]
        for sha in (needed, gone):
            os.utime(store.directory.blobs / sha[:2] / sha[2:], (0, 0))
        await store.writes.intend(session="s1", call="c", workspace="/w", path="a", before=needed, after="x")
        await clean_up(store, Cleaning(trees=(), text_before=long_ago, runs=(), events_before=long_ago))
        assert await store.blobs.has(needed)
        assert not await store.blobs.has(gone)
        await store.writes.settle("s1", "c", "undone")
        await clean_up(store, Cleaning(trees=(), text_before=long_ago, runs=(), events_before=long_ago))
        assert not await store.blobs.has(needed)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
async def test_a_folder_that_may_not_be_written_is_told(bench: Bench):
    bench.file("closed/a.txt", "old\n")
    (bench.workspace / "closed").chmod(0o555)
    result = await bench.run("write_file", path="closed/a.txt", content="new\n")
    (bench.workspace / "closed").chmod(0o755)
    assert result.error_class == "WriteFailed"
    assert not (await bench.journal.undo("s1")).ok


async def test_a_list_of_things_to_do_is_kept_in_one_form(bench: Bench):
    result = await bench.run("todo_write", todos=["[x] read", "- [ ] write  it", "[~] test", "plain", "[ ]"])
    assert bench.todos.lists["s1"] == ("[x] read", "[ ] write it", "[~] test", "[ ] plain")
    assert result.text == "the list has 4 things, 3 still to do"
    assert (await bench.run("todo_write", todos=["x"] * 31)).error_class == "BadArguments"
