"""The doctor's looks at what lies outside: git, the lock, servers, models, the sandbox.

Owns the asking; what an answer means is decided by plain functions.
"""

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from pathlib import Path

from backend.cli.findings import (
    Finding,
    check_core,
    check_data,
    check_engine,
    check_git,
    check_names,
    check_proxies,
    check_python,
    check_settings,
    check_sqlite,
)
from backend.cli.fitting import fit_finding, plan_finding, wanted_lanes
from backend.cli.outside import (
    LaneAsked,
    SandboxSeen,
    ServerSeen,
    back_to_auto,
    chosen_model,
    judge_absent,
    judge_choice,
    judge_memory,
    judge_sandbox,
    judge_server,
    judge_window,
)
from infrastructure.compiled import core
from infrastructure.config.load import Loaded
from infrastructure.config.settings import LaneSettings, SandboxSettings, Settings
from infrastructure.pool.fitting import ServerMemory, judge_fit
from infrastructure.pool.lanes import canonical
from infrastructure.processes import ProcessNotStarted, run_process
from infrastructure.sandbox import Level, NoSandbox, SandboxFault
from infrastructure.sandbox.opening import open_sandbox
from infrastructure.storage.directory import DataDirectory
from infrastructure.storage.lock import holder_of
from infrastructure.transport.client import OllamaClient
from infrastructure.transport.errors import OllamaError
from infrastructure.transport.messages import ModelInfo

SECONDS = 10.0
_LEVELS = (Level.BUBBLEWRAP, Level.LANDLOCK)
"""What `auto` tries."""


async def examine(loaded: Loaded, file: Path) -> tuple[Finding, ...]:
    """All checks, in the order in which a person would mend things.

    Args:
        loaded: The settings, and where each comes from.
        file: The settings file, whether it is there or not.
    """
    settings, directory = loaded.settings, DataDirectory(loaded.settings.paths.data)
    machine = [
        check_python(),
        check_core(core),
        check_settings(file, loaded, mode=await asyncio.to_thread(_mode, file)),
        await asyncio.to_thread(check_data, directory.root),
        check_engine(await asyncio.to_thread(holder_of, directory.lock)),
        await _git(),
        check_sqlite(),
        await asyncio.to_thread(check_names),
        check_proxies(settings.servers),
    ]
    sandbox, servers = await asyncio.gather(
        _sandbox(settings.sandbox, loaded.origins["sandbox.level"]), _servers(settings, loaded.origins["servers"])
    )
    return (*machine, *sandbox, *servers)


def _mode(file: Path) -> int | None:
    return file.stat().st_mode & 0o777 if file.exists() else None


async def _git() -> Finding:
    try:
        told = await run_process(
            ("git", "--version"), cwd=None, env={"PATH": "/usr/local/bin:/usr/bin:/bin"}, timeout=SECONDS
        )
    except ProcessNotStarted:
        return check_git(None)
    return check_git(told.stdout.decode("utf-8", "replace"))


async def _sandbox(wanted: SandboxSettings, origin: str) -> tuple[Finding, ...]:
    passed_over: dict[Level, str] = {}
    fix = ""
    for level in _LEVELS if wanted.level == "auto" else (Level(wanted.level),):
        try:
            sandbox = await open_sandbox(level, extra_read=wanted.read)
            seen = SandboxSeen(
                wanted=wanted.level,
                origin=origin,
                level=sandbox.level,
                checks=await sandbox.self_check(),
                passed_over=passed_over,
                fix=fix,
            )
            return judge_sandbox(seen)
        except NoSandbox as error:
            passed_over |= error.reasons
            fix = fix or (error.fix if wanted.level == "auto" else f"{error.fix} {back_to_auto(origin)}")
        except SandboxFault as error:
            return (Finding("sandbox", "bad", str(error), back_to_auto(origin)),)
    tried = "; ".join(f"{level}: {reason}" for level, reason in passed_over.items())
    return (Finding("sandbox", "bad", f"none works here, and nothing runs without one ({tried})", fix),)


