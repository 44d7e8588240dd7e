"""Which lanes of the settings fit together into a server's memory. Pure: from what was seen to what can be said.

Owns the rules. Ollama does not tell how much memory it has, so much stays open, and that is said too.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Literal

from backend.cli.findings import Finding
from backend.cli.outside import ServerSeen
from infrastructure.config.settings import LaneSettings, Settings
from infrastructure.pool.lanes import canonical, lane_of
from infrastructure.transport.encoding import is_cloud

Verdict = Literal["yes", "no", "unknown"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LaneSize:
    """What a lane takes on one server."""

    lane: str
    """Its name in the settings, else the model's."""
    model: str
    num_ctx: int | None
    bytes: int
    measured: bool
    """Whether that is what it takes in memory now, window included; else its file's size, to which the window comes."""
    spilled: bool = False
    """Whether a part of it runs on the CPU beside a GPU."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fit:
    """Whether the lanes that a server has fit together there."""

    server: str
    lanes: tuple[LaneSize, ...]
    places: int | None
    """Models it holds in memory at once, where that is known."""
    verdict: Verdict
    said: str
    fix: str = ""


def wanted_lanes(settings: Settings) -> dict[str, LaneSettings]:
    """Every lane of the settings, and the models that a run or a role uses without one."""
    used = dict.fromkeys(filter(None, (settings.model, *settings.roles.values())))
    lanes = {**settings.lanes, **{name: settings.lane_of(name) for name in used}}
    return {name: lane for name, lane in lanes.items() if not is_cloud(lane.model)}


def judge_fit(seen: ServerSeen, lanes: Mapping[str, LaneSettings], places: int | None) -> Fit:
    """What can be said of a server.

    Args:
        seen: What it has, on disk and in memory.
        lanes: Of the settings, by name.
        places: Models it holds at once: as the settings say, or as a pool has learned.
    """
    sizes = _sizes(seen, lanes)
    verdict, said, fix = _judge(seen, [(lanes[size.lane], size) for size in sizes], places)
    return Fit(server=seen.label, lanes=sizes, places=places, verdict=verdict, said=said, fix=fix)


def fit_finding(fit: Fit) -> Finding | None:
    """What the doctor says of it: nothing, where there is nothing to fit together."""
    if len(fit.lanes) < 2:
        return None
    state = "warning" if fit.verdict == "no" else "good"
    said = fit.said if fit.verdict != "unknown" else f"not known whether they fit together: {fit.said}"
    return Finding(f"lanes of {fit.server}", state, said, fit.fix if fit.verdict == "no" else "")


def _sizes(seen: ServerSeen, lanes: Mapping[str, LaneSettings]) -> tuple[LaneSize, ...]:
    on_disk = {canonical(model.name): model.size for model in seen.models}
    found: list[LaneSize] = []
    for name, lane in lanes.items():
        model, loaded = canonical(lane.model), seen.in_memory(lane.model)
        if model not in on_disk and loaded is None:
            continue
        as_wanted = loaded is not None and lane.num_ctx in (None, loaded.context_length)
        found.append(
            LaneSize(
                lane=name,
                model=model,
                num_ctx=lane.num_ctx,
                bytes=loaded.size if loaded is not None and as_wanted else on_disk.get(model, 0),
                measured=as_wanted,
                spilled=loaded is not None and 0 < loaded.size_vram < loaded.size,
            )
        )
    return tuple(found)


def _judge(
    seen: ServerSeen, lanes: Sequence[tuple[LaneSettings, LaneSize]], places: int | None
) -> tuple[Verdict, str, str]:
    """The verdict, why, and what to do."""
    if not lanes:
        return "unknown", "it has none of their models", "Type: corral models pull MODEL"
    # 1. One model with different load-time options: only one of them can be loaded at a time.
    for (one, first), (other, second) in combinations(lanes, 2):
        if first.model == second.model and lane_of(one, {}) != lane_of(other, {}):
            said = f"{first.lane} and {second.lane} load {first.model} with different options: each change reloads it"
            return "no", said, "Give both lanes the same options, or each a server of its own."
    models = {size.model: size for _, size in lanes}
    # 2. More models than places.
    if places is not None and len(models) > places:
        said = f"{len(models)} models, and it holds {places} at once: they take turns, and each turn is a load"
        return "no", said, "Use fewer models, another server for some, or raise OLLAMA_MAX_LOADED_MODELS there."
    # 3. What is loaded shows whether there was room.
    spilled = [size.lane for size in models.values() if size.spilled]
    if spilled:
        said = f"a part of {', '.join(spilled)} runs on the CPU, since the GPU's memory is full"
        return "no", said, "Use a smaller model or window, or fewer models at once."
    here = {canonical(each.name) for each in seen.loaded}
    if models.keys() <= here and all(size.measured for size in models.values()):
        return "yes", f"all of them are in memory now, {_gigabytes(models.values())} GB", ""
    return "unknown", _open(models, here), "Ask each lane once (`corral models check LANE`), then look again."


def _open(models: Mapping[str, LaneSize], here: set[str]) -> str:
    """What is not known, and what is."""
    absent = [size.lane for model, size in models.items() if model not in here or not size.measured]
    return (
        f"{_gigabytes(models.values())} GB together, {', '.join(absent)} by the file's size, without the window; Ollama"
        " does not tell how much memory it has"
    )


def _gigabytes(sizes: Iterable[LaneSize]) -> str:
    return f"{sum(size.bytes for size in sizes) / 1e9:.1f}"
