"""The pool: servers, models, slots, queue."""

from __future__ import annotations

from fastapi import APIRouter
from pydantic import JsonValue

from backend.dependencies import App
from backend.problems import answers
from infrastructure.pool.snapshot import PoolSnapshot

router = APIRouter(prefix="/api/v1/pool", tags=["pool"])

POOL_EXAMPLE: dict[str, JsonValue] = {
    "servers": [],
    "queued": {"interactive": 0, "batch": 2, "speculative": 0},
    "in_flight": {"interactive": 1, "batch": 0, "speculative": 0},
    "clients": {"default": 3},
    "calls": {"done": 12, "failed": 0, "cancelled": 1, "preempted": 0, "moved": 0},
    "draining": False,
    "closed": False,
}


@router.get(
    "",
    response_model=PoolSnapshot,
    responses={200: {"content": {"application/json": {"example": POOL_EXAMPLE}}}, **answers()},
)
async def read_pool(app: App) -> object:
    """Show the pool as it is now. No server is asked."""
    return app.pool.snapshot()
