"""Metrics: every figure there is, as Prometheus reads them."""

from __future__ import annotations

from fastapi import APIRouter, Response

from backend.dependencies import App
from backend.problems import answers
from infrastructure.telemetry.metrics import CONTENT_TYPE

router = APIRouter(tags=["metrics"])

_EXAMPLE = 'corral_pool_queue_depth{band="interactive"} 0.0\n'


@router.get(
    "/metrics",
    response_class=Response,
    responses={
        200: {"description": "Prometheus' text format.", "content": {"text/plain": {"example": _EXAMPLE}}},
        **answers(),
    },
)
async def read_metrics(app: App) -> Response:
    """Read the metrics."""
    return Response((await app.figures.collected()).text(), media_type=CONTENT_TYPE)
