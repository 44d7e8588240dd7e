import os
from pathlib import Path

import pytest

from infrastructure.workspace import Applied, Conflict, ConflictingFile, apply_patch, take_snapshot
from infrastructure.workspace.errors import (
    BranchExists,
    BranchRefused,
    NotADirectory,
    NotARepository,
    PathRefused,
    WriteFailed,
)
from infrastructure.workspace.replacing import TEMPORARY
from tests.workspace.repos import Repo, run_program

pytestmark = pytest.mark.slow  # starts processes


async def test_change_lands_in_the_folder_and_repeating_it_is_harmless(repo: Repo, tmp_path: Path) -> None:
    repo.write("a.py", "one\n")
    repo.write("gone.py", "x\n")
    repo.write("run.sh", "#!/bin/sh\n", executable=True)
    repo.commit()
    snapshot = await take_snapshot(repo.root, tmp_path / "run")
    changes = {"a.py": b"two\n", "gone.py": None, "new/b.py": b"b\n", "run.sh": b"#!/bin/bash\n", "bin/t": b"t"}

    first = await apply_patch(repo.root, snapshot, changes, executable=frozenset({"bin/t"}))
    again = await apply_patch(repo.root, snapshot, changes)

    assert first == Applied(("a.py", "bin/t", "gone.py", "new/b.py", "run.sh"))
    assert again == Applied((), first.files)
    assert (repo.root / "a.py").read_bytes() == b"two\n"
    assert not (repo.root / "gone.py").exists()
    assert os.access(repo.root / "run.sh", os.X_OK)
    assert os.access(repo.root / "bin/t", os.X_OK)
    assert not list(repo.root.rglob(f"{TEMPORARY}*"))


async def test_files_changed_since_the_snapshot_stop_everything_and_are_named(repo: Repo, tmp_path: Path) -> None:
    for name in ("edited.py", "deleted.py", "same.py", "linked.py"):
        repo.write(name, "old\n")
    snapshot = await take_snapshot(repo.root, tmp_path / "run")
    repo.write("edited.py", "by the user\n")
    (repo.root / "deleted.py").unlink()
    repo.write("made.py", "by the user\n")
    (repo.root / "linked.py").unlink()
    (repo.root / "linked.py").symlink_to("same.py")
    (repo.root / "folder.py").mkdir()
    names = ("edited.py", "deleted.py", "same.py", "linked.py", "made.py", "folder.py")

    answer = await apply_patch(repo.root, snapshot, dict.fromkeys(names, b"new\n"))

    assert answer == Conflict(
        (
            ConflictingFile("deleted.py", "it was deleted since the run began"),
            ConflictingFile("edited.py", "it was changed since the run began"),
            ConflictingFile("folder.py", "it is not a regular file"),
            ConflictingFile("linked.py", "it is a symbolic link"),
            ConflictingFile("made.py", "it was made since the run began"),
        )
    )
    assert (repo.root / "same.py").read_text() == "old\n"


async def test_edits_to_other_files_do_not_matter(repo: Repo, tmp_path: Path) -> None:
    repo.write("a.py", "one\n")
    repo.write("other.py", "old\n")
    snapshot = await take_snapshot(repo.root, tmp_path / "run")
    repo.write("other.py", "by the user\n")

    assert isinstance(await apply_patch(repo.root, snapshot, {"a.py": b"two\n"}), Applied)
    assert (repo.root / "other.py").read_text() == "by the user\n"


async def test_a_half_done_change_is_completed_by_doing_it_again(repo: Repo, tmp_path: Path) -> None:
    repo.write("a.py", "one\n")
    repo.write("b.py", "one\n")
    snapshot = await take_snapshot(repo.root, tmp_path / "run")
    repo.write("a.py", "two\n")  # as if the process had died after the first file

    answer = await apply_patch(repo.root, snapshot, {"a.py": b"two\n", "b.py": b"two\n"})

    assert answer == Applied(("b.py",), ("a.py",))


