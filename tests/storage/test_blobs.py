import asyncio
import hashlib
import os
import stat

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from infrastructure.storage.blobs import BlobStore, MemoryBlobs
from infrastructure.storage.errors import CorruptBlob, MissingBlob, StorageError

NOWHERE = "0" * 64


@pytest.fixture(params=["files", "memory"])
def blobs(request, tmp_path):
    return BlobStore(tmp_path / "blobs") if request.param == "files" else MemoryBlobs()


@pytest.fixture
def store(tmp_path):
    return BlobStore(tmp_path / "blobs")


async def test_content_comes_back_by_its_sha256(blobs):
    for content in (b"", b"hello", bytes(range(256)) * 5000):
        sha = await blobs.put(content)
        assert sha == hashlib.sha256(content).hexdigest()
        assert await blobs.has(sha)
        assert await blobs.get(sha) == content


async def test_content_put_twice_is_kept_once(blobs):
    assert await blobs.put(b"x") == await blobs.put(b"x")
    assert await blobs.sweep(set(), young_seconds=-60) == 1


async def test_missing_content_is_a_named_error(blobs):
    assert not await blobs.has(NOWHERE)
    with pytest.raises(MissingBlob):
        await blobs.get(NOWHERE)


@pytest.mark.parametrize("name", ["", "../../etc/passwd", "A" * 64, "0" * 63, "0" * 64 + "\n", "/" * 64])
async def test_name_that_is_no_sha_is_never_a_path(blobs, name):
    with pytest.raises(MissingBlob):
        await blobs.get(name)
    assert not await blobs.has(name)


async def test_sweep_removes_what_is_not_kept_and_says_how_much(blobs):
    kept, gone = await blobs.put(b"keep"), await blobs.put(b"sweep me")
    assert await blobs.sweep({kept}, young_seconds=-60) == len(b"sweep me")
    assert await blobs.has(kept)
    assert not await blobs.has(gone)


async def test_sweep_spares_what_was_put_a_moment_ago(blobs):
    sha = await blobs.put(b"nobody has named it yet")
    assert await blobs.sweep(set(), young_seconds=3600) == 0
    assert await blobs.has(sha)


async def test_many_at_once_with_the_same_content_agree(blobs):
    shas = await asyncio.gather(*(blobs.put(b"same") for _ in range(20)))
    assert len(set(shas)) == 1
    assert await blobs.get(shas[0]) == b"same"


async def test_files_are_for_their_owner_alone_under_two_digits_of_their_name(store, tmp_path):
    sha = await store.put(b"x")
    file = tmp_path / "blobs" / sha[:2] / sha[2:]
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    assert [found.name for found in file.parent.iterdir()] == [file.name]


async def test_damaged_content_is_never_returned_and_putting_it_again_mends_it(store, tmp_path):
    sha = await store.put(b"precious")
    (tmp_path / "blobs" / sha[:2] / sha[2:]).write_bytes(b"precious?")
    with pytest.raises(CorruptBlob):
        await store.get(sha)
    await store.put(b"precious")
    assert await store.get(sha) == b"precious"


async def test_putting_again_makes_young_again(store, tmp_path):
    sha = await store.put(b"x")
    file = tmp_path / "blobs" / sha[:2] / sha[2:]
    os.utime(file, (0, 0))
    await store.put(b"x")
    assert await store.sweep(set()) == 0


async def test_half_written_file_of_a_crash_is_swept(store, tmp_path):
    sha = await store.put(b"x")
    (tmp_path / "blobs" / sha[:2] / ".left.tmp").write_bytes(b"half")
    assert await store.sweep({sha}, young_seconds=-60) == 4


async def test_folder_that_cannot_be_made_is_a_storage_error(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(StorageError):
        await BlobStore(tmp_path / "file" / "blobs").put(b"x")


@settings(deadline=None)
@given(st.binary(max_size=2000))
def test_any_bytes_come_back_from_memory_and_files_alike(tmp_path_factory, content):
    async def both():
        store, memory = BlobStore(tmp_path_factory.mktemp("blobs")), MemoryBlobs()
        sha = await store.put(content)
        assert sha == await memory.put(content)
        assert await store.get(sha) == await memory.get(sha) == content

    asyncio.run(both())
