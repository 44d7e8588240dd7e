"""Log lines: each with what began the work that it is about."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator

import pytest

from backend.cli.console import log_shown, open_terminal
from backend.cli.logs import write_log_as
from infrastructure.config.settings import LogSettings
from infrastructure.events.causes import correlated

LOGGER = logging.getLogger("infrastructure.somewhere")


@pytest.fixture
def written() -> Iterator[io.StringIO]:
    err = io.StringIO()
    with log_shown(open_terminal(io.StringIO(), err), debug=False):
        yield err


def test_each_json_line_says_what_it_is_about(written: io.StringIO) -> None:
    write_log_as(LogSettings(format="json"))
    with correlated("request-1"):
        LOGGER.warning("a line\nwith %s", "an end in it")
    LOGGER.warning("of nobody")
    first, second = map(json.loads, written.getvalue().splitlines())
    assert first["message"] == "a line\nwith an end in it"
    assert (first["correlation"], second["correlation"]) == ("request-1", "")
    assert (first["level"], first["logger"]) == ("warning", "infrastructure.somewhere")
    assert first["at"].endswith("Z")


def test_an_error_is_told_with_its_trace_on_the_same_line(written: io.StringIO) -> None:
    write_log_as(LogSettings(format="json"))
    try:
        raise ValueError("no")
    except ValueError:
        LOGGER.exception("it failed")
    (line,) = map(json.loads, written.getvalue().splitlines())
    assert line["error"] == "ValueError"
    assert "test_logs.py" in line["trace"]


def test_the_level_decides_what_of_ours_is_said_and_libraries_stay_quiet(written: io.StringIO) -> None:
    write_log_as(LogSettings(level="info"))
    LOGGER.info("ours")
    LOGGER.debug("too little")
    logging.getLogger("some.library").info("theirs")
    assert written.getvalue() == "info: ours\n"


def test_errors_alone_where_that_is_wanted(written: io.StringIO) -> None:
    write_log_as(LogSettings(level="error"))
    LOGGER.warning("hm")
    LOGGER.error("bad")
    assert written.getvalue() == "warning: bad\n"


def test_levels_are_as_before_when_the_command_is_over() -> None:
    before = logging.getLogger("infrastructure").level
    with log_shown(open_terminal(io.StringIO(), io.StringIO()), debug=False):
        write_log_as(LogSettings(level="debug"))
        write_log_as(LogSettings(level="info"))
    assert logging.getLogger("infrastructure").level == before
