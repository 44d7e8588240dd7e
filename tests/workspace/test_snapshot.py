import asyncio
import json
import os
import threading
from pathlib import Path

import pytest

from infrastructure.batch import BatchPlace
from infrastructure.workspace import SnapshotLimits, load_snapshot, sha_of, take_snapshot
from infrastructure.workspace.errors import (
    GitFailed,
    GitMissing,
    NotADirectory,
    SnapshotUnfinished,
    TooLarge,
)
from tests.workspace.repos import Repo, run_program

pytestmark = pytest.mark.slow  # starts processes


def reasons(snapshot) -> dict[str, str]:
    return {each.path: each.reason for each in snapshot.skipped}


async def test_snapshot_holds_tracked_files_with_uncommitted_changes_and_untracked_ones_not_ignored(
    repo: Repo, tmp_path: Path
) -> None:
    repo.write("kept.py", "old\n")
    repo.write("gone.py", "x\n")
    repo.write(".gitignore", "secret.txt\nbuilt/\n")
    head = repo.commit()
    repo.write("kept.py", "new\n")
    (repo.root / "gone.py").unlink()
    repo.write("fresh/new.py", "y\n")
    repo.write("secret.txt", "s")
    repo.write("built/out.o", "o")

    snapshot = await take_snapshot(repo.root, tmp_path / "run")

    assert set(snapshot.files) == {"kept.py", ".gitignore", "fresh/new.py"}
    assert (snapshot.root / "kept.py").read_text() == "new\n"
    assert snapshot.files["kept.py"].sha256 == sha_of(b"new\n")
    assert (snapshot.is_repository, snapshot.dirty, snapshot.head) == (True, True, head)


@pytest.mark.parametrize("how", ["clean", "edited", "staged", "untracked", "deleted", "autocrlf"])
async def test_snapshot_knows_whether_the_folder_differs_from_the_last_commit(
    repo: Repo, tmp_path: Path, how: str
) -> None:
    repo.write("a.py", "one\n")
    repo.write("b.py", "two\n")
    repo.commit()
    if how == "edited":
        repo.write("a.py", "uno\n")  # the same size
    elif how == "staged":
        repo.write("a.py", "uno\n")
        repo.git("add", "a.py")
    elif how == "untracked":
        repo.write("c.py", "c\n")
    elif how == "deleted":
        (repo.root / "b.py").unlink()
    elif how == "autocrlf":
        repo.git("config", "core.autocrlf", "true")
        repo.write("a.py", "one\r\n")

    snapshot = await take_snapshot(repo.root, tmp_path / "run")

    assert snapshot.dirty is (how not in {"clean", "autocrlf"})


async def test_no_filter_hook_or_program_of_the_repository_runs(repo: Repo, tmp_path: Path) -> None:
    repo.write(".gitattributes", "*.txt filter=evil diff=evil merge=evil\n")
    repo.write("a.txt", "one\n")
    repo.commit()
    repo.plant()
    repo.write("a.txt", "two\n")
    repo.write("b.txt", "new\n")
    index = repo.root / ".git" / "index"
    os.utime(repo.root / "a.txt", ns=(index.stat().st_atime_ns, index.stat().st_mtime_ns))  # git must look inside

    snapshot = await take_snapshot(repo.root, tmp_path / "run")

    assert (snapshot.root / "a.txt").read_text() == "two\n"
    assert repo.ran == ""
    # The plant works: an ordinary command does run it.
    run_program("git", "status", cwd=repo.root, check=False)
    assert "evil.sh" in repo.ran


async def test_missing_objects_are_not_fetched_by_a_program_of_the_repository(repo: Repo, tmp_path: Path) -> None:
    repo.write("d/a.txt", "one\n")
    repo.commit()
    tree = repo.git("rev-parse", "HEAD:d").strip()
    (repo.root / ".git" / "objects" / tree[:2] / tree[2:]).unlink()
    repo.plant()
    repo.git("config", "core.repositoryFormatVersion", "1")
    repo.git("config", "extensions.partialClone", "origin")
    repo.git("config", "remote.origin.promisor", "true")
    repo.git("config", "remote.origin.url", str(repo.root))
    repo.git("config", "protocol.file.allow", "always")
    repo.write("d/b.txt", "two\n")
    repo.git("-c", "core.hooksPath=/dev/null", "-c", "core.fsmonitor=false", "update-index", "--add", "d/b.txt")
    repo.witness.unlink(missing_ok=True)

    with pytest.raises(GitFailed):  # the commit cannot be compared; that it says so is what is wanted
        await take_snapshot(repo.root, tmp_path / "run")
    assert repo.ran == ""


