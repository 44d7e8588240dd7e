"""What the doctor makes of the sandbox, the servers and their models. Pure: from what was seen to findings.

Owns the rule that one server is enough: what is missing on one is only a warning where another has it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from backend.cli.findings import Finding, State
from infrastructure.config.fields import dotted
from infrastructure.config.settings import LaneSettings
from infrastructure.pool.lanes import canonical
from infrastructure.sandbox import Check, Level
from infrastructure.transport.errors import ModelNotFound, OllamaError, ServerUnreachable
from infrastructure.transport.messages import LoadedModel, LocalModel, ModelInfo
from infrastructure.workflow.lanes import SIMULATED_FAMILY, NoModel, Offer, choose_model

SMALL_WINDOW = 16384
"""Tokens; below that a plan, a few files and an answer do not fit together."""
GOOD_WINDOW = 2 * SMALL_WINDOW
NOT_ROOT = "Corral is not root"
"""The self check's name for that."""
_FEW = 5
_PULL = "ollama pull qwen2.5-coder:7b"


@dataclass(frozen=True, slots=True, kw_only=True)
class SandboxSeen:
    """The sandbox that a run would use.

    Attributes:
        wanted: What `sandbox.level` says.
        origin: Where that comes from.
        level: What it came to.
        checks: Its self check.
        passed_over: Stronger levels that do not work here, and why.
        fix: What makes the strongest of them work.
    """

    wanted: str
    origin: str
    level: Level
    checks: Sequence[Check]
    passed_over: Mapping[Level, str] = field(default_factory=dict[Level, str])
    fix: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerSeen:
    """A server as it answered, or did not."""

    label: str
    fault: OllamaError | None = None
    version: str = ""
    models: Sequence[LocalModel] = ()
    loaded: Sequence[LoadedModel] = ()

    @property
    def usable(self) -> tuple[LocalModel, ...]:
        """Its models that can write code."""
        return tuple(each for each in self.models if each.capabilities is None or "completion" in each.capabilities)

    def in_memory(self, model: str) -> LoadedModel | None:
        """The model as it is loaded; None where it is not."""
        return next((each for each in self.loaded if canonical(each.name) == canonical(model)), None)


@dataclass(frozen=True, slots=True)
class LaneAsked:
    """A lane that a role uses, by the name the settings give it."""

    name: str
    lane: LaneSettings
    named: bool
    """Whether `lanes` of the settings has it."""


# ------------------------------------------------------------------------------------------ the sandbox


def judge_sandbox(seen: SandboxSeen) -> tuple[Finding, ...]:
    """What the self check of a sandbox means."""
    leaks = [check for check in seen.checks if check.needed and not check.held]
    return (_of_level(seen, leaks), *map(_leak, leaks), *_limits(seen))


def _of_level(seen: SandboxSeen, leaks: Sequence[Check]) -> Finding:
    why = "the strongest level that works here" if seen.wanted == "auto" else f"as sandbox.level says ({seen.origin})"
    said = f"{seen.level}, {why}"
    if leaks:
        return Finding("sandbox", "bad", f"{said}, does not hold", back_to_auto(seen.origin))
    if seen.level is Level.NONE:
        told = "generated code runs with your rights, and may read your files and use your network"
        return Finding("sandbox", "warning", f"{said}: {told}", back_to_auto(seen.origin))
    needed = sum(check.needed for check in seen.checks)
    said = f"{said}: {needed} of {needed} checks from inside held"
    if seen.passed_over:
        reasons = "; ".join(f"{level} is stronger, and not used: {why}" for level, why in seen.passed_over.items())
        return Finding("sandbox", "warning", f"{said}; {reasons}", seen.fix)
    return Finding("sandbox", "good", said)


def _leak(check: Check) -> Finding:
    said = f"not so{f': {check.note}' if check.note else ''}"
    return Finding(f"sandbox: {check.name}", "bad", said, "Use another level; nothing runs in this one.")


def _limits(seen: SandboxSeen) -> list[Finding]:
    """What a level that holds does without."""
    if seen.level is Level.NONE:
        return []
    lacks = [check for check in seen.checks if not check.needed and not check.held]
    found: list[Finding] = []
    if any(check.name == NOT_ROOT for check in lacks):
        said = "Corral runs as root, so one layer less is between generated code and this machine"
        found.append(Finding("user", "warning", said, "Run Corral as an ordinary user where you can."))
    others = "; ".join(f"{check.name} ({check.note})" for check in lacks if check.name != NOT_ROOT)
    if others:
        # Who chose the level knows; who did not may wonder why a test fails.
        state: State = "warning" if seen.wanted == "auto" else "good"
        fix = "Only tests that need one of these are touched by it; bubblewrap gives them all."
        found.append(Finding("sandbox limits", state, f"{seen.level} does without: {others}", fix))
    return found


def back_to_auto(origin: str) -> str:
    """How to let Corral choose a sandbox again."""
    place, _, name = origin.partition(" ")
    return f"Type: unset {name}" if place == "environment" else "Type: corral config set sandbox.level auto"


# ------------------------------------------------------------------------------------------- the servers


def judge_server(seen: ServerSeen, origin: str, *, others: bool) -> tuple[Finding, ...]:
    """Whether a server answers, and has a model that can write code.

    Args:
        seen: The server.
        origin: Where its address comes from.
        others: Whether another server can do the work.
    """
    name, missing = f"server {seen.label}", "warning" if others else "bad"
    if seen.fault is not None:
        said = str(seen.fault).removeprefix(f"{seen.label}: ")
        return (Finding(name, missing, said, _reach(seen.fault, origin)),)
    simulated = any(model.family == SIMULATED_FAMILY for model in seen.models)
    kind = "a simulated Ollama" if simulated else "Ollama"
    answers = Finding(name, "good", f"{kind} {seen.version} answers{': no model is behind it' if simulated else ''}")
    names = [model.name for model in seen.usable]
    if not names:
        return answers, Finding(f"models of {seen.label}", missing, "none that completes text", f"Type: {_PULL}")
    more = f" and {len(names) - _FEW} more" if len(names) > _FEW else ""
    return answers, Finding(f"models of {seen.label}", "good", f"{', '.join(names[:_FEW])}{more}")