async def _servers(settings: Settings, origin: str) -> tuple[Finding, ...]:
    async with _clients(settings) as clients:
        seen = await asyncio.gather(*map(_seen, clients))
        able = sum(bool(each.usable) for each in seen)
        findings = [finding for each in seen for finding in judge_server(each, origin, others=able > bool(each.usable))]
        lanes, chosen = _lanes(settings), chosen_model(seen)
        if not settings.model and chosen:
            findings.append(judge_choice(chosen, seen))
            lanes = (*lanes, LaneAsked(chosen, LaneSettings(model=chosen), named=False))
        answering = [(client, each) for client, each in zip(clients, seen, strict=True) if each.fault is None]
        for lane in lanes:
            findings += await _lane(lane, answering)
        memories = await _memories(settings, answering, {})
    findings += [found for each in memories if (found := fit_finding(judge_fit(each, wanted_lanes(settings))))]
    return (*findings, *plan_finding(settings, memories))


@asynccontextmanager
async def _clients(settings: Settings) -> AsyncGenerator[list[OllamaClient]]:
    """One for each server, all of them closed in the end."""
    async with AsyncExitStack() as stack:
        yield [
            await stack.enter_async_context(aclosing(OllamaClient(each, allow_cloud=settings.pool.allow_cloud)))
            for each in settings.servers
        ]


async def look_at(settings: Settings) -> list[ServerSeen]:
    """Each server as it answers, in the order of the settings."""
    async with _clients(settings) as clients:
        return await asyncio.gather(*map(_seen, clients))


async def look_at_memory(settings: Settings, learned: Mapping[str, int | None]) -> tuple[ServerMemory, ...]:
    """The memory of each server that answers.

    Args:
        settings: All of them.
        learned: How many models a server holds at once, by address, where a pool has learned it.

    Raises:
        OllamaError: there is only one server, and it does not answer.
    """
    async with _clients(settings) as clients:
        seen = await asyncio.gather(*map(_seen, clients))
        for each in seen:
            if each.fault is not None and len(seen) == 1:
                raise each.fault
        answering = [(client, each) for client, each in zip(clients, seen, strict=True) if each.fault is None]
        return await _memories(settings, answering, learned)


async def _memories(
    settings: Settings, servers: Sequence[tuple[OllamaClient, ServerSeen]], learned: Mapping[str, int | None]
) -> tuple[ServerMemory, ...]:
    return tuple(await asyncio.gather(*(_memory(settings, *each, learned) for each in servers)))


async def _memory(
    settings: Settings, client: OllamaClient, seen: ServerSeen, learned: Mapping[str, int | None]
) -> ServerMemory:
    """What a server's memory has to hold, and what is known of it."""
    models = {canonical(lane.model) for lane in wanted_lanes(settings).values()}
    held = sorted(models & {canonical(each.name) for each in seen.models})
    shown = await asyncio.gather(*(_show(client, model) for model in held))
    return ServerMemory(
        label=seen.label,
        models=seen.models,
        loaded=seen.loaded,
        places=client.server.max_loaded_models or learned.get(client.server.url),
        slots=client.server.slots,
        shown={model: info for model, info in zip(held, shown, strict=True) if isinstance(info, ModelInfo)},
    )


async def _seen(client: OllamaClient) -> ServerSeen:
    label = client.server.label
    try:
        version = await client.version(seconds=SECONDS)
        models, loaded = await client.tags(seconds=SECONDS), await client.ps(seconds=SECONDS)
    except OllamaError as error:
        return ServerSeen(label=label, fault=error)
    return ServerSeen(label=label, version=version, models=models, loaded=loaded)


async def _lane(asked: LaneAsked, servers: Sequence[tuple[OllamaClient, ServerSeen]]) -> list[Finding]:
    """A lane's model on each server that answers."""
    shown = await asyncio.gather(*(_show(client, asked.lane.model) for client, _ in servers))
    others = any(isinstance(each, ModelInfo) for each in shown)
    found: list[Finding | None] = []
    for (_, seen), each in zip(servers, shown, strict=True):
        if isinstance(each, ModelInfo):
            loaded = seen.in_memory(asked.lane.model)
            found += judge_window(seen.label, asked, loaded, each), judge_memory(seen.label, asked, loaded, each)
        else:
            found.append(judge_absent(asked.lane, seen.label, each, others=others))
    return [finding for finding in found if finding is not None]


async def _show(client: OllamaClient, model: str) -> ModelInfo | OllamaError:
    try:
        return await client.show(model, seconds=SECONDS)
    except OllamaError as error:
        return error


def _lanes(settings: Settings) -> tuple[LaneAsked, ...]:
    """Each lane that a role uses, once."""
    names = dict.fromkeys(filter(None, (settings.model, *settings.roles.values())))
    return tuple(LaneAsked(name, settings.lane_of(name), name in settings.lanes) for name in names)
