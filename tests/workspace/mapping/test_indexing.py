"""A whole snapshot: what is parsed, what is remembered, and what a hostile file cannot do."""

from __future__ import annotations

import asyncio
import base64
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from infrastructure.workspace import Snapshot, take_snapshot
from infrastructure.workspace.mapping.cache import MemoryTags, SqliteTags, TagStore, key_of
from infrastructure.workspace.mapping.indexing import index_of
from infrastructure.workspace.mapping.mapper import Mapper
from infrastructure.workspace.mapping.parsers import PROGRAM, parse_files, request
from infrastructure.workspace.mapping.skipping import PARSED_BYTES
from infrastructure.workspace.mapping.tags import NO_TAGS, FileTags, dump_tags, load_tags
from infrastructure.workspace.mapping.worker import answers

FILES = {
    "app/store.py": "class Store:\n    def rows(self): ...\n",
    "app/report.py": "from app.store import Store\n\ndef report():\n    return Store().rows()\n",
    "app/copy.py": "class Store:\n    def rows(self): ...\n",
    "web/main.js": "export function start() {}\n",
    "README.md": "# Store\n",
}
DYING = (
    "import sys, os; sys.path[:] = sys.argv[1:]\n"
    "from infrastructure.workspace.mapping import worker\n"
    "tags = worker._tags\n"
    "worker._tags = lambda root, path, language: os.abort() if 'bad' in path else tags(root, path, language)\n"
    "worker.main()"
)
"""A worker whose grammar has a fault that some files meet."""


