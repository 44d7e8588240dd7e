"""Health: whether the process lives, and whether it takes work. Open to everybody, and says no more than that."""

from __future__ import annotations

from typing import Literal

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict

from backend.dependencies import Door
from backend.problems import answers
from backend.stopping import ShuttingDown

router = APIRouter(prefix="/health", tags=["health"])


class Well(BaseModel):
    """That it is well."""

    model_config = ConfigDict(frozen=True, json_schema_extra={"example": {"status": "ok"}})

    status: Literal["ok"] = "ok"


@router.head("/live", response_model=Well, responses=answers())
@router.get("/live", response_model=Well, responses=answers())
async def live() -> object:
    """Whether the process lives."""
    return Well()


@router.head("/ready", response_model=Well, responses=answers(503))
@router.get("/ready", response_model=Well, responses=answers(503))
async def ready(door: Door) -> object:
    """Whether it takes work: not while it shuts down. A missing Ollama is no reason: it may come."""
    if door.stopping.begun:
        raise ShuttingDown(ShuttingDown.__doc__)
    return Well()
