"""The bounded memory of a stream."""

import pytest

from infrastructure.processes import FLOOD_FACTOR
from infrastructure.processes.capture import Capture


@pytest.mark.parametrize("limit", [0, 1, 2, 7, 10])
@pytest.mark.parametrize("piece", [1, 3, 100])
def test_a_capture_holds_head_and_tail_however_the_stream_is_cut(limit: int, piece: int) -> None:
    text = bytes(range(65, 90))
    capture = Capture(limit)
    for at in range(0, len(text), piece):
        capture.add(text[at : at + piece])

    head, tail = text[: limit // 2], text[len(text) - (limit - limit // 2) :]
    assert capture.render() == head + b"\n[... %d bytes left out ...]\n" % (len(text) - limit) + tail


def test_a_capture_is_whole_up_to_its_limit_and_a_flood_far_above() -> None:
    capture = Capture(10)
    capture.add(b"0123456789")
    assert (capture.render(), capture.cut, capture.flooded) == (b"0123456789", False, False)

    capture.add(b"x" * 10 * (FLOOD_FACTOR - 1))
    assert (capture.cut, capture.flooded) == (True, False)
    capture.add(b"x")
    assert capture.flooded
