import os
from pathlib import Path

import pytest

from infrastructure.workspace import (
    Entry,
    Snapshot,
    Tree,
    WriteLimits,
    changed,
    fork_tree,
    listing,
    read_text,
    take_snapshot,
    write_files,
)
from infrastructure.workspace.beneath import directory, open_file
from infrastructure.workspace.errors import NotText, PathMissing, PathRefused, TooLarge, WorkspaceError, WriteFailed
from infrastructure.workspace.replacing import TEMPORARY, Replacement, replace_all


@pytest.fixture
async def snapshot(tmp_path: Path) -> Snapshot:
    folder = tmp_path / "project"
    (folder / "src").mkdir(parents=True)
    (folder / "src" / "app.py").write_text("one\n")
    (folder / "run.sh").write_text("#!/bin/sh\n")
    (folder / "run.sh").chmod(0o755)
    (folder / "data.bin").write_bytes(b"\0\1\2")
    (folder / "link.py").symlink_to("src/app.py")
    return await take_snapshot(folder, tmp_path / "run")


@pytest.fixture
async def tree(snapshot: Snapshot, tmp_path: Path) -> Tree:
    return await fork_tree(snapshot, tmp_path / "trees" / "1")


def all_files(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


async def test_a_fresh_tree_equals_its_snapshot_and_shares_no_file_with_it(snapshot: Snapshot, tree: Tree) -> None:
    assert all_files(tree.root) == all_files(snapshot.root)
    assert os.access(tree.root / "run.sh", os.X_OK)
    assert (tree.root / "link.py").readlink() == Path("src/app.py")
    assert (tree.root / "src/app.py").stat().st_ino != (snapshot.root / "src/app.py").stat().st_ino
    assert await changed(tree, snapshot) == ()


async def test_forking_again_starts_afresh(snapshot: Snapshot, tree: Tree) -> None:
    await write_files(tree, {"new.py": "n\n", "src/app.py": None})
    again = await fork_tree(snapshot, tree.root)
    assert await changed(again, snapshot) == ()


async def test_writing_changes_makes_and_deletes_files_and_keeps_modes(snapshot: Snapshot, tree: Tree) -> None:
    written = await write_files(
        tree, {"src/app.py": "two\r\n", "run.sh": "#!/bin/bash\n", "new/deep/файл.py": "n", "data.bin": None}
    )

    assert written == ("data.bin", "new/deep/файл.py", "run.sh", "src/app.py")
    assert (tree.root / "src/app.py").read_bytes() == b"two\r\n"
    assert os.access(tree.root / "run.sh", os.X_OK)
    assert [(each.path, each.kind) for each in await changed(tree, snapshot)] == [
        ("data.bin", "deleted"), ("new/deep/файл.py", "added"), ("run.sh", "modified"), ("src/app.py", "modified"),
    ]  # fmt: skip
    assert (snapshot.root / "src/app.py").read_bytes() == b"one\n"


async def test_deleting_the_last_file_of_a_folder_removes_the_folder(tree: Tree) -> None:
    await write_files(tree, {"src/app.py": None})
    assert not (tree.root / "src").exists()


async def test_deleting_what_is_not_there_and_writing_twice_are_harmless(snapshot: Snapshot, tree: Tree) -> None:
    for _ in range(2):
        await write_files(tree, {"src/app.py": None, "no/such.py": None, "a.py": "a"})
    assert [each.path for each in await changed(tree, snapshot)] == ["a.py", "src/app.py"]


BAD_PATHS = [
    "", "/etc/passwd", "../x", "a/../../b", "a//b", "./x", ".git/config", ".GIT/config", "sub/.git/hooks/pre-commit",
    "git~1/config", ".git./config", "C:\\x", "a\\..\\b", "a\0b", "a\nb", "x" * 256, "~/x", "$HOME/x", "nul.txt", "x ",
    "x.", "a:b", "\u202egnp.py", "link.py", "link.py/x", "src", "src/app.py/x", "run.sh/deeper/x", "-x",
    "data\udcff.py",
]  # fmt: skip


@pytest.mark.parametrize("path", BAD_PATHS)
async def test_an_unsafe_path_is_refused_and_nothing_of_the_answer_is_written(tree: Tree, path: str) -> None:
    before = all_files(tree.root)
    with pytest.raises(PathRefused):
        await write_files(tree, {"fine.py": "fine", path: "bad", "src/app.py": "changed"})
    assert all_files(tree.root) == before


@pytest.mark.parametrize("path", BAD_PATHS)
async def test_an_unsafe_path_is_not_read_either(tree: Tree, path: str) -> None:
    with pytest.raises(WorkspaceError):
        await read_text(tree, path)


async def test_twins_in_one_answer_are_refused(tree: Tree) -> None:
    with pytest.raises(PathRefused, match=r"A\.py"):
        await write_files(tree, {"A.py": "1", "a.py": "2"})


@pytest.mark.parametrize("text", ["a\0b", "lone \ud800"])
async def test_what_is_no_text_is_refused(tree: Tree, text: str) -> None:
    with pytest.raises(NotText):
        await write_files(tree, {"a.py": text})


@pytest.mark.parametrize(
    ("files", "limits"),
    [
        ({"a.py": "12345"}, WriteLimits(file_bytes=4)),
        ({"a.py": "123", "b.py": "123"}, WriteLimits(total_bytes=5)),
        ({"a.py": "1", "b.py": "1"}, WriteLimits(files=1)),
        ({"a.py": "ж" * 3}, WriteLimits(file_bytes=5)),
    ],
)
async def test_an_answer_over_its_limits_is_refused_whole(
    tree: Tree, files: dict[str, str], limits: WriteLimits
) -> None:
    with pytest.raises(TooLarge):
        await write_files(tree, files, limits=limits)
    assert not (tree.root / "a.py").exists()


async def test_a_link_or_hard_link_planted_in_a_tree_is_neither_read_nor_written(tree: Tree, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("s")
    (tree.root / "soft").symlink_to(secret)
    (tree.root / "folder").symlink_to(tmp_path)
    os.link(secret, tree.root / "hard")
    os.mkfifo(tree.root / "pipe")

    for path in ("soft", "folder/secret", "hard", "pipe"):
        with pytest.raises(PathRefused):
            await read_text(tree, path)
    for path in ("soft", "folder/secret", "pipe"):
        with pytest.raises(PathRefused):
            await write_files(tree, {path: "overwritten"})
    await write_files(tree, {"hard": "its own now"})
    assert secret.read_text() == "s"


async def test_reading_says_what_is_wrong(tree: Tree) -> None:
    assert await read_text(tree, "src/app.py") == "one\n"
    with pytest.raises(PathMissing):
        await read_text(tree, "nothing.py")
    with pytest.raises(NotText):
        await read_text(tree, "data.bin")
    with pytest.raises(TooLarge):
        await read_text(tree, "src/app.py", limit=3)
    (tree.root / "latin.txt").write_bytes(b"caf\xe9")
    with pytest.raises(NotText):
        await read_text(tree, "latin.txt")


async def test_listing_names_text_files_with_sizes(tree: Tree) -> None:
    (tree.root / os.fsdecode(b"latin-\xe9.txt")).write_text("x")
    (tree.root / f"{TEMPORARY}1-ab").write_text("x")
    assert await listing(tree) == (Entry("run.sh", 10), Entry("src/app.py", 4))


async def test_a_write_that_fails_half_way_puts_everything_back(tree: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    before = all_files(tree.root)
    real, renamed = os.rename, []

    def rename(source: str, target: str, **options: int) -> None:
        if target == "run.sh" and source.startswith(TEMPORARY) and len(renamed) == 2:
            renamed.append(target)
            raise OSError(28, "No space left on device")
        renamed.append(target)
        real(source, target, **options)

    monkeypatch.setattr(os, "rename", rename)
    with pytest.raises(WriteFailed) as raised:
        await write_files(tree, {"new/made.py": "n", "src/app.py": "two", "run.sh": "three", "data.bin": None})

    assert (raised.value.path, raised.value.lost) == ("run.sh", ())
    assert all_files(tree.root) == before
    assert not (tree.root / "new").exists()


async def test_a_write_without_hard_links_still_puts_everything_back(
    tree: Tree, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = all_files(tree.root)

    def no_links(*_arguments: object, **_options: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", no_links)
    monkeypatch.setattr(os, "unlink", _failing_once(os.unlink))
    with pytest.raises(WriteFailed):
        await write_files(tree, {"run.sh": "three", "data.bin": None})
    assert all_files(tree.root) == before


def _failing_once(real):
    failed = []

    def unlink(path: str, **options: int) -> None:
        if path == "data.bin" and not failed:
            failed.append(path)
            raise OSError(30, "Read-only file system")
        real(path, **options)

    return unlink


def test_what_a_dead_process_left_is_swept_up_and_a_living_ones_work_is_not(tmp_path: Path) -> None:
    dead, living = f"{TEMPORARY}{2**22 + 1}-aa", f"{TEMPORARY}{os.getpid()}-bb"
    for name in (dead, living):
        (tmp_path / name).write_text("half")
    replace_all(tmp_path, [Replacement("a.py", b"a")])
    assert {path.name for path in tmp_path.iterdir() if path.is_file()} == {"a.py", living}


def test_an_interrupt_before_the_first_rename_changes_nothing(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("old")

    def confirm() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        replace_all(tmp_path, [Replacement("a.py", b"new"), Replacement("d/b.py", b"new")], confirm=confirm)
    assert all_files(tmp_path) == {"a.py": b"old"}
    assert not (tmp_path / "d").exists()


def test_opening_leaves_no_descriptor_behind(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "b" / "c").write_text("x" * 10)
    (tmp_path / "a" / "link").symlink_to("b")
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(20):
        with pytest.raises(PathRefused), directory(tmp_path, ("a", "link")):
            pass
        with pytest.raises(TooLarge):
            open_file(tmp_path, "a/b/c", limit=3)
        os.close(open_file(tmp_path, "a/b/c"))
    assert len(list(Path("/proc/self/fd").iterdir())) == before