def chosen_model(servers: Sequence[ServerSeen]) -> str:
    """The model that a run takes which names none; empty where there is none to take."""
    offers = [
        Offer(
            name=model.name,
            size=model.size,
            loaded=seen.in_memory(model.name) is not None,
            completes=model.remote_host is None,
            simulated=model.family == SIMULATED_FAMILY,
        )
        for seen in servers
        for model in seen.usable
    ]
    try:
        return choose_model(offers)
    except NoModel:
        return ""


def judge_choice(chosen: str, servers: Sequence[ServerSeen]) -> Finding:
    """Which model a run takes that names none, and why."""
    why = "the largest there is"
    if any(model.name == chosen and model.family == SIMULATED_FAMILY for seen in servers for model in seen.models):
        why = "the simulated model that knows tasks"
    elif any(seen.in_memory(chosen) for seen in servers):
        why = "it is loaded"
    return Finding("model", "good", f"none is set; a run without --model takes {chosen}: {why}")


def judge_absent(lane: LaneSettings, label: str, error: OllamaError, *, others: bool) -> Finding:
    """A lane's model that a server does not have, or does not give."""
    said = "the server does not have it" if isinstance(error, ModelNotFound) else str(error)
    if isinstance(error, ModelNotFound) and others:
        return Finding(f"model {lane.model} on {label}", "good", f"{said}; another one does")
    fix = f"Type: {error.hint}" if isinstance(error, ModelNotFound) else error.hint
    return Finding(f"model {lane.model} on {label}", "warning" if others else "bad", said, fix)


def judge_window(label: str, asked: LaneAsked, loaded: LoadedModel | None, info: ModelInfo) -> Finding:
    """The window a lane has on a server: as loaded, else as set, else what the server's default will be."""
    lane = asked.lane
    name = f"context of {lane.model} on {label}"
    pinned = info.parameters.get("num_ctx")
    window = (
        (loaded.context_length if loaded else None) or lane.num_ctx or (pinned if isinstance(pinned, int) else None)
    )
    fix = _pin(asked, info)
    if window is None:
        said = "not known before the model is loaded: the server's default, which may be 4,096 tokens"
        return Finding(name, "warning", said, fix)
    if loaded and lane.num_ctx and loaded.context_length and loaded.context_length < lane.num_ctx:
        said = f"{window:,} tokens as it is loaded now, fewer than the lane's {lane.num_ctx:,}"
        return Finding(name, "warning", said, _widen(asked, lane.num_ctx, info))
    if window < SMALL_WINDOW:
        return Finding(name, "warning", f"{window:,} tokens, too few for a plan, some files and an answer", fix)
    return Finding(name, "good", f"{window:,} tokens")


def judge_memory(label: str, asked: LaneAsked, loaded: LoadedModel | None, info: ModelInfo) -> Finding | None:
    """Whether a part of a loaded model runs on the CPU; None where it is not loaded, or simulated."""
    if loaded is None or info.family == SIMULATED_FAMILY:
        return None
    name, said = f"memory of {asked.lane.model} on {label}", f"{loaded.size / 1e9:.1f} GB"
    if loaded.size_vram >= loaded.size:
        return Finding(name, "good", f"{said}, all of it on the GPU")
    share = 100 * loaded.size_vram // max(1, loaded.size)
    where = f"only {share} % of the model is on a GPU" if share else "no part of the model is on a GPU"
    fix = "Use a smaller model or a smaller window; `corral models fit` shows what else is there."
    return Finding(name, "warning", f"{said}, but {where}, so it is slow", fix)


def _widen(asked: LaneAsked, wanted: int, info: ModelInfo) -> str:
    """What to do where a model is in memory with a smaller window than its lane's."""
    if info.context_length and info.context_length < wanted:
        place = dotted(("lanes", asked.name))
        return f"The model has no more: corral config set '{place}.num_ctx' {info.context_length}"
    return (
        "Nothing, if Corral alone uses it: its next call loads it with the lane's. Another program that asks for fewer"
        f" makes the server load it anew each time the two take turns: let that one ask for {wanted:,} as well."
    )


def _pin(asked: LaneAsked, info: ModelInfo) -> str:
    """A command that gives a lane a window to work with, and what does the same on the server."""
    wanted = min(GOOD_WINDOW, info.context_length or GOOD_WINDOW)
    place = dotted(("lanes", asked.name))
    pin = (
        f"'{place}.num_ctx' {wanted}"
        if asked.named
        else f"""'{place}' '{{"model": "{asked.name}", "num_ctx": {wanted}}}'"""
    )
    return f"Type: corral config set {pin}; or start the server with OLLAMA_CONTEXT_LENGTH={wanted}"


def _reach(error: OllamaError, origin: str) -> str:
    if not isinstance(error, ServerUnreachable) or origin != "default":
        place = "--server" if origin == "flag" else origin.partition(" ")[2] or "the defaults"
        return f"{error.hint[:1].upper()}{error.hint[1:]}. The address comes from {place}."
    return (
        "Start Ollama there (`ollama serve`), or name your server: --server URL, OLLAMA_HOST, or "
        "`corral config set servers URL`. `corral demo` needs none."
    )
