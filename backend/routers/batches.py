"""Batches of this data directory, as they stand."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path
from pydantic import BaseModel, ConfigDict, JsonValue

from backend.dependencies import App
from backend.problems import answers
from infrastructure.batch.registry import BatchRegistry, BatchView

router = APIRouter(prefix="/api/v1/batches", tags=["batches"])

_EXAMPLE: dict[str, JsonValue] = {
    "id": "3f2c9a7be401",
    "name": "humaneval",
    "jobs": 164,
    "out": "/home/you/out/humaneval",
    "state": "running",
    "done": 80,
    "failed": 2,
    "running": 4,
    "rate_per_hour": 310.5,
    "eta_seconds": 950.0,
    "started": "2026-01-05T10:00:00Z",
    "updated": "2026-01-05T10:15:51Z",
    "statuses": {"done": 80, "failed": 2},
    "note": "",
}


class BatchList(BaseModel):
    """All batches, the one begun last first."""

    model_config = ConfigDict(frozen=True, json_schema_extra={"example": {"batches": [_EXAMPLE]}})

    batches: tuple[BatchView, ...]


@router.get("", response_model=BatchList, responses=answers())
async def list_batches(app: App) -> object:
    """List the batches: counts, rate, state."""
    return BatchList(batches=await BatchRegistry(app.directory).list())


@router.get(
    "/{batch}",
    response_model=BatchView,
    responses={200: {"content": {"application/json": {"example": _EXAMPLE}}}, **answers(404, 422)},
)
async def read_batch(app: App, batch: Annotated[str, Path(max_length=64, examples=["3f2c9a7be401"])]) -> object:
    """Show one batch."""
    return await BatchRegistry(app.directory).get(batch)
