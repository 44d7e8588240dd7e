"""A snapshot packed, and put on disk again: the same, or refused."""

from __future__ import annotations

import os

import pytest

from infrastructure.workspace.errors import SnapshotUnfinished, TooLarge
from infrastructure.workspace.packing import (
    BadPack,
    PackedSnapshot,
    from_bytes,
    pack_snapshot,
    to_bytes,
    unpack_snapshot,
)
from infrastructure.workspace.snapshot import take_snapshot


@pytest.fixture
async def taken(tmp_path):
    """A snapshot of a folder with everything that a file can be."""
    repo = tmp_path / "repo"
    (repo / "deep" / "er").mkdir(parents=True)
    (repo / "a.py").write_text("x = 1\n")
    (repo / "same.py").write_text("x = 1\n")
    (repo / "deep/er/b.bin").write_bytes(bytes(range(256)))
    (repo / "run.sh").write_text("#!/bin/sh\n")
    (repo / "run.sh").chmod(0o755)
    (repo / "empty").touch()
    (repo / "link").symlink_to("deep/er")
    (repo / os.fsdecode(b"b\xffd")).write_text("no UTF-8")
    return await take_snapshot(repo, tmp_path / "taken")


def everything(root):
    return {
        os.fsencode(path.relative_to(root)): str(path.readlink()) if path.is_symlink() else path.read_bytes()
        for path in root.rglob("*")
        if path.is_symlink() or path.is_file()
    }


async def test_packed_snapshot_comes_back_as_it_was(taken, tmp_path):
    packed = await pack_snapshot(tmp_path / "taken")
    again = await unpack_snapshot(from_bytes(to_bytes(packed)), tmp_path / "again")
    assert again.files == taken.files
    assert everything(tmp_path / "again/base") == everything(tmp_path / "taken/base")
    assert os.access(tmp_path / "again/base/run.sh", os.X_OK)
    assert (await pack_snapshot(tmp_path / "again")) == packed


async def test_same_snapshot_gives_the_same_bytes(taken, tmp_path):
    assert to_bytes(await pack_snapshot(tmp_path / "taken")) == to_bytes(await pack_snapshot(tmp_path / "taken"))


async def test_snapshot_that_was_changed_since_is_not_packed(taken, tmp_path):
    (tmp_path / "taken/base/a.py").write_text("x = 2\n")
    with pytest.raises(BadPack, match=r"'a.py' has been changed"):
        await pack_snapshot(tmp_path / "taken")


async def test_no_snapshot_is_not_packed(tmp_path):
    with pytest.raises(SnapshotUnfinished):
        await pack_snapshot(tmp_path)


async def test_too_large_a_snapshot_is_neither_packed_nor_unpacked(taken, tmp_path, monkeypatch):
    packed = await pack_snapshot(tmp_path / "taken")
    monkeypatch.setattr("infrastructure.workspace.packing.PACKED_BYTES", 100)
    with pytest.raises(TooLarge):
        await pack_snapshot(tmp_path / "taken")
    with pytest.raises(TooLarge):
        await unpack_snapshot(packed, tmp_path / "again")
    assert not (tmp_path / "again/base").exists()


@pytest.mark.parametrize("stored", [b"", b"x", to_bytes(PackedSnapshot(b"{}", {}))[:-4]])
def test_something_else_is_refused(stored):
    with pytest.raises(BadPack):
        from_bytes(stored)


async def test_bomb_is_refused(monkeypatch):
    monkeypatch.setattr("infrastructure.workspace.packing._STORED_BYTES", 1000)
    with pytest.raises(BadPack, match="larger"):
        from_bytes(to_bytes(PackedSnapshot(b"0" * 100_000, {})))


async def test_content_that_is_missing_is_refused_and_leaves_nothing(taken, tmp_path):
    packed = await pack_snapshot(tmp_path / "taken")
    with pytest.raises(BadPack, match="missing or damaged"):
        await unpack_snapshot(PackedSnapshot(packed.manifest, {}), tmp_path / "again")
    assert not (tmp_path / "again/base").exists()