async def test_work_tree_setting_of_the_repository_does_not_lead_elsewhere(repo: Repo, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "private.txt").write_text("p")
    repo.write("a.py", "a\n")
    repo.commit()
    repo.git("config", "core.worktree", str(elsewhere))

    snapshot = await take_snapshot(repo.root, tmp_path / "run")

    assert set(snapshot.files) == {"a.py"}


async def test_files_the_user_ignores_everywhere_are_left_out(repo: Repo, tmp_path: Path) -> None:
    (tmp_path / "home" / "ignored").write_text("*.private\n")
    (tmp_path / "home" / ".gitconfig").write_text("[core]\nexcludesFile = ~/ignored\n")
    repo.write("a.py", "a\n")
    repo.write("key.private", "k")

    snapshot = await take_snapshot(repo.root, tmp_path / "run")

    assert set(snapshot.files) == {"a.py"}


async def test_links_stay_only_where_they_point_inside(repo: Repo, tmp_path: Path) -> None:
    (tmp_path / "outside.txt").write_text("secret")
    repo.write("real/file.txt", "inside\n")
    links = {
        "good": "real/file.txt",
        "real/up": "../real/file.txt",
        "dangling": "real/nothing",
        "absolute": str(repo.root / "real" / "file.txt"),
        "out": "../outside.txt",
        "far": "../../../../../../../../etc/passwd",
        "real/top": "..",
        "chain": "real/top/../outside.txt",  # lexically inside, really outside
    }
    for path, target in links.items():
        (repo.root / path).symlink_to(target)

    snapshot = await take_snapshot(repo.root, tmp_path / "run")

    kept = {path for path in links if path in snapshot.files}
    assert kept == {"good", "real/up", "dangling", "real/top"}
    assert set(reasons(snapshot)) == {"absolute", "out", "far", "chain"}
    assert (snapshot.root / "good").read_text() == "inside\n"
    assert not (snapshot.root / "out").is_symlink()


async def test_pipes_nested_repositories_and_submodules_are_left_out_and_said(repo: Repo, tmp_path: Path) -> None:
    repo.write("a.py", "a\n")
    inner = Repo(repo.root / "inner", tmp_path / "none")
    inner.write("x.py", "x\n")
    inner.commit()
    module = Repo(repo.root / "module", tmp_path / "none")
    module.write("y.py", "y\n")
    module.commit()
    repo.git("add", "module")
    os.mkfifo(repo.root / "pipe")

    snapshot = await take_snapshot(repo.root, tmp_path / "run")

    assert set(snapshot.files) == {"a.py"}
    assert reasons(snapshot) == {"inner/": "a repository of its own", "module": "a submodule"}


async def test_a_pipe_in_the_place_of_a_tracked_file_does_not_block(repo: Repo, tmp_path: Path) -> None:
    repo.write("a.py", "a\n")
    repo.commit()
    (repo.root / "a.py").unlink()
    os.mkfifo(repo.root / "a.py")

    async with asyncio.timeout(20):
        snapshot = await take_snapshot(repo.root, tmp_path / "run")

    assert reasons(snapshot) == {"a.py": "it is not a regular file"}


async def test_a_folder_replaced_by_a_link_is_not_followed(repo: Repo, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "a.py").write_text("secret")
    repo.write("d/a.py", "a\n")
    repo.commit()
    (repo.root / "d" / "a.py").unlink()
    (repo.root / "d").rmdir()
    (repo.root / "d").symlink_to(outside)

    snapshot = await take_snapshot(repo.root, tmp_path / "run")

    assert "d/a.py" not in snapshot.files
    assert not (snapshot.root / "d" / "a.py").exists()


async def test_untracked_dependency_folders_are_left_out_and_tracked_ones_kept(repo: Repo, tmp_path: Path) -> None:
    repo.write("node_modules/kept/index.js", "1")
    repo.commit()
    repo.write("node_modules/other/index.js", "2")
    repo.write(".venv/bin/python", "3")
    repo.write("pkg/__pycache__/m.pyc", "4")

    snapshot = await take_snapshot(repo.root, tmp_path / "run")

    assert set(snapshot.files) == {"node_modules/kept/index.js"}
    assert set(reasons(snapshot)) == {"node_modules", ".venv", "pkg/__pycache__"}


@pytest.mark.parametrize("by_git", [True, False])
async def test_what_a_batch_has_written_in_the_folder_is_no_part_of_what_the_next_run_sees(
    repo: Repo, tmp_path: Path, by_git: bool
) -> None:
    root = repo.root if by_git else tmp_path / "plain"
    place = BatchPlace(root / "results/out")
    await asyncio.to_thread(place.prepare)
    for path in ("results/mine.txt", "results/out/patches/one.diff", "results/out/work/x/test_x.py", "a.py"):
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text("x")
    Repo(place.work / "nested", tmp_path / "witness/nested").write("b.py", "b")
    ignored = root / ".gitignore"
    ignored.write_text(".corral*\n" if by_git else "")  # as some ignore all dot files

    snapshot = await take_snapshot(root, tmp_path / "run")

    assert set(snapshot.files) == {"a.py", "results/mine.txt", ".gitignore"}
    assert reasons(snapshot) == {"results/out": "results of a batch"}
    inside = await take_snapshot(place.work / "x", tmp_path / "inside")
    assert set(inside.files) == {"test_x.py"}  # a job's own folder, as it is


