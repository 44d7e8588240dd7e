"""Profiles of models: written in turn by several, and passed over with a clear word where they cannot be believed."""

from __future__ import annotations

import asyncio
import json
import logging
import stat
from datetime import UTC, datetime
from pathlib import Path

import pytest

from infrastructure.storage.profiles import LARGEST_FILE, MOST_COUNTED, FormatRecord, Profiles

NOW = datetime(2026, 1, 2, tzinfo=UTC)
MODEL, DIGEST = "qwen2.5-coder:7b", "abc123"


@pytest.fixture
def profiles(tmp_path: Path) -> Profiles:
    return Profiles(tmp_path / "profiles")


def file_of(profiles: Profiles) -> Path:
    return profiles.path_of(MODEL, DIGEST)


async def test_profile_comes_back_as_it_was_kept_and_another_digest_is_another_model(profiles: Profiles):
    assert await profiles.find(MODEL, DIGEST) is None
    kept = await profiles.update(MODEL, DIGEST, lambda each: each.counted({"whole": (3, 1)}, NOW))
    assert await profiles.find(MODEL, DIGEST) == kept
    assert (kept.formats["whole"].well, kept.formats["whole"].malformed, kept.learned) == (3, 1, NOW)
    assert await profiles.find(MODEL, "of another quantisation") is None
    assert await profiles.find("other:latest", DIGEST) is None
    assert stat.S_IMODE(file_of(profiles).stat().st_mode) == 0o600


async def test_what_several_add_at_once_is_all_counted(tmp_path: Path):
    each_its_own = [Profiles(tmp_path) for _ in range(8)]
    await asyncio.gather(
        *(each.update(MODEL, DIGEST, lambda known: known.counted({"whole": (1, 2)}, NOW)) for each in each_its_own)
    )
    found = await each_its_own[0].find(MODEL, DIGEST)
    assert found is not None
    assert (found.formats["whole"].well, found.formats["whole"].malformed) == (8, 16)


def test_newer_answers_weigh_more_once_many_are_counted():
    old = FormatRecord(well=MOST_COUNTED, malformed=0, asked=7, applied=5)
    new = old.plus(0, 50)
    assert (new.well, new.malformed, new.asked, new.applied) == (100, 25, 7, 5)


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"no JSON", "another version of Corral wrote it, or it is damaged (JSON"),
        (json.dumps({"form": 2, "model": MODEL, "digest": DIGEST}).encode(), "(form: "),
        (json.dumps({"form": 1, "model": MODEL, "digest": DIGEST, "mood": "good"}).encode(), "(mood: "),
        (json.dumps({"form": 1, "model": MODEL, "digest": DIGEST, "window": -4}).encode(), "(window: "),
        (json.dumps({"form": 1, "model": "other:latest", "digest": DIGEST}).encode(), "of another model than its name"),
        (b" " * (LARGEST_FILE + 1), "too long"),
    ],
)
async def test_what_cannot_be_believed_is_passed_over_and_said(
    profiles: Profiles, content: bytes, why: str, caplog: pytest.LogCaptureFixture
):
    await profiles.update("good:latest", "d", lambda each: each)
    file_of(profiles).write_bytes(content)
    with caplog.at_level(logging.WARNING):
        assert await profiles.find(MODEL, DIGEST) is None
    (said,) = [record.getMessage() for record in caplog.records]
    assert why in said
    assert "corral models check" in said
    looked = await profiles.look()
    assert [each.model for each in looked.profiles] == ["good:latest"]
    assert looked.ignored == (said,)
    again = await profiles.update(MODEL, DIGEST, lambda each: each.counted({"whole": (1, 0)}, NOW))
    assert await profiles.find(MODEL, DIGEST) == again


async def test_names_of_models_do_not_leave_the_folder(profiles: Profiles):
    for name in ("../../evil:latest", "a/b/c:1", "", "ü:latest", "x" * 500):
        assert profiles.path_of(name, "d").parent == file_of(profiles).parent
