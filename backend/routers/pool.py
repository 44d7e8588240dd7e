"""The pool: servers, models, slots, queue."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Header
from pydantic import JsonValue

from backend.dependencies import App, Door
from backend.problems import answers
from backend.streams import EVENT_STREAM, EventStreamResponse, PoolStream
from infrastructure.pool.snapshot import PoolSnapshot

router = APIRouter(prefix="/api/v1/pool", tags=["pool"])

_FIGURES: dict[str, JsonValue] = {
    "calls": 12,
    "failures": 0,
    "server_wait_seconds": 0.0,
    "load_seconds": 4.2,
    "prompt_seconds": 0.6,
    "prompt_tokens_per_second": 2900.0,
    "decode_seconds": 7.5,
    "decode_tokens_per_second": 61.0,
    "first_byte_seconds": 0.7,
    "uncached_tokens_per_second": 2700.0,
}
_LANE: dict[str, JsonValue] = {
    "lane": "qwen2.5-coder:14b (num_ctx=32768)",
    "model": "qwen2.5-coder:14b",
    "free": 1,
    "busy": 1,
    "cancelling": 0,
    "figures": _FIGURES,
    "slots": 2,
    "settled": True,
    "resident": True,
    "loading": False,
    "prompt_tokens_per_second": 2750.0,
    "breaker": "closed",
    "load_seconds": 4.2,
}
_SERVER: dict[str, JsonValue] = {
    "label": "gpu0",
    "url": "http://127.0.0.1:11434",
    "health": "up",
    "reason": "",
    "slots": 2,
    "in_flight": 1,
    "models": ["qwen2.5-coder:14b", "qwen2.5-coder:7b"],
    "loaded": [{"model": "qwen2.5-coder:14b", "size": 15518000000, "size_vram": 15518000000, "context_length": 32768}],
    "lanes": [_LANE],
    "draining": False,
    "places": 1,
    "places_given": False,
    "loading": None,
    "leaving": [],
}
_CALL: dict[str, JsonValue] = {
    "number": 14,
    "client": "default",
    "band": "interactive",
    "lane": "qwen2.5-coder:14b (num_ctx=32768)",
    "model": "qwen2.5-coder:14b",
    "state": "streaming",
    "server": "gpu0",
    "seconds": 3.1,
    "attempt": 1,
    "prompt_tokens": 1800,
    "answer_tokens": 140,
}
POOL_EXAMPLE: dict[str, JsonValue] = {
    "servers": [_SERVER],
    "queued": {"interactive": 0, "batch": 2, "speculative": 0},
    "in_flight": {"interactive": 1, "batch": 0, "speculative": 0},
    "clients": {"default": 3},
    "calls": {
        "done": 12,
        "failed": 0,
        "cancelled": 1,
        "preempted": 0,
        "moved": 0,
        "hedged": 0,
        "hedges_won": 0,
        "tripped": 0,
    },
    "waiting": {"qwen2.5-coder:7b": 2},
    "oldest_wait_seconds": 1.4,
    "loads": 1,
    "reloads": 0,
    "shares": {"interactive": {"default": 24310.0}, "batch": {"default": 0.0}},
    "in_hand": [_CALL],
    "draining": False,
    "closed": False,
}


@router.get(
    "",
    response_model=PoolSnapshot,
    responses={
        200: {
            "description": "The pool; or, with `Accept: text/event-stream`, the stream, which tells it anew after "
            "each change and ends with the pool or the server.",
            "content": {
                "application/json": {"example": POOL_EXAMPLE},
                EVENT_STREAM: {"example": 'event: pool\ndata: {"servers":[]}\n\n'},
            },
        },
        **answers(422, 429),
    },
)
async def read_pool(app: App, door: Door, accept: Annotated[str, Header()] = "") -> object:
    """Show the pool as it is now, or as it changes. No server is asked."""
    if EVENT_STREAM in accept:
        return EventStreamResponse(PoolStream(app.pool, door.stopping).frames(), door.stopping)
    return app.pool.snapshot()