async def test_results_that_git_tracks_are_part_of_the_repository(repo: Repo, tmp_path: Path) -> None:
    await asyncio.to_thread(BatchPlace(repo.root / "out").prepare)
    repo.write("out/report.json", "{}")
    repo.commit()
    repo.write("out/new.json", "{}")

    assert set((await take_snapshot(repo.root, tmp_path / "run")).files) == {"out/report.json", "out/.corral-results"}


@pytest.mark.parametrize(
    "name",
    [
        "привет мир.py",
        "文件/测试.py",
        "with\nnewline.py",
        "tab\there.py",
        '"quoted".py',
        "back\\slash.py",
        "n" * 255,
        "-dash.py",
        "trailing ",
        ":colon",
        os.fsdecode(b"latin-\xe9.txt"),
    ],
)
@pytest.mark.parametrize("tracked", [True, False])
async def test_every_name_the_file_system_allows_is_copied_and_comes_back_from_the_manifest(
    repo: Repo, tmp_path: Path, name: str, tracked: bool
) -> None:
    repo.write(name, b"content")
    if tracked:
        repo.commit()

    snapshot = await take_snapshot(repo.root, tmp_path / "run")

    assert list(snapshot.files) == [name]
    assert (snapshot.root / name).read_bytes() == b"content"
    assert await load_snapshot(tmp_path / "run") == snapshot
    assert snapshot.dirty is not tracked


async def test_bytes_and_the_executable_bit_are_kept(repo: Repo, tmp_path: Path) -> None:
    repo.git("config", "core.autocrlf", "true")
    repo.write("crlf.txt", b"a\r\nb\r\n")
    repo.write("binary", bytes(range(256)))
    repo.write("tool", "#!/bin/sh\n", executable=True)

    snapshot = await take_snapshot(repo.root, tmp_path / "run")

    assert (snapshot.root / "crlf.txt").read_bytes() == b"a\r\nb\r\n"
    assert (snapshot.root / "binary").read_bytes() == bytes(range(256))
    assert os.access(snapshot.root / "tool", os.X_OK)
    assert {path: oct(state.mode) for path, state in snapshot.files.items()} == {
        "crlf.txt": "0o100644", "binary": "0o100644", "tool": "0o100755",
    }  # fmt: skip


async def test_a_finished_snapshot_is_taken_as_it_is(repo: Repo, tmp_path: Path) -> None:
    repo.write("a.py", "first\n")
    first = await take_snapshot(repo.root, tmp_path / "run")
    repo.write("a.py", "second\n")

    assert await take_snapshot(repo.root, tmp_path / "run") == first
    assert (first.root / "a.py").read_text() == "first\n"


@pytest.mark.parametrize("left", ["base", "base.unfinished", "both"])
async def test_an_unfinished_snapshot_is_done_again(repo: Repo, tmp_path: Path, left: str) -> None:
    repo.write("a.py", "a\n")
    for name in ("base", "base.unfinished") if left == "both" else (left,):
        (tmp_path / "run" / name).mkdir(parents=True)
        (tmp_path / "run" / name / "stray").write_text("half")
    with pytest.raises(SnapshotUnfinished):
        await load_snapshot(tmp_path / "run")

    snapshot = await take_snapshot(repo.root, tmp_path / "run")

    assert {path.name for path in (tmp_path / "run").iterdir()} == {"base", "manifest.json"}
    assert {path.name for path in snapshot.root.iterdir()} == {"a.py"}


@pytest.mark.parametrize("content", ["", "{", "[]", '{"form": 99}', '{"form": 1}', "null"])
async def test_a_damaged_manifest_is_no_snapshot(tmp_path: Path, content: str) -> None:
    (tmp_path / "manifest.json").write_text(content)
    with pytest.raises(SnapshotUnfinished):
        await load_snapshot(tmp_path)


async def test_manifest_is_plain_json(repo: Repo, tmp_path: Path) -> None:
    repo.write("a.py", "a\n")
    await take_snapshot(repo.root, tmp_path / "run")
    assert json.loads((tmp_path / "run" / "manifest.json").read_text())["files"]["a.py"][1:] == [0o100644, 2]


