"""Owns what a request comes to: a route's answer, unless the gate or a toxic is before it."""

import logging
from collections.abc import Callable, Coroutine, Mapping
from functools import partial

from infrastructure.simulator import listing
from infrastructure.simulator.calls import BUSY, JSON
from infrastructure.simulator.completion import complete
from infrastructure.simulator.embedding import embed, embeddings
from infrastructure.simulator.exchange import Exchange
from infrastructure.simulator.gate import turned_away
from infrastructure.simulator.golang import dump
from infrastructure.simulator.pulling import pull
from infrastructure.simulator.reading import WireError
from infrastructure.simulator.records import Strike
from infrastructure.simulator.toxics import ToxicKind
from infrastructure.simulator.world import World

_log = logging.getLogger(__name__)
_PLAIN = (("Content-Type", "text/plain; charset=utf-8"),)


def handle(world: World, exchange: Exchange) -> Coroutine[None, None, None] | None:
    """Answer what needs no model at once; the rest is work that a leaving client cancels."""
    path = exchange.request.path
    if _struck(world, exchange) or turned_away(exchange, world.settings.host):
        return None
    if path == "/":
        exchange.answer(200, _PLAIN, b"Ollama is running")
    elif path in _AT_ONCE:
        exchange.answer(200, JSON, _AT_ONCE[path](world))
    else:
        return _work(world, exchange)
    return None


def _struck(world: World, exchange: Exchange) -> bool:
    """Let the toxics strike; whether one of them has already decided what becomes of the request."""
    path = exchange.request.path
    hit = world.toxics.strike(path, reused=exchange.request.reused)
    if not hit:
        return False
    strikes = world.truth.strikes
    strikes.extend(Strike(kind, path, world.loop.time()) for kind in hit)
    world.truth.noted()
    exchange.catch(hit, world.rng(len(strikes)))
    reset = hit.get(ToxicKind.RESET)
    if ToxicKind.STALE in hit:
        exchange.drop()
    elif ToxicKind.REFUSE in hit:
        exchange.refuse()
    elif reset is not None and not reset.bytes:
        exchange.drop(reset=True)
    elif ToxicKind.BUSY in hit:
        exchange.answer(503, JSON, dump({"error": BUSY}))
    else:
        return ToxicKind.TIMEOUT in hit
    return True


async def _work(world: World, exchange: Exchange) -> None:
    try:
        await _WORK[exchange.request.path](world, exchange)
    except WireError as error:
        if exchange.begun:
            raise
        exchange.answer(error.status, JSON, dump({"error": error.text}))
    except Exception as defect:
        if exchange.begun:
            raise
        _log.exception("a defect of the simulator's, over %s", exchange.request.path)
        exchange.answer(500, JSON, dump({"error": f"{type(defect).__name__}: {defect}"}))


def _version(world: World) -> bytes:
    return dump({"version": world.version.number, "simulated": True})


def _status(_: World) -> bytes:
    return dump({"cloud": {"disabled": False, "source": "none"}})


async def _show(world: World, exchange: Exchange) -> None:
    exchange.answer(200, JSON, listing.show(world, exchange.request.body))


_AT_ONCE: Mapping[str, Callable[[World], bytes]] = {
    "/api/version": _version,
    "/api/status": _status,
    "/api/tags": listing.tags,
    "/api/ps": listing.ps,
    "/simulator/truth": lambda world: world.truth.as_json(),
}
_WORK: Mapping[str, Callable[[World, Exchange], Coroutine[None, None, None]]] = {
    "/api/chat": partial(complete, chat=True),
    "/api/generate": partial(complete, chat=False),
    "/api/embed": embed,
    "/api/embeddings": embeddings,
    "/api/pull": pull,
    "/api/show": _show,
}
