"""The doctor's checks of what lies outside: git, servers, models, the sandbox.

Owns the asking; what an answer means is decided by plain functions.
"""

import asyncio
from collections.abc import Sequence
from contextlib import aclosing

from backend.cli.findings import Finding, check_data, check_git, check_names, check_proxies, check_python, check_sqlite
from infrastructure.config.settings import LaneSettings, ServerSettings, Settings
from infrastructure.processes import ProcessNotStarted, run_process
from infrastructure.sandbox import Check, Level, NoSandbox, SandboxFault
from infrastructure.sandbox.opening import open_sandbox
from infrastructure.transport.client import OllamaClient
from infrastructure.transport.errors import OllamaError
from infrastructure.transport.messages import LoadedModel, LocalModel, ModelInfo

SMALL_WINDOW = 16384
"""Tokens; below that a plan, a few files and an answer do not fit together."""
SECONDS = 10.0
_PULL = "ollama pull qwen2.5-coder:7b"


async def examine(settings: Settings) -> tuple[Finding, ...]:
    """All checks, in the order in which a person would mend things."""
    machine = [
        check_python(),
        await _git(),
        await asyncio.to_thread(check_data, settings.paths.data),
        check_sqlite(),
        await asyncio.to_thread(check_names),
        check_proxies(settings.servers),
    ]
    outside = await asyncio.gather(_sandbox(settings), *(_server(server, settings) for server in settings.servers))
    return (*machine, *(finding for findings in outside for finding in findings))


# ------------------------------------------------------------------------------------------ deciding


def judge_sandbox(level: Level, checks: Sequence[Check]) -> tuple[Finding, ...]:
    """What the self check of a sandbox means."""
    leaks = [check for check in checks if not check.held]
    said = f"{level}, {len(checks) - len(leaks)} of {len(checks)} checks held"
    findings: list[Finding] = []
    if level is Level.NONE:
        findings.append(
            Finding("sandbox", "warning", "none: generated code runs unguarded", "Set sandbox.level to auto.")
        )
    elif any(check.needed for check in leaks):
        findings.append(
            Finding("sandbox", "bad", said, "Set sandbox.level to auto, so that a level that holds is chosen.")
        )
    elif level is Level.LANDLOCK:
        findings.append(Finding("sandbox", "warning", said, "Install bubblewrap 0.8 or newer for a stronger one."))
    else:
        findings.append(Finding("sandbox", "good", said))
    for check in leaks:
        state = "bad" if check.needed else "warning"
        findings.append(
            Finding(f"sandbox: {check.name}", state, check.note or "does not hold", check.note and "See the note.")
        )
    return tuple(findings)


def judge_models(label: str, models: Sequence[LocalModel]) -> Finding:
    """Whether a server has a model that can write code."""
    usable = [model for model in models if model.capabilities is None or "completion" in model.capabilities]
    if not usable:
        return Finding(f"models of {label}", "bad", "none that completes text", _PULL)
    names = ", ".join(model.name for model in usable[:5])
    return Finding(f"models of {label}", "good", names + (f" and {len(usable) - 5} more" if len(usable) > 5 else ""))


def judge_window(label: str, lane: LaneSettings, loaded: LoadedModel | None, info: ModelInfo) -> Finding:
    """The window a lane has on a server: as loaded, else as set, else what the server's default will be."""
    name = f"context of {lane.model} on {label}"
    pinned = info.parameters.get("num_ctx")
    window = (
        (loaded.context_length if loaded else None) or lane.num_ctx or (pinned if isinstance(pinned, int) else None)
    )
    fix = f'Pin it: set lanes."{lane.model}".num_ctx to {SMALL_WINDOW * 2}, or OLLAMA_CONTEXT_LENGTH on the server.'
    if window is None:
        return Finding(name, "warning", "the server's default, known once the model is loaded", fix)
    if loaded and lane.num_ctx and loaded.context_length and loaded.context_length < lane.num_ctx:
        return Finding(name, "warning", f"{window:,} tokens, fewer than the lane's {lane.num_ctx:,}", fix)
    if window < SMALL_WINDOW:
        return Finding(name, "warning", f"{window:,} tokens, little for code", fix)
    if loaded and loaded.size_vram < loaded.size:
        share = 100 * loaded.size_vram // max(1, loaded.size)
        return Finding(
            name, "warning", f"{window:,} tokens, but only {share} % of it on the GPU", "Use a smaller model or window."
        )
    return Finding(name, "good", f"{window:,} tokens")


# -------------------------------------------------------------------------------------------- asking


async def _git() -> Finding:
    try:
        told = await run_process(
            ("git", "--version"), cwd=None, env={"PATH": "/usr/local/bin:/usr/bin:/bin"}, timeout=SECONDS
        )
    except ProcessNotStarted:
        return check_git(None)
    return check_git(told.stdout.decode("utf-8", "replace"))


async def _sandbox(settings: Settings) -> tuple[Finding, ...]:
    wanted = settings.sandbox.level
    try:
        sandbox = await open_sandbox("auto" if wanted == "auto" else Level(wanted), extra_read=settings.sandbox.read)
        return judge_sandbox(sandbox.level, await sandbox.self_check())
    except NoSandbox as error:
        tried = "; ".join(f"{level}: {reason}" for level, reason in error.reasons.items())
        return (Finding("sandbox", "bad", tried, error.fix),)
    except SandboxFault as error:
        return (
            Finding("sandbox", "bad", str(error), "Set sandbox.level to auto, so that a level that holds is chosen."),
        )


async def _server(server: ServerSettings, settings: Settings) -> tuple[Finding, ...]:
    name = f"server {server.label}"
    async with aclosing(OllamaClient(server, allow_cloud=settings.pool.allow_cloud)) as client:
        try:
            version = await client.version(seconds=SECONDS)
            models = await client.tags(seconds=SECONDS)
        except OllamaError as error:
            return (Finding(name, "bad", str(error).removeprefix(f"{server.label}: "), error.hint),)
        findings = [Finding(name, "good", f"Ollama {version}"), judge_models(server.label, models)]
        return (*findings, *[await _window(client, server.label, lane) for lane in _lanes(settings)])


async def _window(client: OllamaClient, label: str, lane: LaneSettings) -> Finding:
    try:
        info = await client.show(lane.model, seconds=SECONDS)
        loaded = await client.ps(seconds=SECONDS)
    except OllamaError as error:
        return Finding(f"model {lane.model} on {label}", "bad", str(error), error.hint)
    names = {lane.model, f"{lane.model}:latest"}
    return judge_window(label, lane, next((each for each in loaded if each.name in names), None), info)


def _lanes(settings: Settings) -> tuple[LaneSettings, ...]:
    """Each lane that a role uses, once."""
    names = dict.fromkeys(filter(None, (settings.model, *settings.roles.values())))
    return tuple(settings.lane_of(name) for name in names)
