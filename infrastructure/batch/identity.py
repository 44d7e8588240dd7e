"""What makes a result the result of this very question: the identity of a job's sample.

Owns the hash. Whatever could lead to another result is in it, so that a changed prompt or setting is done anew and an
unchanged one never is.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from importlib.resources import files

import orjson
from pydantic import JsonValue

from agents.prompting import load_prompt
from infrastructure.batch.jobs import Entry
from infrastructure.config.settings import Candidates, LaneSettings, Settings

Params = Mapping[str, JsonValue]

_CAGE = {"seconds", "memory_bytes", "processes"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """What the command asks for beside the jobs."""

    model: str | None = None
    candidates: Candidates | None = None
    samples: int = 1
    at_once: int | None = None
    """Runs side by side; the pool's slots when None."""


def params_of(settings: Settings, wishes: Wishes) -> dict[str, JsonValue]:
    """Everything outside a job that its result may depend on. Reads the prompts: blocking.

    A model that is chosen because nobody named one is not in it: the record says which it was.
    """
    run = settings.run
    return {
        "corral": corral_version(),
        "prompts": prompts_sha(),
        "lanes": _lanes(settings, wishes.model),
        "candidates": wishes.candidates or run.candidates,
        "repairs": run.repairs,
        "rounds": run.rounds,
        "budget": run.budget.model_dump(mode="json", exclude_none=True),
        "num_predict": settings.pool.num_predict,
        "sandbox": settings.sandbox.model_dump(mode="json", include=_CAGE),
    }


def holders_of(settings: Settings, models: Iterable[str | None]) -> dict[str, object]:
    """What of `params_of` a task does not carry, so that whoever holds the engine decides it, by the settings' names.

    Args:
        settings: All of them.
        models: The models and lanes that the tasks name; None for a task that names none.
    """
    lanes = [_lanes(settings, model) for model in models]
    cage = settings.sandbox.model_dump(mode="json", include=_CAGE)
    return {
        "the model and its lane": lanes,
        "pool.num_predict": settings.pool.num_predict,
        **{f"sandbox.{name}": value for name, value in cage.items()},
    }


def identity_of(entry: Entry, sample: int, params: Params) -> str:
    """SHA-256, in hex, of a job, which of its samples it is, and the params."""
    job = entry.job.model_dump(mode="json", exclude={"meta", "samples", "repo"})
    said: dict[str, object] = {
        "job": job,
        "repo": None if entry.repo is None else str(entry.repo),
        "tests_sha": entry.tests_sha,
        "sample": sample,
        "params": dict(params),
    }
    if own := entry.own.given():
        said["own"] = own
    return hashlib.sha256(orjson.dumps(said, option=orjson.OPT_SORT_KEYS)).hexdigest()


@cache
def prompts_sha() -> str:
    """SHA-256 over all prompt files: another text is another question."""
    root = files("agents").joinpath("prompts")
    names = sorted(
        f"{folder.name}/{file.name.removesuffix('.md')}"
        for folder in root.iterdir()
        if folder.is_dir()
        for file in folder.iterdir()
        if file.name.endswith(".md")
    )
    said = "\n".join(f"{name} {load_prompt(name).sha}" for name in names)
    return hashlib.sha256(said.encode()).hexdigest()


@cache
def corral_version() -> str:
    """The installed version; `0+unknown` for a tree that was never installed."""
    try:
        return version("corral")
    except PackageNotFoundError:
        return "0+unknown"


def _lanes(settings: Settings, model: str | None) -> dict[str, JsonValue]:
    """The lanes by role; under the empty name that of every other role."""
    if model is not None:
        return {"": _lane(settings.lane_of(model))}
    named = {role: _lane(settings.lane_of(lane)) for role, lane in sorted(settings.roles.items())}
    common = None if settings.model is None else _lane(settings.lane_of(settings.model))
    return {**named, "": common}


def _lane(lane: LaneSettings) -> dict[str, JsonValue]:
    return lane.model_dump(mode="json", exclude={"keep_alive"}, exclude_none=True)