async def test_an_edit_in_the_last_moment_is_not_overwritten(
    repo: Repo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    repo.write("a.py", "one\n")
    repo.write("b.py", "one\n")
    snapshot = await take_snapshot(repo.root, tmp_path / "run")
    real = os.fsync

    def fsync(descriptor: int) -> None:
        real(descriptor)
        (repo.root / "b.py").write_text("by the user\n")

    monkeypatch.setattr(os, "fsync", fsync)
    answer = await apply_patch(repo.root, snapshot, {"a.py": b"two\n", "b.py": b"two\n"})

    assert answer == Conflict((ConflictingFile("b.py", "it was changed since the run began"),))
    assert (repo.root / "a.py").read_text() == "one\n"
    assert (repo.root / "b.py").read_text() == "by the user\n"


async def test_a_folder_that_cannot_be_written_leaves_everything_as_it_was(
    repo: Repo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    repo.write("a.py", "one\n")
    repo.write("z.py", "one\n")
    snapshot = await take_snapshot(repo.root, tmp_path / "run")
    real = os.rename

    def rename(source: str, target: str, **options: int) -> None:
        if target == "z.py":
            raise PermissionError(13, "Permission denied")
        real(source, target, **options)

    monkeypatch.setattr(os, "rename", rename)
    with pytest.raises(WriteFailed, match=r"z\.py"):
        await apply_patch(repo.root, snapshot, {"a.py": b"two\n", "new/n.py": b"n", "z.py": b"two\n"})

    assert (repo.root / "a.py").read_text() == "one\n"
    assert {path.name for path in repo.root.iterdir()} == {".git", "a.py", "z.py"}


@pytest.mark.parametrize("path", ["../x", ".git/hooks/pre-commit", "sub/.git/config", "/tmp/x", ".GIT/config"])
@pytest.mark.parametrize("branch", [None, "result"])
async def test_no_path_outside_or_into_git_is_delivered(
    repo: Repo, tmp_path: Path, path: str, branch: str | None
) -> None:
    repo.write("a.py", "one\n")
    repo.commit()
    snapshot = await take_snapshot(repo.root, tmp_path / "run")
    with pytest.raises(PathRefused):
        await apply_patch(repo.root, snapshot, {path: b"x"}, branch=branch)


async def test_a_folder_that_is_gone_is_named(repo: Repo, tmp_path: Path) -> None:
    repo.write("a.py", "one\n")
    snapshot = await take_snapshot(repo.root, tmp_path / "run")
    with pytest.raises(NotADirectory):
        await apply_patch(tmp_path / "gone", snapshot, {"a.py": b"x"})
    with pytest.raises(NotADirectory):
        await apply_patch(tmp_path / "gone", snapshot, {"a.py": b"x"}, branch="b")


async def test_branch_holds_the_change_and_nothing_else_is_touched(repo: Repo, tmp_path: Path) -> None:
    repo.write(".gitattributes", "*.txt filter=evil\n")
    repo.write("a.txt", "one\n")
    repo.write("gone.py", "x\n")
    repo.write("run.sh", "#!/bin/sh\n", executable=True)
    head = repo.commit()
    repo.write("staged.py", "s\n")
    repo.git("add", "staged.py")
    repo.write("other.py", "uncommitted\n")
    repo.plant()
    index = (repo.root / ".git" / "index").read_bytes()
    snapshot = await take_snapshot(repo.root, tmp_path / "run")
    changes = {"a.txt": b"two\n", "gone.py": None, "нов/b.py": b"b\n", "run.sh": b"#!/bin/bash\n", "t": b"t"}

    answer = await apply_patch(
        repo.root, snapshot, changes, branch="corral/work", message="Тема\n\ntext", executable=frozenset({"t"})
    )

    assert repo.ran == ""
    assert isinstance(answer, Applied)
    assert (answer.files, answer.branch, answer.carried) == (tuple(sorted(changes)), "corral/work", ())
    quiet = ("-c", "core.fsmonitor=false", "-c", "core.quotePath=false")
    listed = repo.git(*quiet, "ls-tree", "-r", "corral/work")
    assert {line.split("\t")[1]: line.split()[0] for line in listed.splitlines()} == {
        ".gitattributes": "100644", "a.txt": "100644", "run.sh": "100755", "нов/b.py": "100644", "t": "100755",
    }  # fmt: skip
    assert repo.git("cat-file", "blob", "corral/work:a.txt") == "two\n"
    assert repo.git("log", "-1", "--format=%H%n%P%n%an <%ae>%n%B", "corral/work").split("\n")[:5] == [
        answer.commit, head, "Tester <tester@example.org>", "Тема", "",
    ]  # fmt: skip
    assert repo.git("rev-parse", "HEAD").strip() == head
    assert repo.git("symbolic-ref", "HEAD").strip() == "refs/heads/main"
    assert (repo.root / ".git" / "index").read_bytes() == index
    assert (repo.root / "a.txt").read_text() == "one\n"


async def test_the_same_branch_again_is_harmless_and_another_change_is_refused(repo: Repo, tmp_path: Path) -> None:
    repo.write("a.py", "one\n")
    repo.commit()
    snapshot = await take_snapshot(repo.root, tmp_path / "run")
    first = await apply_patch(repo.root, snapshot, {"a.py": b"two\n"}, branch="b")
    again = await apply_patch(repo.root, snapshot, {"a.py": b"two\n"}, branch="b")

    assert isinstance(first, Applied)
    assert again == Applied((), ("a.py",), "b", first.commit)
    with pytest.raises(BranchExists):
        await apply_patch(repo.root, snapshot, {"a.py": b"three\n"}, branch="b")
    with pytest.raises(BranchExists):
        await apply_patch(repo.root, snapshot, {"a.py": b"two\n"}, branch="main")


@pytest.mark.parametrize("name", ["", "a..b", "-x", "a b", "x.lock", "HEAD", "/a", "a/", "a~1", "@{-1}", "@{u}"])
async def test_a_name_that_is_no_branch_name_is_refused(repo: Repo, tmp_path: Path, name: str) -> None:
    repo.write("a.py", "one\n")
    repo.commit()
    snapshot = await take_snapshot(repo.root, tmp_path / "run")
    with pytest.raises(BranchRefused):
        await apply_patch(repo.root, snapshot, {"a.py": b"two\n"}, branch=name)


async def test_a_folder_without_git_has_no_branches(tmp_path: Path) -> None:
    folder = tmp_path / "plain"
    folder.mkdir()
    (folder / "a.py").write_text("one\n")
    snapshot = await take_snapshot(folder, tmp_path / "run")
    with pytest.raises(NotARepository):
        await apply_patch(folder, snapshot, {"a.py": b"two\n"}, branch="b")


async def test_branch_starts_at_the_commit_of_the_snapshot_so_later_commits_are_not_undone(
    repo: Repo, tmp_path: Path
) -> None:
    repo.write("a.py", "one\n")
    head = repo.commit()
    snapshot = await take_snapshot(repo.root, tmp_path / "run")
    repo.write("a.py", "one, by the user\n")
    repo.commit()

    await apply_patch(repo.root, snapshot, {"a.py": b"two\n"}, branch="b")

    assert repo.git("rev-parse", "b^").strip() == head


async def test_uncommitted_changes_that_come_along_are_named(repo: Repo, tmp_path: Path) -> None:
    repo.write("a.py", "one\n")
    repo.write("b.py", "one\n")
    repo.commit()
    repo.write("a.py", "one\nuncommitted\n")
    repo.write("untracked.py", "u\n")
    snapshot = await take_snapshot(repo.root, tmp_path / "run")

    answer = await apply_patch(
        repo.root, snapshot, {"a.py": b"1\nuncommitted\n", "b.py": b"2\n", "untracked.py": b"v\n"}, branch="b"
    )

    assert isinstance(answer, Applied)
    assert answer.carried == ("a.py", "untracked.py")


async def test_line_ends_are_committed_as_the_repository_keeps_them(repo: Repo, tmp_path: Path) -> None:
    repo.write("crlf.py", b"one\r\ntwo\r\n")
    repo.write("converted.py", b"one\ntwo\n")
    repo.commit()
    repo.write("converted.py", b"one\r\ntwo\r\n")  # as autocrlf checks it out
    snapshot = await take_snapshot(repo.root, tmp_path / "run")

    answer = await apply_patch(
        repo.root, snapshot, {"crlf.py": b"1\r\ntwo\r\n", "converted.py": b"1\r\ntwo\r\n"}, branch="b"
    )

    assert isinstance(answer, Applied)
    assert answer.carried == ()
    blobs = {
        name: run_program("git", "cat-file", "blob", f"b:{name}", cwd=repo.root) for name in ("crlf.py", "converted.py")
    }
    assert blobs == {"crlf.py": b"1\r\ntwo\r\n", "converted.py": b"1\ntwo\n"}


@pytest.mark.parametrize("object_format", ["sha1", "sha256"])
async def test_branch_in_a_repository_without_commits_holds_only_the_change(tmp_path: Path, object_format: str) -> None:
    root = tmp_path / "fresh"
    root.mkdir()
    run_program("git", "init", "-q", f"--object-format={object_format}", cwd=root)
    (root / "a.py").write_text("one\n")
    snapshot = await take_snapshot(root, tmp_path / "run")

    answer = await apply_patch(root, snapshot, {"a.py": b"two\n", "never.py": None}, branch="b")

    assert isinstance(answer, Applied)
    assert run_program("git", "ls-tree", "--name-only", "b", cwd=root) == b"a.py\n"


async def test_a_subfolder_delivers_to_its_own_place_in_the_branch(repo: Repo, tmp_path: Path) -> None:
    repo.write("top.py", "t\n")
    repo.write("part/a.py", "one\n")
    repo.commit()
    snapshot = await take_snapshot(repo.root / "part", tmp_path / "run")

    await apply_patch(repo.root / "part", snapshot, {"a.py": b"two\n", "b.py": b"b\n"}, branch="b")

    assert repo.git("cat-file", "blob", "b:part/a.py") == "two\n"
    assert repo.git("ls-tree", "-r", "--name-only", "b").split() == ["part/a.py", "part/b.py", "top.py"]
