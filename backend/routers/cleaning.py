"""Old things of this data directory, removed while the engine works."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Body
from pydantic import BaseModel, ConfigDict, JsonValue

from backend.dependencies import App
from backend.problems import answers
from infrastructure.config.settings import RetentionSettings

router = APIRouter(prefix="/api/v1/clean", tags=["cleaning"])

_EXAMPLE: dict[str, JsonValue] = {
    "trees": 12,
    "tree_bytes": 48_000_000,
    "texts": 31_000,
    "runs": 0,
    "events": 40,
    "batches": 0,
    "blob_bytes": 1_500_000,
    "shrunk_bytes": 0,
}


class RemovedView(BaseModel):
    """What went; bytes of trees and of contents. `shrunk_bytes` is 0: beside an engine databases keep their size."""

    model_config = ConfigDict(frozen=True, from_attributes=True, json_schema_extra={"example": _EXAMPLE})

    trees: int
    tree_bytes: int
    texts: int
    runs: int
    events: int
    batches: int
    blob_bytes: int
    shrunk_bytes: int


@router.post("", response_model=RemovedView, responses=answers(409, 415, 422, 503, 507))
async def clean(
    app: App, retention: Annotated[RetentionSettings | None, Body(examples=[{"trees_days": 2}])] = None
) -> object:
    """Remove what is older than the body says, and what it leaves out than the settings; answers when that is done."""
    given = retention.model_dump(exclude_unset=True) if retention is not None else {}
    return await app.cleaner.clean(app.settings.retention.model_copy(update=given))
