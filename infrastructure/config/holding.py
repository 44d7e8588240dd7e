"""When a setting that was changed in the file holds, while Corral goes on.

Owns the table of every setting: the settings page is made of it, and the manager asks it which changes want a new
start. A test holds that every setting is in it.
"""

from __future__ import annotations

from enum import StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from infrastructure.config.fields import Name, UnknownName, parse_name

if TYPE_CHECKING:
    from collections.abc import Mapping


class Holds(StrEnum):
    """From when on a change holds. The value is the sentence that people read."""

    AT_ONCE = "At once."
    JOINS = "At once: a server that is new gets calls, one that is gone gets none and ends those it has."
    RECONNECTS = "For calls that are sent later; those under way end on the connection they have."
    CALLS = "For calls that begin later."
    RUNS = "For runs that begin later; one in hand keeps what it began with."
    COMMANDS = "For the next command that reads it."
    START = "Wants a new start."


_SERVER: Final[Mapping[str, Holds]] = {
    "url": Holds.JOINS,
    "name": Holds.RECONNECTS,
    "http2": Holds.RECONNECTS,
    "transport": Holds.RECONNECTS,
    "token": Holds.RECONNECTS,
    "username": Holds.RECONNECTS,
    "password": Holds.RECONNECTS,
    "ca_file": Holds.RECONNECTS,
    "slots": Holds.AT_ONCE,
    "max_loaded_models": Holds.AT_ONCE,
}
_LANE: Final[tuple[str, ...]] = (
    "model",
    "num_ctx",
    "num_batch",
    "num_gpu",
    "main_gpu",
    "num_thread",
    "use_mmap",
    "draft_num_predict",
    "shift",
    "keep_alive",
)

HOLDS: Final[Mapping[str, Holds]] = MappingProxyType(
    {
        "servers": Holds.JOINS,
        "model": Holds.RUNS,
        "lanes": Holds.RUNS,
        "roles": Holds.RUNS,
        **{f"servers[0].{key}": holds for key, holds in _SERVER.items()},
        **{f"lanes.NAME.{key}": Holds.RUNS for key in _LANE},
        "pool.queue_length": Holds.AT_ONCE,
        "pool.phases.connect": Holds.CALLS,
        "pool.phases.queue": Holds.CALLS,
        "pool.phases.first_byte": Holds.CALLS,
        "pool.phases.between_tokens": Holds.CALLS,
        "pool.phases.total": Holds.CALLS,
        "pool.line_bytes": Holds.CALLS,
        "pool.retry_down_seconds": Holds.AT_ONCE,
        "pool.num_predict": Holds.CALLS,
        "pool.preload": Holds.AT_ONCE,
        "pool.allow_cloud": Holds.CALLS,
        "run.candidates": Holds.RUNS,
        "run.repairs": Holds.RUNS,
        "run.rounds": Holds.RUNS,
        "run.approve": Holds.RUNS,
        "run.budget.calls": Holds.RUNS,
        "run.budget.tokens": Holds.RUNS,
        "run.budget.seconds": Holds.RUNS,
        "run.budget.gpu_seconds": Holds.RUNS,
        "run.task_bytes": Holds.RUNS,
        "run.map_tokens": Holds.RUNS,
        "run.profiles": Holds.RUNS,
        "sandbox.level": Holds.RUNS,
        "sandbox.read": Holds.RUNS,
        "sandbox.seconds": Holds.RUNS,
        "sandbox.test_seconds": Holds.RUNS,
        "sandbox.memory_bytes": Holds.RUNS,
        "sandbox.processes": Holds.RUNS,
        "sandbox.at_once": Holds.RUNS,
        "tools.mcp": Holds.START,
        "tools.mcp.NAME.command": Holds.START,
        "tools.mcp.NAME.args": Holds.START,
        "tools.mcp.NAME.env": Holds.START,
        "tools.mcp.NAME.url": Holds.START,
        "tools.mcp.NAME.start_seconds": Holds.START,
        "tools.mcp.NAME.call_seconds": Holds.START,
        "paths.data": Holds.START,
        "paths.config": Holds.START,
        "retention.trees_days": Holds.COMMANDS,
        "retention.tokens_days": Holds.COMMANDS,
        "retention.runs_days": Holds.COMMANDS,
        "serve.host": Holds.START,
        "serve.port": Holds.START,
        "serve.password": Holds.START,
        "serve.hosts": Holds.START,
        "serve.watch": Holds.START,
        "log.format": Holds.START,
        "log.level": Holds.START,
        **{
            f"telemetry.{key}": Holds.START
            for key in (
                "endpoint",
                "headers",
                "ca_file",
                "service_name",
                "sampling",
                "metrics",
                "metrics_seconds",
                "timeout_seconds",
            )
        },
        "debug.asyncio": Holds.START,
        "sessions.persistence": Holds.START,
        "sessions.debounce_seconds": Holds.START,
        "sessions.interval_seconds": Holds.START,
        "sessions.batch": Holds.START,
        "sessions.waiting": Holds.START,
        "sessions.loaded": Holds.START,
        "sessions.message_bytes": Holds.START,
        "conversation.calls": Holds.START,
        "conversation.handovers": Holds.START,
        "conversation.answer_hours": Holds.START,
    }
)
"""By the name in the first column of the settings page."""

KEPT_SECTIONS: Final[tuple[str, ...]] = (
    "tools",
    "paths",
    "serve",
    "sessions",
    "conversation",
    "log",
    "telemetry",
    "debug",
)
"""The sections of which every setting wants a new start: a reload leaves them as they are."""


def wants_new_start(name: str) -> bool:
    """Whether a change of this setting, by its dotted name, holds only after a new start."""
    try:
        place: Name = parse_name(name)
    except UnknownName:  # `servers[1].token` is no name, and no such place wants it
        return False
    return place[0] in KEPT_SECTIONS
