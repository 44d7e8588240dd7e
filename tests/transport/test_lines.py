from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infrastructure.transport.lines import LineSplitter, LineTooLong


def split(pieces: list[bytes], limit: int = 1 << 20) -> list[bytes]:
    splitter = LineSplitter(limit)
    lines = [line for piece in pieces for line in splitter.feed(piece)]
    last = splitter.flush()
    return [*lines, last] if last else lines


@given(st.lists(st.binary(min_size=1, max_size=30).filter(lambda b: b.strip() and b"\n" not in b)), st.data())
def test_lines_are_the_same_however_the_bytes_are_cut(lines: list[bytes], data: st.DataObject) -> None:
    stream = b"".join(line + b"\n" for line in lines)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=20)))
    pieces = [stream[a:b] for a, b in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    assert split(pieces) == lines


def test_only_a_newline_ends_a_line() -> None:
    text = "a\x85b\u2028c\u2029d\x0be\x0cf\x1cg\rh".encode()
    assert split([text + b"\n"]) == [text]


def test_the_last_line_needs_no_newline() -> None:
    assert split([b"one\ntw", b"o"]) == [b"one", b"two"]


def test_empty_lines_are_left_out() -> None:
    assert split([b"\n\none\n \r\n\ntwo\n"]) == [b"one", b"two"]


@pytest.mark.parametrize("pieces", [[b"x" * 11 + b"\n"], [b"x" * 6, b"x" * 6], [b"ok\n" + b"x" * 11], [b"x" * 11]])
def test_a_line_over_the_limit_is_refused_ended_or_not(pieces: list[bytes]) -> None:
    with pytest.raises(LineTooLong):
        split(pieces, limit=10)


def test_a_line_of_exactly_the_limit_passes_in_any_pieces() -> None:
    assert split([b"x" * 10 + b"\n" + b"y" * 4, b"y" * 6, b"\n"], limit=10) == [b"x" * 10, b"y" * 10]
