"""What is taken as a task, and what is refused with a word about what to do."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from backend.cli.errors import Refused
from backend.cli.task import read_task

MOST = 1000


def test_task_of_the_command_line_loses_white_space_around_it() -> None:
    assert read_task("  add a flag\n", None, MOST) == "add a flag"


def test_task_is_read_from_a_file_and_from_standard_input(tmp_path: Path) -> None:
    file = tmp_path / "task.txt"
    file.write_text("größer", encoding="utf-8")
    assert read_task(None, str(file), MOST) == "größer"
    assert read_task(None, "-", MOST, io.BytesIO(b"from a pipe\n")) == "from a pipe"


def test_task_of_exactly_the_limit_is_taken() -> None:
    assert len(read_task("x" * MOST, None, MOST)) == MOST


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "the task is empty"),
        (b" \n\t", "the task is empty"),
        (b"x" * (MOST + 1), "longer than 1,000 bytes"),
        (b"caf\xe9", "not UTF-8 text (byte 4)"),
        (b"zero\0byte", "zero byte"),
    ],
)
def test_unusable_task_is_refused_as_usage(content: bytes, said: str) -> None:
    with pytest.raises(Refused) as refused:
        read_task(None, "-", MOST, io.BytesIO(content))
    assert said in str(refused.value)
    assert refused.value.exit_code == 2
    assert refused.value.hint


def test_bytes_that_are_no_utf8_on_the_command_line_are_refused() -> None:
    with pytest.raises(Refused, match="not UTF-8"):
        read_task(b"caf\xe9".decode("utf-8", "surrogateescape"), None, MOST)


@pytest.mark.parametrize(
    ("task", "file", "said"),
    [(None, None, "no task"), ("x", "-", "a task and a task file"), (None, "/nowhere/task.txt", "No such file")],
)
def test_missing_or_double_task_is_refused(task: str | None, file: str | None, said: str) -> None:
    with pytest.raises(Refused, match=said) as refused:
        read_task(task, file, MOST)
    assert refused.value.hint


def test_endless_input_is_read_only_to_the_limit() -> None:
    endless = io.BytesIO(b"x" * (MOST * 100))
    with pytest.raises(Refused):
        read_task(None, "-", MOST, endless)
    assert endless.tell() == MOST + 1