@pytest.fixture(params=["memory", "sqlite"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> TagStore:
    return MemoryTags() if request.param == "memory" else SqliteTags(tmp_path / "data" / "tags.db")


async def snapshot_of(folder: Path, files: dict[str, str | bytes]) -> Snapshot:
    for path, text in files.items():
        (folder / "work" / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / "work" / path).write_bytes(text.encode() if isinstance(text, str) else text)
    return await take_snapshot(folder / "work", folder / "snapshot")


async def test_second_index_of_an_unchanged_repository_parses_nothing(tmp_path: Path, store: TagStore):
    snapshot = await snapshot_of(tmp_path, dict(FILES))
    first, second = await index_of(snapshot, store), await index_of(snapshot, store)
    assert (first.work.source, first.work.cached, first.work.parsed) == (4, 0, 3)  # two files have one content
    assert (second.work.cached, second.work.parsed) == (4, 0)
    assert second.files == first.files
    assert [each.name for each in first.files["app/copy.py"].definitions] == ["Store", "rows"]


async def test_only_a_changed_file_is_parsed_again(tmp_path: Path, store: TagStore):
    await index_of(await snapshot_of(tmp_path / "before", dict(FILES)), store)
    changed = FILES | {"app/report.py": "def report(): ...\n\ndef other(): ...\n"}
    index = await index_of(await snapshot_of(tmp_path / "after", dict(changed)), store)
    assert index.work.parsed == 1
    assert [each.name for each in index.files["app/report.py"].definitions] == ["report", "other"]


async def test_file_that_kills_its_parser_costs_only_itself(tmp_path: Path):
    snapshot = await snapshot_of(tmp_path, FILES | {"app/bad.py": "def f(): ...\n"})
    found = await parse_files(snapshot.root, [(path, "python") for path in sorted(FILES)[1:4]], program=DYING)
    assert len(found) == 3
    paths = ["app/bad.py", "app/report.py"]
    found = await parse_files(snapshot.root, [(path, "python") for path in paths], program=DYING)
    assert load_tags(found["app/bad.py"]) == NO_TAGS
    assert [each.name for each in load_tags(found["app/report.py"]).definitions] == ["report"]


async def test_parsing_is_given_up_after_five_deaths(tmp_path: Path):
    files: dict[str, str | bytes] = {f"bad{number}.py": f"x = {number}\n" for number in range(9)}
    snapshot = await snapshot_of(tmp_path, files)
    found = await parse_files(snapshot.root, [(path, "python") for path in sorted(files)], program=DYING)
    assert sorted(found) == sorted(files)[:5]


async def test_worker_that_hangs_is_killed_and_its_file_has_no_tags(tmp_path: Path):
    snapshot = await snapshot_of(tmp_path, {"a.py": "x = 1\n"})
    hanging = "import signal; signal.pause()"
    found = await parse_files(snapshot.root, [("a.py", "python")], program=hanging, seconds=0.2)
    assert load_tags(found["a.py"]) == NO_TAGS


async def test_hostile_files_are_skipped_or_read_and_never_end_the_index(tmp_path: Path):
    files: dict[str, str | bytes] = {
        "deep.py": b"(" * 100_000,
        "wide.js": b"a?" * 50_000,
        "huge.py": b"x = 1\n" * (PARSED_BYTES // 6 + 1),
        "binary.c": b"\x7fELF\0\0",
        "bytes.py": b"def f(): return '\xff\xfe'\n",
        "tab\tname.py": "def g(): ...\n",
        "good.py": "def good(): ...\n",
    }
    index = await index_of(await snapshot_of(tmp_path, files), MemoryTags())
    assert "huge.py" not in index.files
    assert "tab\tname.py" not in index.graph.paths
    assert index.work.skipped == 1
    assert index.files["binary.c"] == NO_TAGS
    assert [each.name for each in index.files["good.py"].definitions] == ["good"]
    assert [each.name for each in index.files["bytes.py"].definitions] == ["f"]


async def test_link_to_a_source_file_is_not_followed(tmp_path: Path):
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "link.py").symlink_to("good.py")
    index = await index_of(await snapshot_of(tmp_path, {"good.py": "def good(): ...\n"}), MemoryTags())
    assert list(index.files) == ["good.py"]


# ------------------------------------------------------------------------------------------------ the store


async def test_what_is_put_is_there(store: TagStore):
    await store.put({"a": b"1", "b": b"2"})
    await store.put({"b": b"3"})
    assert await store.get(["b", "a", "c"]) == {"a": b"1", "b": b"3"}


def test_key_names_content_and_grammar():
    assert len({key_of(sha, language) for sha in ("0" * 64, "1" * 64) for language in ("python", "go")}) == 4


async def test_two_processes_may_write_at_once(tmp_path: Path):
    first, second = SqliteTags(tmp_path / "tags.db"), SqliteTags(tmp_path / "tags.db")
    await first.put({"a": b"1"})
    await second.put({"a": b"1", "b": b"2"})
    assert await first.get(["a", "b"]) == await second.get(["a", "b"]) == {"a": b"1", "b": b"2"}


async def test_store_stays_within_its_bound_and_keeps_the_newest(tmp_path: Path):
    store = SqliteTags(tmp_path / "tags.db", kept_bytes=1000)
    for number in range(30):
        await store.put({f"key {number}": b"x" * 100})
    kept = await store.get([f"key {number}" for number in range(30)])
    assert sum(map(len, kept.values())) <= 1000
    assert "key 29" in kept
    assert "key 0" not in kept


async def test_memory_keeps_what_was_asked_for_last():
    store = MemoryTags(most=2)
    await store.put({"a": b"1", "b": b"2"})
    await store.get(["a"])
    await store.put({"c": b"3"})
    assert await store.get(["a", "b", "c"]) == {"a": b"1", "c": b"3"}


@pytest.mark.parametrize("damage", [b"not a database, but something else entirely" * 50, b""])
async def test_damaged_store_is_no_store(tmp_path: Path, damage: bytes, caplog: pytest.LogCaptureFixture):
    (tmp_path / "tags.db").write_bytes(damage)
    store = SqliteTags(tmp_path / "tags.db")
    index = await index_of(await snapshot_of(tmp_path, dict(FILES)), store)
    assert index.work.parsed == 3
    assert bool(damage) == ("cannot be used" in caplog.text)


async def test_store_is_for_its_owner_alone(tmp_path: Path):
    await SqliteTags(tmp_path / "data" / "tags.db").put({"a": b"1"})
    assert (tmp_path / "data" / "tags.db").stat().st_mode & 0o077 == 0


async def test_unreadable_tags_in_the_store_are_none(tmp_path: Path):
    snapshot = await snapshot_of(tmp_path, {"a.py": "def f(): ...\n"})
    store = MemoryTags()
    await store.put({key_of(snapshot.files["a.py"].sha256, "python"): b"from elsewhere"})
    assert (await index_of(snapshot, store)).files == {"a.py": NO_TAGS}


# ------------------------------------------------------------------------------------------------ the worker


async def test_worker_answers_a_line_for_each_file_whatever_it_is(tmp_path: Path):
    snapshot = await snapshot_of(tmp_path, dict(FILES))
    paths = [("app/store.py", "python"), ("no/such.py", "python"), ("../snapshot/manifest.json", "python")]
    answered = await asyncio.to_thread(lambda: list(answers(request(snapshot.root, paths))))
    found = [load_tags(base64.b64decode(line)) for line in answered]
    assert [len(each.definitions) for each in found] == [2, 0, 0]


def test_engine_holds_no_parser(repository_root: Path):
    """A fault in a grammar could end whoever has loaded it."""
    program = (
        "import sys, infrastructure.workflow.graph; print([name for name in sys.modules if 'tree_sitter' in name])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=repository_root, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
    assert "infrastructure.workspace.mapping.worker" in PROGRAM


async def test_parser_is_not_asked_where_all_is_known(tmp_path: Path):
    asked: list[Sequence[tuple[str, str]]] = []

    async def parse(root: Path, files: Sequence[tuple[str, str]]) -> dict[str, bytes]:
        asked.append(files)
        return {path: dump_tags(FileTags()) for path, _ in files}

    store = MemoryTags()
    snapshot = await snapshot_of(tmp_path, dict(FILES))
    for _ in range(2):
        await index_of(snapshot, store, parse=parse)
    assert [len(files) for files in asked] == [3, 0]


async def test_snapshots_of_the_same_files_share_an_index(tmp_path: Path):
    mapper = Mapper(MemoryTags())
    first = await mapper.index(await snapshot_of(tmp_path / "one", dict(FILES)))
    assert await mapper.index(await snapshot_of(tmp_path / "two", dict(FILES))) is first
    other = await mapper.index(await snapshot_of(tmp_path / "three", {**FILES, "web/main.js": "export const A = 1"}))
    assert other is not first


async def test_index_that_was_cancelled_is_made_by_the_next_who_asks(tmp_path: Path):
    begun, let_go = asyncio.Event(), asyncio.Event()

    async def parse(root: Path, files: Sequence[tuple[str, str]]) -> dict[str, bytes]:
        begun.set()
        await let_go.wait()
        return await parse_files(root, files)

    snapshot = await snapshot_of(tmp_path, dict(FILES))
    mapper = Mapper(MemoryTags(), parse=parse)
    asking = asyncio.create_task(mapper.index(snapshot))
    await begun.wait()
    asking.cancel()
    await asyncio.wait([asking])
    let_go.set()
    assert (await mapper.index(snapshot)).work.parsed == 3
