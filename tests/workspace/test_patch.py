import subprocess
from pathlib import Path

import pytest

from infrastructure.workspace import (
    FileChange,
    LeftOut,
    Patch,
    fork_tree,
    make_patch,
    sha_of,
    take_snapshot,
    write_files,
)
from tests.workspace.repos import Repo

pytestmark = pytest.mark.slow  # starts processes


async def patch_of(repo: Repo, tmp_path: Path, files: dict[str, str | None], exclude: tuple[str, ...] = ()) -> Patch:
    snapshot = await take_snapshot(repo.root, tmp_path / "run")
    tree = await fork_tree(snapshot, tmp_path / "tree")
    await write_files(tree, files)
    return await make_patch(snapshot, tree, exclude)


def apply(repo: Repo, patch: Patch) -> None:
    subprocess.run(["git", "apply", "--whitespace=nowarn", "-"], cwd=repo.root, input=patch.text.encode(), check=True)


@pytest.mark.parametrize(
    ("path", "before", "after"),
    [
        ("a.py", "one\n", "two\n"),
        ("a.py", "one\ntwo\nthree\n", "one\nTWO\nthree"),
        ("a.py", "no newline", "no newline still"),
        ("a.py", "no newline", "now one\n"),
        ("a.py", "crlf\r\nlines\r\n", "crlf\r\nother\r\n"),
        ("a.py", "crlf\r\n", "lf\n"),
        ("a.py", "mixed\r\nends\n", "mixed\nends\r\n"),
        ("a.py", "old mac\rline", "old mac\rlines"),
        ("a.py", "form\ffeed\n\x0b\u2028sep\n", "form\ffeed\n\x0b\u2028separator\n"),
        ("a.py", "", "filled\n"),
        ("a.py", "emptied\n", ""),
        ("a.py", None, "new\n"),
        ("a.py", None, ""),
        ("a.py", "deleted\n", None),
        ("a.py", "deleted without newline", None),
        ("deep/er/a.py", None, "new\n"),
        ("привет мир/文件.py", "раз\n", "два\n"),
        ("a b\tc.py".replace("\t", " "), "1\n", "2\n"),
        ("it's.py", "1\n", "2\n"),
        ("a.py", "\ufeffbom\n", "\ufeffbom kept\n"),
        ("a.py", "diff --git a/x b/x\n--- a/x\n+++ b/x\n@@ -1 +1 @@\n", "-- \n+++ \n"),
    ],
)
async def test_git_apply_takes_the_patch_and_arrives_at_the_same_bytes(
    repo: Repo, tmp_path: Path, path: str, before: str | None, after: str | None
) -> None:
    repo.write("other.py", "untouched\n")
    if before is not None:
        repo.write(path, before)

    patch = await patch_of(repo, tmp_path, {path: after})
    apply(repo, patch)

    file = repo.root / path
    assert (file.read_bytes() if file.exists() else None) == (None if after is None else after.encode())
    assert [each.path for each in patch.files] == [path]


async def test_patch_counts_lines_and_names_both_contents(repo: Repo, tmp_path: Path) -> None:
    repo.write("a.py", "one\ntwo\n")
    repo.write("gone.py", "x\ny\n")
    repo.write("run.sh", "#!/bin/sh\n", executable=True)

    patch = await patch_of(
        repo, tmp_path, {"a.py": "one\n2\n3\n", "gone.py": None, "new.py": "n\n", "run.sh": "#!/bin/bash\n"}
    )

    assert patch.files == (
        FileChange("a.py", "modified", 2, 1, sha_of(b"one\ntwo\n"), sha_of(b"one\n2\n3\n"), False),
        FileChange("gone.py", "deleted", 0, 2, sha_of(b"x\ny\n"), None, None),
        FileChange("new.py", "added", 1, 0, None, sha_of(b"n\n"), False),
        FileChange("run.sh", "modified", 1, 1, sha_of(b"#!/bin/sh\n"), sha_of(b"#!/bin/bash\n"), True),
    )
    apply(repo, patch)
    assert (repo.root / "run.sh").stat().st_mode & 0o100


async def test_an_executable_bit_alone_is_a_change(repo: Repo, tmp_path: Path) -> None:
    repo.write("run.sh", "#!/bin/sh\n")
    snapshot = await take_snapshot(repo.root, tmp_path / "run")
    tree = await fork_tree(snapshot, tmp_path / "tree")
    (tree.root / "run.sh").chmod(0o755)

    patch = await make_patch(snapshot, tree)
    apply(repo, patch)

    assert patch.files[0].kind == "mode"
    assert (repo.root / "run.sh").stat().st_mode & 0o100


async def test_no_change_is_an_empty_patch(repo: Repo, tmp_path: Path) -> None:
    repo.write("a.py", "one\n")
    patch = await patch_of(repo, tmp_path, {"a.py": "one\n"})
    assert patch == Patch("", ())
    assert patch.empty


async def test_excluded_files_are_not_in_the_patch(repo: Repo, tmp_path: Path) -> None:
    patch = await patch_of(repo, tmp_path, {"a.py": "a\n", "test_a.py": "t\n"}, ("test_a.py",))
    assert [each.path for each in patch.files] == ["a.py"]
    assert "test_a" not in patch.text


async def test_what_a_text_patch_cannot_carry_is_left_out_and_said(repo: Repo, tmp_path: Path) -> None:
    repo.write("logo.png", b"\x89PNG\0\1")
    repo.write("old.txt", "кириллица".encode("cp1251"))
    repo.write("a.py", "a\n")

    patch = await patch_of(repo, tmp_path, {"logo.png": None, "old.txt": "теперь\n", "a.py": "b\n"})

    assert [each.path for each in patch.files] == ["a.py"]
    assert patch.left_out == (LeftOut("logo.png", "binary"), LeftOut("old.txt", "not UTF-8"))
    apply(repo, patch)


async def test_no_attribute_or_program_of_the_workspace_takes_part(
    repo: Repo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    repo.write(".gitattributes", "*.py filter=evil diff=evil\n*.md binary\n*.txt text eol=crlf\n")
    repo.write("a.py", "one\n")
    repo.write("b.md", "one\n")
    repo.write("c.txt", "one\n")
    repo.plant()
    monkeypatch.setenv("GIT_EXTERNAL_DIFF", str(repo.witness.parent / "evil.sh"))
    monkeypatch.setenv("TMPDIR", str(repo.root))  # as if the home folder itself were that repository

    patch = await patch_of(repo, tmp_path, {"a.py": "two\n", "b.md": "two\n", "c.txt": "two\n"})

    assert repo.ran == ""
    assert patch.text.count("\n+two\n") == 3
    assert "\r" not in patch.text
