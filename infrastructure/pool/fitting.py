"""Which lanes fit together into a server's memory. Pure: from what a server says to what can be said.

Owns the rules, and how much a window takes. Ollama does not tell how much memory it has, so much stays open, and that
is said too.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import Literal

from infrastructure.config.settings import LaneSettings
from infrastructure.pool.lanes import canonical, lane_of
from infrastructure.transport.messages import LoadedModel, LocalModel, ModelInfo

Verdict = Literal["yes", "no", "unknown"]

ROOMY = 1.1
"""So many times its estimated size must be seen to be there: a runner has buffers of its own, too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerMemory:
    """What a server says of its models, and what is known of its room."""

    label: str
    models: Sequence[LocalModel] = ()
    loaded: Sequence[LoadedModel] = ()
    places: int | None = None
    """Models it holds in memory at once: as the settings say, or as a pool has learned."""
    slots: int | None = None
    """Windows of one model side by side, where that is known."""
    shown: Mapping[str, ModelInfo] = field(default_factory=dict[str, ModelInfo])
    """What it was asked about single models, by canonical name."""

    def in_memory(self, model: str) -> LoadedModel | None:
        """The model as it is loaded; None where it is not."""
        return next((each for each in self.loaded if canonical(each.name) == canonical(model)), None)

    @property
    def on_gpu(self) -> int:
        """Bytes that are in GPU memory now."""
        return sum(each.size_vram for each in self.loaded)


@dataclass(frozen=True, slots=True, kw_only=True)
class LaneSize:
    """What a lane takes on one server."""

    lane: str
    """Its name in the settings, else the model's."""
    model: str
    num_ctx: int | None
    """The window it asks for, or its Modelfile does."""
    bytes: int
    measured: bool
    """Whether that is what it takes in memory now, window included; else its file's size, to which the window comes."""
    window_bytes: int | None = None
    """What the windows of all its slots come to; None where that is not known, 0 where `bytes` has it. A sliding window
    or a quantised cache takes less, and a runner's own buffers come to it."""
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


def judge_fit(server: ServerMemory, lanes: Mapping[str, LaneSettings]) -> Fit:
    """What can be said of a server.

    Args:
        server: What it has, on disk and in memory.
        lanes: Of the settings, by name.
    """
    sizes = lane_sizes(server, lanes)
    verdict, said, fix = _judge(server, [(lanes[size.lane], size) for size in sizes])
    return Fit(server=server.label, lanes=sizes, places=server.places, verdict=verdict, said=said, fix=fix)


def lane_sizes(server: ServerMemory, lanes: Mapping[str, LaneSettings]) -> tuple[LaneSize, ...]:
    """What each lane that the server has takes there."""
    on_disk = {canonical(model.name): model.size for model in server.models}
    found: list[LaneSize] = []
    for name, lane in lanes.items():
        model, loaded = canonical(lane.model), server.in_memory(lane.model)
        if model not in on_disk and loaded is None:
            continue
        info = server.shown.get(model)
        num_ctx = _window(lane, info)
        as_wanted = loaded is not None and num_ctx in (None, loaded.context_length)
        found.append(
            LaneSize(
                lane=name,
                model=model,
                num_ctx=num_ctx,
                bytes=loaded.size if loaded is not None and as_wanted else on_disk.get(model, 0),
                measured=as_wanted,
                window_bytes=0 if as_wanted else _window_bytes(num_ctx, info, server.slots or 1),
                spilled=loaded is not None and 0 < loaded.size_vram < loaded.size,
            )
        )
    return tuple(found)


# -------------------------------------------------------------------------------------------------- pieces
def _window(lane: LaneSettings, info: ModelInfo | None) -> int | None:
    """The window that a load of the lane asks for; None: the server's own choice."""
    pinned = None if info is None else info.parameters.get("num_ctx")
    wanted = lane.num_ctx or (pinned if isinstance(pinned, int) else None)
    if wanted is None or info is None or info.context_length is None:
        return wanted
    return min(wanted, info.context_length)


def _window_bytes(num_ctx: int | None, info: ModelInfo | None, slots: int) -> int | None:
    if num_ctx is None or info is None or info.cache_token_bytes is None:
        return None
    return num_ctx * slots * info.cache_token_bytes


def _judge(server: ServerMemory, lanes: Sequence[tuple[LaneSettings, LaneSize]]) -> tuple[Verdict, str, str]:
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
    if server.places is not None and len(models) > server.places:
        said = f"{len(models)} models, and it holds {server.places} at once: they take turns, and each turn is a load"
        return "no", said, "Use fewer models, another server for some, or raise OLLAMA_MAX_LOADED_MODELS there."
    # 3. What is loaded shows whether there was room.
    spilled = [size.lane for size in models.values() if size.spilled]
    if spilled:
        said = f"a part of {', '.join(spilled)} runs on the CPU, since the GPU's memory is full"
        return "no", said, "Use a smaller model or window, or fewer models at once."
    here = {canonical(each.name) for each in server.loaded}
    if models.keys() <= here and all(size.measured for size in models.values()):
        return "yes", f"all of them are in memory now, {_gigabytes(size.bytes for size in models.values())} GB", ""
    return _judge_size(server, models, here)


def _judge_size(server: ServerMemory, models: Mapping[str, LaneSize], here: set[str]) -> tuple[Verdict, str, str]:
    """By the sizes alone, against what the GPU is seen to hold."""
    least = sum(size.bytes for size in models.values())
    room = server.on_gpu
    # 4. A model of somebody else's that did not fit shows where the GPU's memory ends.
    if any(0 < each.size_vram < each.size for each in server.loaded) and least > room:
        said = f"{_gigabytes([least])} GB together, and the GPU's memory is full with {_gigabytes([room])} GB"
        return "no", said, "Use smaller models, or another server for some."
    # 5. As much as they need is in use there now.
    windows = [size.window_bytes for size in models.values()]
    if None not in windows and (least + sum(filter(None, windows))) * ROOMY <= room:
        most = least + sum(filter(None, windows))
        return "yes", f"about {_gigabytes([most])} GB together, and {_gigabytes([room])} GB are on the GPU now", ""
    return "unknown", _open(models, here), "Ask each lane once (`corral models check LANE`), then look again."


def _open(models: Mapping[str, LaneSize], here: set[str]) -> str:
    """What is not known, and what is."""
    absent = [size for model, size in models.items() if model not in here or not size.measured]
    total = sum(size.bytes + (size.window_bytes or 0) for size in models.values())
    without = [size.lane for size in absent if size.window_bytes is None]
    how = f"{', '.join(size.lane for size in absent)} by the file's size and the window"
    if without:
        how = f"{', '.join(without)} by the file's size, without the window"
    return f"{_gigabytes([total])} GB together, {how}; Ollama does not tell how much memory it has"


def _gigabytes(sizes: Iterable[int]) -> str:
    return f"{sum(sizes) / 1e9:.1f}"
