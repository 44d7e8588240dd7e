"""What a call costs where other work has driven it out of the caches: its code and data come from memory again.

µs of CPU of one small call, right behind others, and after 64 MB of something else were read: the pool's own
Python over a wire in memory, as in `call`, and the client's share of `h2` in one request and its answer.

`python -m benchmarks.cold`
"""

from __future__ import annotations

import asyncio
import gc
import statistics
import time
from collections.abc import Awaitable, Callable, Iterator

from h2.config import H2Configuration
from h2.connection import H2Connection

from benchmarks.call import a_pool
from benchmarks.contenders import text

ROUNDS, WARM = 60, 100
_OTHER = bytearray(64 << 20)
_HEAD = [
    (b":method", b"POST"),
    (b":path", b"/api/generate"),
    (b":authority", b"127.0.0.1:11434"),
    (b":scheme", b"http"),
    (b"accept", b"application/json"),
    (b"content-type", b"application/json"),
    (b"content-length", b"90"),
]


class _Clock:
    """CPU of what runs between two beats, with cold caches if so asked."""

    def __init__(self, *, cold: bool) -> None:
        self._cold = cold
        self.seconds = 0.0

    def __enter__(self) -> None:
        if self._cold:
            _OTHER.translate(None, b"\x01")
        self._began = time.thread_time()

    def __exit__(self, *_: object) -> None:
        self.seconds += time.thread_time() - self._began


async def _each(step: Callable[[_Clock], Awaitable[None]]) -> Iterator[str]:
    """The cells of a line: the least and the median, warm and cold."""
    figures: dict[bool, list[float]] = {False: [], True: []}
    for _ in range(WARM):
        await step(_Clock(cold=False))
    gc.disable()
    for _ in range(ROUNDS):
        for cold in (False, False, False, True):
            clock = _Clock(cold=cold)
            await step(clock)
            figures[cold].append(1e6 * clock.seconds)
    gc.enable()
    return (f"{min(found):.0f}, {statistics.median(found):.0f}" for found in figures.values())


async def measure() -> str:
    """A table."""
    lines = ["| | warm: least, median | cold: least, median |\n|---|---|---|"]
    async with a_pool() as pool:

        async def call(clock: _Clock) -> None:
            with clock:
                await pool.generate(model="s", prompt=text())

        lines.append(f"| the pool's Python | {' | '.join(await _each(call))} |")
    client = H2Connection(H2Configuration(client_side=True, header_encoding=None))
    server = H2Connection(H2Configuration(client_side=False, header_encoding=None))
    for one, other in ((client, server), (server, client)):
        one.initiate_connection()
        other.receive_data(one.data_to_send())

    async def request(clock: _Clock) -> None:
        stream = client.get_next_available_stream_id()
        with clock:
            client.send_headers(stream, _HEAD)
            client.send_data(stream, b"x" * 90, end_stream=True)
            asked = client.data_to_send()
        server.receive_data(asked)
        server.acknowledge_received_data(90, stream)
        server.send_headers(stream, [(b":status", b"200"), (b"content-type", b"application/x-ndjson")])
        answer = [server.data_to_send()]
        server.send_data(stream, b"y" * 200)
        server.end_stream(stream)
        answer.append(server.data_to_send())
        with clock:
            for piece in answer:
                client.receive_data(piece)
            client.acknowledge_received_data(200, stream)
        server.receive_data(client.data_to_send())

    lines.append(f"| `h2` | {' | '.join(await _each(request))} |")
    return "\n".join(lines)


if __name__ == "__main__":
    print(asyncio.run(measure()))
