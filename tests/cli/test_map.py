"""`corral map`: a person sees what the model sees."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.conftest import Corral, refused

FILES = {
    "app/jar.py": "class CookieJar:\n    def expire(self): ...\n",
    "app/client.py": "from app.jar import CookieJar\n\ndef send(): return CookieJar()\n",
    "README.md": "# App\n",
}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    for path, text in FILES.items():
        (tmp_path / "project" / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "project" / path).write_text(text)
    return tmp_path / "project"


def test_map_is_data_and_what_was_done_is_told_beside_it(corral: Corral, project: Path) -> None:
    done = corral("map", "--repo", str(project), "--task", "cookies expire too late")
    assert done.code == 0, done.err
    assert done.out.startswith("app/jar.py\n  class CookieJar\n    def expire(self)\n")
    assert "2 parsed now" in done.err
    again = corral("map", "--repo", str(project), "--task", "cookies expire too late")
    assert again.out == done.out
    assert "0 parsed now" in again.err


def test_document_tells_kinds_and_lines(corral: Corral, project: Path) -> None:
    document = corral("map", "--repo", str(project), "--task", "`expire` of the jar", "--output", "json").document
    first = document["files"][0]
    assert (first["path"], first["definitions"][1]["name"], first["definitions"][1]["line"]) == (
        "app/jar.py",
        "expire",
        2,
    )
    assert document["tokens"] <= document["budget"] == 1024
    assert document["work"] == {"files": 3, "source": 2, "cached": 0, "parsed": 2, "skipped": 0}


def test_map_keeps_to_its_tokens(corral: Corral, project: Path) -> None:
    document = corral("map", "--repo", str(project), "--tokens", "9", "--output", "json").document
    assert 0 < document["tokens"] <= 9
    assert len(document["files"]) + document["left_out"] == 3


def test_map_of_nothing_is_empty(corral: Corral, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    done = corral("map", "--repo", str(tmp_path / "empty"))
    assert (done.code, done.out) == (0, "")


@pytest.mark.parametrize(
    ("arguments", "said"), [(["--tokens", "0"], "shows nothing"), (["--repo", "/no/such/folder"], "is not a folder")]
)
def test_what_cannot_be_drawn_is_refused_in_words(corral: Corral, arguments: list[str], said: str) -> None:
    refused(corral("map", *arguments), 2, said)