async def test_a_folder_that_is_no_repository_is_copied_without_dependencies(tmp_path: Path) -> None:
    folder = tmp_path / "plain"
    for path in ("a.py", "sub/b.py", ".venv/x", "env/pyvenv.cfg", "node_modules/y", "sub/__pycache__/z.pyc"):
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text("x")
    (folder / "link").symlink_to("sub")
    (folder / "out").symlink_to("..")
    os.mkfifo(folder / "pipe")

    snapshot = await take_snapshot(folder, tmp_path / "run")

    assert set(snapshot.files) == {"a.py", "sub/b.py", "link"}
    assert (snapshot.is_repository, snapshot.dirty, snapshot.head) == (False, False, None)
    assert set(reasons(snapshot)) == {".venv", "env", "node_modules", "sub/__pycache__", "pipe", "out"}


@pytest.mark.parametrize("limits", [SnapshotLimits(files=2), SnapshotLimits(total_bytes=20)])
@pytest.mark.parametrize("versioned", [True, False])
async def test_a_folder_that_is_too_large_is_refused_with_a_hint(
    repo: Repo, tmp_path: Path, limits: SnapshotLimits, versioned: bool
) -> None:
    folder = repo.root if versioned else tmp_path / "plain"
    folder.mkdir(exist_ok=True)
    for number in range(3):
        (folder / f"{number}.py").write_text("0123456789")

    with pytest.raises(TooLarge) as raised:
        await take_snapshot(folder, tmp_path / "run", limits=limits)

    assert raised.value.hint
    with pytest.raises(SnapshotUnfinished):
        await load_snapshot(tmp_path / "run")


async def test_a_subfolder_of_a_repository_is_a_snapshot_of_that_folder(repo: Repo, tmp_path: Path) -> None:
    repo.write("top.py", "t\n")
    repo.write("part/a.py", "a\n")
    repo.commit()
    repo.write("top.py", "changed\n")
    repo.write("part/b.py", "b\n")

    snapshot = await take_snapshot(repo.root / "part", tmp_path / "run")

    assert set(snapshot.files) == {"a.py", "b.py"}
    assert snapshot.is_repository


async def test_a_linked_worktree_is_a_repository(repo: Repo, tmp_path: Path) -> None:
    repo.write("a.py", "a\n")
    repo.commit()
    repo.git("worktree", "add", "-q", str(tmp_path / "linked"))

    snapshot = await take_snapshot(tmp_path / "linked", tmp_path / "run")

    assert set(snapshot.files) == {"a.py"}
    assert not snapshot.dirty


async def test_a_repository_of_another_user_can_be_read(repo: Repo, tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can give a folder away")
    repo.write("a.py", "a\n")
    repo.commit()
    run_program("chown", "-R", "65534:65534", repo.root, cwd=tmp_path)

    snapshot = await take_snapshot(repo.root, tmp_path / "run")

    assert set(snapshot.files) == {"a.py"}


async def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(NotADirectory, match="nowhere"):
        await take_snapshot(tmp_path / "nowhere", tmp_path / "run")


async def test_a_folder_whose_git_is_broken_is_an_error_and_not_an_empty_snapshot(tmp_path: Path) -> None:
    (tmp_path / "broken" / ".git").mkdir(parents=True)
    with pytest.raises(GitFailed):
        await take_snapshot(tmp_path / "broken", tmp_path / "run")


async def test_git_from_a_relative_place_on_the_path_is_not_run(
    repo: Repo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    repo.write("git", "#!/bin/sh\ntouch ran\n", executable=True)
    monkeypatch.chdir(repo.root)
    monkeypatch.setenv("PATH", ".")
    with pytest.raises(GitMissing):
        await take_snapshot(repo.root, tmp_path / "run")
    assert not (repo.root / "ran").exists()


async def test_cancelling_leaves_no_thread_at_work_and_no_finished_snapshot(
    repo: Repo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(50):
        repo.write(f"{number}.py", "x" * 1000)
    loop, copying, real = asyncio.get_running_loop(), asyncio.Event(), os.fdopen
    opened: list[int] = []

    def fdopen(descriptor: int, *arguments: str):
        opened.append(descriptor)
        loop.call_soon_threadsafe(copying.set)
        cancelled.wait(10)
        return real(descriptor, *arguments)

    cancelled = threading.Event()
    monkeypatch.setattr(os, "fdopen", fdopen)
    task = asyncio.create_task(take_snapshot(repo.root, tmp_path / "run"))
    await copying.wait()
    task.cancel()
    loop.call_soon(cancelled.set)
    with pytest.raises(asyncio.CancelledError):
        await task

    assert len(opened) < 10  # it did not copy on to the end, and since the task has ended nothing copies any more
    monkeypatch.undo()
    with pytest.raises(SnapshotUnfinished):
        await load_snapshot(tmp_path / "run")
    assert len((await take_snapshot(repo.root, tmp_path / "run")).files) == 50
