"""What the program tells of itself, and that a full disk does not keep it from starting."""

import logging

from infrastructure.events.memory import MemoryEventLog
from infrastructure.events.system import SystemEvents
from infrastructure.ids import SYSTEM
from infrastructure.storage.errors import StorageError


def kinds(events):
    return [stored.event.kind for stored in events]


async def test_it_tells_of_its_start_of_servers_and_of_its_end():
    log = MemoryEventLog()
    system = SystemEvents(log)
    await system.started("1.0", "serve")
    system.ejected("gpu1", "connection refused")
    system.returned("gpu1")
    await system.left(ValueError, ValueError("x"), None)
    events = await log.read(SYSTEM)
    assert kinds(events) == ["system.started", "server.ejected", "server.returned", "system.stopped"]
    assert events[1].event.reason == "connection refused"
    assert events[3].event.reason == "ValueError"


async def test_what_cannot_be_kept_is_said_and_stops_nobody(tmp_path, caplog):
    log = MemoryEventLog()
    system = SystemEvents(log)
    log.fail_next(StorageError(tmp_path, "full"))
    with caplog.at_level(logging.WARNING):
        await system.started("1.0", "run")
        log.fail_next(StorageError(tmp_path, "full"))
        system.ejected("gpu1", "gone")
        await system.left(None, None, None)
    assert "system.started could not be kept" in caplog.text
    assert "events of servers could not be kept" in caplog.text
    assert kinds(await log.read(SYSTEM)) == ["system.stopped"]
