"""Which lanes of the settings are to fit together, and what the doctor says of it."""

from __future__ import annotations

from collections.abc import Sequence

from backend.cli.findings import Finding
from infrastructure.config.settings import LaneSettings, Settings
from infrastructure.pool.fitting import Fit, ServerMemory
from infrastructure.pool.lanes import LaneBook
from infrastructure.pool.plan import plan_lanes
from infrastructure.transport.encoding import is_cloud
from infrastructure.workflow.lanes import ROLE_NAMES


def wanted_lanes(settings: Settings) -> dict[str, LaneSettings]:
    """Every lane of the settings, and the models that a run or a role uses without one."""
    used, book = dict.fromkeys(filter(None, (settings.model, *settings.roles.values()))), LaneBook(settings.lanes)
    lanes = {**settings.lanes, **{name: book.configured(name) for name in used}}
    return {name: lane for name, lane in lanes.items() if not is_cloud(lane.model)}


def fit_finding(fit: Fit) -> Finding | None:
    """What the doctor says of it: nothing, where there is nothing to fit together."""
    if len(fit.lanes) < 2:
        return None
    state = "warning" if fit.verdict == "no" else "good"
    said = fit.said if fit.verdict != "unknown" else f"not known whether they fit together: {fit.said}"
    return Finding(f"lanes of {fit.server}", state, said, fit.fix if fit.verdict == "no" else "", rows=rows_of(fit))


def rows_of(fit: Fit) -> tuple[str, ...]:
    """A line for each lane: its model, its window, what it takes."""
    rows: list[str] = []
    for lane in fit.lanes:
        window = f", window {lane.num_ctx:,}" if lane.num_ctx else ""
        how = "in memory" if lane.measured else "on disk; more in memory"
        if lane.window_bytes:
            how = f"on disk, and about {max(0.1, lane.window_bytes / 1e9):.1f} GB for the window"
        rows.append(f"{lane.lane}: {lane.model}{window}, {lane.bytes / 1e9:.1f} GB {how}")
    return tuple(rows)


def plan_finding(settings: Settings, servers: Sequence[ServerMemory]) -> tuple[Finding, ...]:
    """Which server has room for the lane of which roles; nothing, where all roles have the same one."""
    roles = roles_by_lane(settings)
    lanes = {name: lane for name, lane in wanted_lanes(settings).items() if name in roles}
    if len(lanes) < 2:
        return ()
    plan = plan_lanes(lanes, servers)
    rows = tuple(
        f"{', '.join(roles[name])}: {name} on {plan.homes.get(name, 'no server of its own')}" for name in lanes
    )
    if plan.turns:
        fix = "Give these roles the same lane, or each its own server; or raise OLLAMA_MAX_LOADED_MODELS there."
        return (Finding("models of the roles", "warning", "; ".join(plan.said), fix, rows),)
    return (Finding("models of the roles", "good", "each has a place, as far as is known", rows=rows),)


def roles_by_lane(settings: Settings) -> dict[str, tuple[str, ...]]:
    """Which roles ask which lane; the common one is for all that `roles` does not name."""
    asked: dict[str, tuple[str, ...]] = {}
    for role, lane in settings.roles.items():
        asked[lane] = (*asked.get(lane, ()), role)
    if settings.model and not settings.roles.keys() >= ROLE_NAMES:
        asked[settings.model] = (*asked.get(settings.model, ()), "the other roles" if settings.roles else "all roles")
    return asked
