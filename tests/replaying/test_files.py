"""A recording as a file: whole on any machine, and refused when it is anything else than it says."""

from __future__ import annotations

import base64
import hashlib
import json
import sys
from pathlib import Path

import pytest

from infrastructure.replaying import BadRecording, load_recording, replay_file, write_recording
from tests.replaying.record import REPAIRED


def sha(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@pytest.fixture
def lines() -> list[dict]:
    return [json.loads(line) for line in REPAIRED.read_text().splitlines()]


@pytest.fixture
def write(tmp_path):
    """Write changed lines as a file; the last one counts them, unless it is told not to."""

    def written(lines: list[dict], *, counted: bool = True) -> Path:
        if counted:
            lines = [*lines[:-1], {"lines": len(lines) - 1}]
        path = tmp_path / "run.jsonl"
        path.write_text("".join(json.dumps(line) + "\n" for line in lines))
        return path

    return written


async def test_committed_recording_replays_to_the_last_byte():
    """Where a prompt or a step has changed on purpose: `python -m tests.replaying.record` makes it anew."""
    replayed = await replay_file(REPAIRED)
    assert replayed.difference == ()
    assert replayed.result.status == "done"
    assert replayed.result.attempts == 2


def test_committed_recording_tells_nothing_of_the_machine_that_made_it():
    text = REPAIRED.read_text()
    assert str(Path(sys.prefix)) not in text or sys.prefix in ("/usr", "/")
    assert str(Path.home()) + "/" not in text


async def test_recording_is_the_same_after_a_journey(tmp_path):
    first = await load_recording(REPAIRED)
    await write_recording(first, tmp_path / "again.jsonl")
    assert (tmp_path / "again.jsonl").read_bytes() == REPAIRED.read_bytes()
    assert await load_recording(tmp_path / "again.jsonl") == first


async def test_other_form_is_refused_by_name(lines, write):
    lines[0]["form"] = 2
    lines[0]["of_tomorrow"] = True
    with pytest.raises(BadRecording, match="it is of form 2, and this Corral reads form 1") as caught:
        await load_recording(write(lines))
    assert "export the run again" in caught.value.hint


@pytest.mark.parametrize(
    "content", [b"", b"\n\n", b"{}\n{}\n", b"\x00\xff\n{}\n", b"[" * 100_000 + b"\n{}\n", b"1\n2\n"]
)
async def test_something_else_is_refused(tmp_path, content):
    path = tmp_path / "x.jsonl"
    path.write_bytes(content)
    with pytest.raises(BadRecording):
        await load_recording(path)


async def test_file_that_is_cut_off_is_refused(lines, write):
    with pytest.raises(BadRecording, match="its end is missing"):
        await load_recording(write(lines[:-3], counted=False))


async def test_content_that_is_not_what_its_name_says_is_refused(lines, write):
    where = next(number for number, line in enumerate(lines) if "content" in line)
    lines[where]["content"]["text"] += " "
    with pytest.raises(BadRecording, match="not what its name says"):
        await load_recording(write(lines))


async def test_content_that_is_missing_is_refused(lines, write):
    blob = next(line["call"]["request_blob"] for line in lines if "call" in line)
    kept = [line for line in lines if line.get("content", {}).get("content") != blob]
    with pytest.raises(BadRecording, match="is missing"):
        await load_recording(write(kept))


async def test_unknown_event_is_refused_with_its_line(lines, write):
    where = next(number for number, line in enumerate(lines) if "event" in line)
    lines[where]["event"]["event"]["kind"] = "of.tomorrow"
    with pytest.raises(BadRecording, match=f"line {where + 1}: event"):
        await load_recording(write(lines))


async def test_answer_that_cannot_be_read_is_refused(lines, write):
    where = next(number for number, line in enumerate(lines) if "call" in line)
    lines[where]["call"]["answer_json"] = "{}"
    with pytest.raises(BadRecording, match="damaged"):
        await load_recording(write(lines))


async def test_too_large_a_file_is_refused_without_being_read_whole(tmp_path, monkeypatch):
    monkeypatch.setattr("infrastructure.replaying.files.FILE_BYTES", 1000)
    with pytest.raises(BadRecording, match="larger than 1,000 bytes"):
        await load_recording(REPAIRED)


@pytest.mark.parametrize(
    ("path", "mode", "content"),
    [
        ("../led-out.py", 0o100644, b"x"),
        ("/tmp/led-out.py", 0o100644, b"x"),
        ("a/../../led-out.py", 0o100644, b"x"),
        (".git/hooks/post-checkout", 0o100755, b"x"),
        ("link", 0o120000, b"/etc/passwd"),
        ("link", 0o120000, b"../../led-out"),
        ("device", 0o060000, b"x"),
        ("a" * 300, 0o100644, b"x"),
        ("calc.py/inside", 0o100644, b"x"),
    ],
)
async def test_path_that_leads_out_is_refused_and_nothing_is_written_there(lines, write, tmp_path, path, mode, content):
    manifest = json.loads(lines[0]["manifest"])
    manifest["files"][path] = [sha(content), mode, len(content)]
    lines[0]["manifest"] = json.dumps(manifest)
    lines.insert(1, {"content": {"content": sha(content), "base64": base64.b64encode(content).decode()}})
    with pytest.raises(Exception, match=r"is refused") as caught:
        await replay_file(write(lines))
    assert type(caught.value).__name__ == "PathRefused"
    assert not list(Path(tmp_path).parent.glob("**/led-out*"))


@pytest.mark.parametrize("files", [{"a": ["x"]}, {"a": [1, 2, 3]}, {"a": ["00", 0o100644, -1]}, [], "text"])
async def test_list_of_files_that_makes_no_sense_is_refused(lines, write, files):
    manifest = json.loads(lines[0]["manifest"])
    manifest["files"] = files
    lines[0]["manifest"] = json.dumps(manifest)
    with pytest.raises(BadRecording):
        await load_recording(write(lines))


async def test_recording_that_is_at_odds_with_itself_is_given_up(lines, write, monkeypatch):
    """Its only candidate is said to have lost to one that never was."""
    monkeypatch.setattr("infrastructure.replaying.playing.STANDSTILL_SECONDS", 0.5)
    where = next(
        n
        for n, line in enumerate(lines)
        if line.get("event", {}).get("event", {}).get("kind") == "work.candidate_ended"
    )
    lines[where]["event"]["event"]["outcome"] = "lost"
    ghost = json.loads(json.dumps(lines[where]))
    ghost["event"]["event"] |= {"candidate": 9, "outcome": "done"}
    lines.insert(where, ghost)
    replayed = await replay_file(write(lines))
    assert "nothing has happened" in replayed.difference[0]
