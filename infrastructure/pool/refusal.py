"""Why a waiting call can be served nowhere.

Owns the choice of the error once every server has been looked at.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from infrastructure.pool.attendance import DRAINED, LEAVING
from infrastructure.pool.errors import ModelNowhere, NoServerAvailable
from infrastructure.pool.lanes import canonical
from infrastructure.pool.states import Health
from infrastructure.transport.errors import OllamaError, PhaseTimeout, ServerUnreachable

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True, slots=True)
class Found:
    """What the look at one server showed."""

    label: str
    health: Health
    models: tuple[str, ...] | None = None
    """Names of what it holds, or held when it was last seen."""
    error: OllamaError | None = None
    """Why it is down."""
    draining: bool = False
    """Whether it gets no new calls, on somebody's word."""
    leaving: bool = False
    """Whether that is because it is to be removed: then what it holds does not count."""


def refusal(model: str, servers: Sequence[Found]) -> OllamaError:
    """The error for a call whose model no reachable server holds.

    1. The only server is there, but will not have us: its own error says more than ours.
    2. No server can be reached or gets new calls, or the only ones that hold the model cannot, or get none:
       `NoServerAvailable`.
    3. Else the model is missing: `ModelNowhere`, with what is there and who could not be asked.

    A drained server of which is known what it holds, and not this, does not keep the model from being missing.
    """
    servers = [found for found in servers if not found.leaving] or servers
    if len(servers) == 1 and (error := servers[0].error) and not _unreached(error):
        return error
    out = reasons_of(servers)
    held_by_lost = any(
        canonical(model) in map(canonical, found.models or ()) for found in servers if found.label in out
    )
    if all(found.label in out and not _surely_lacks(found, model) for found in servers) or held_by_lost:
        return NoServerAvailable(out, model.removesuffix(":latest"))
    up = [found for found in servers if found.health is Health.UP]
    available = sorted({name for found in up for name in found.models or ()})
    unreached = {label: why for label, why in out.items() if all(label != found.label for found in up)}
    return ModelNowhere(model.removesuffix(":latest"), available, unreached)


def reasons_of(servers: Sequence[Found]) -> dict[str, str]:
    """What is wrong with each server that is not up, or gets no new calls, by label."""
    return {found.label: _reason(found) for found in servers if found.health is not Health.UP or found.draining}


def _surely_lacks(found: Found, model: str) -> bool:
    """Whether it can be reached, and has said that it does not hold the model."""
    reached = found.health is Health.UP and not found.leaving and found.models is not None
    return reached and canonical(model) not in map(canonical, found.models or ())


def _unreached(error: OllamaError) -> bool:
    return isinstance(error, ServerUnreachable | PhaseTimeout)


def _reason(found: Found) -> str:
    if found.leaving:
        return LEAVING
    if found.health is Health.UP:
        return DRAINED
    return str(found.error).removeprefix(f"{found.label}: ") if found.error else found.health.value
