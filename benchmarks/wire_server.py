"""A server that costs next to nothing: it says what an Ollama with one model says, and paces streams by one timer each.

`python -m benchmarks.wire_server` prints its address and serves until it is ended.
"""

from __future__ import annotations

import asyncio
import random
from typing import cast

import orjson

TOKENS = 100
"""Of every streamed answer."""
TOKEN_SECONDS = 0.02
_STREAM = b"HTTP/1.1 200 OK\r\nContent-Type: application/x-ndjson\r\nTransfer-Encoding: chunked\r\n\r\n"
_MADE = "2026-01-01T00:00:00.000000Z"
_FIGURES = {"total_duration": 9_000_000, "load_duration": 1_000_000, "prompt_eval_count": 6}
_WHOLE = {
    "/api/embed": {"model": "m:latest", "embeddings": [[0.125] * 8], **_FIGURES},
    "/api/generate": {
        "model": "m:latest",
        "created_at": _MADE,
        "response": "word",
        "done": True,
        "done_reason": "stop",
        **_FIGURES,
        "prompt_eval_duration": 4_000_000,
        "eval_count": 1,
        "eval_duration": 4_000_000,
    },
    "/api/tags": {
        "models": [{"name": "m:latest", "model": "m:latest", "modified_at": _MADE, "size": 1, "digest": "d"}]
    },
    "/api/ps": {"models": [{"name": "m:latest", "model": "m:latest", "size": 1, "size_vram": 1, "digest": "d"}]},
    "/api/show": {"capabilities": ["completion"], "model_info": {}},
    "/api/version": {"version": "0.32.15"},
}


def _line(text: str, *, done: bool = False) -> bytes:
    message: dict[str, object] = {"role": "assistant", "content": text}
    end = {"done_reason": "stop", **_FIGURES, "eval_count": TOKENS, "eval_duration": 10**9} if done else {}
    body = {"model": "m:latest", "created_at": _MADE, "message": message, "done": done, **end}
    data = orjson.dumps(body) + b"\n"
    return b"%x\r\n%s\r\n" % (len(data), data)


_TOKEN, _END = _line(" word"), _line("", done=True) + b"0\r\n\r\n"


def _whole(answer: object) -> bytes:
    body = orjson.dumps(answer) + b"\n"
    return b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)


_ANSWERS = {path: _whole(answer) for path, answer in _WHOLE.items()}


class Server(asyncio.Protocol):
    """One connection; requests come whole and one after the other, as the contenders send them."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._held = b""
        self._left = 0

    def data_received(self, data: bytes) -> None:
        self._held += data
        head, found, body = self._held.partition(b"\r\n\r\n")
        if not found:
            return
        lowered = head.lower()
        at = lowered.find(b"content-length:")
        length = int(lowered[at + 15 :].split(b"\r\n", 1)[0]) if at >= 0 else 0
        if len(body) < length:
            return
        self._held = body[length:]
        path = head.split(b" ", 2)[1].decode()
        if path == "/api/chat":
            self._transport.write(_STREAM)
            self._left = TOKENS
            asyncio.get_running_loop().call_later(random.uniform(0, TOKEN_SECONDS), self._next)
        else:
            self._transport.write(_ANSWERS[path])

    def _next(self) -> None:
        if self._transport.is_closing():
            return
        if not self._left:
            self._transport.write(_END)
            return
        self._left -= 1
        self._transport.write(_TOKEN)
        asyncio.get_running_loop().call_later(TOKEN_SECONDS, self._next)


async def main() -> None:
    """Serve; the address goes to stdout."""
    server = await asyncio.get_running_loop().create_server(Server, "127.0.0.1", 0, backlog=1024)
    print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
