"""Owns `/api/pull`: progress to success for known models, and no network for all others."""

import asyncio
import hashlib

from infrastructure.simulator.exchange import Exchange
from infrastructure.simulator.golang import Json, JsonObject, dump
from infrastructure.simulator.names import Name, parse_name
from infrastructure.simulator.reading import WireError, read_fields
from infrastructure.simulator.settings import ModelSpec
from infrastructure.simulator.sinks import NDJSON
from infrastructure.simulator.world import World

_STEPS = 4


async def pull(world: World, exchange: Exchange) -> None:
    """`POST /api/pull`.

    Raises:
        WireError: no model is named.
    """
    fields = read_fields(exchange.request.body, "PullRequest")
    asked = fields.text("model") or fields.text("name")
    name = parse_name(asked)
    if name is None:
        raise WireError(400, "invalid model name")
    stream = fields.flag("stream") is not False
    error = _obstacle(world, name, asked)
    if stream:
        exchange.begin(200, NDJSON)
        exchange.send(_line({"status": "pulling manifest"}))
    if error is None:
        await _download(world, exchange if stream else None, name, asked)
    last: JsonObject = {"error": error} if error else {"status": "success"}
    if stream:
        exchange.send(_line(last))
        exchange.end()
    else:
        exchange.answer(500 if error else 200, (("Content-Type", "application/json"),), dump(last))


async def _download(world: World, exchange: Exchange | None, name: Name, asked: str) -> None:
    """Send progress while the time of a download passes; then the model is there."""
    known = world.models.find(name)
    size = known.spec.size if known else ModelSpec(name=asked).size
    digest = known.weights if known else hashlib.sha256(name.key.encode()).hexdigest()
    for step in range(_STEPS + 1):
        if known is None and step:
            await asyncio.sleep(world.settings.pull_seconds * world.settings.time_scale / _STEPS)
        progress: JsonObject = {
            "status": f"pulling {digest[:12]}",
            "digest": f"sha256:{digest}",
            "total": size,
        }
        if step:
            progress["completed"] = size * step // _STEPS
        if exchange is not None and (step == _STEPS or known is None):
            exchange.send(_line(progress))
    for status in ("verifying sha256 digest", "writing manifest"):
        if exchange is not None:
            exchange.send(_line({"status": status}))
    if known is None:
        spec = ModelSpec(name=asked, brain="echo", weights=digest)
        world.models.add(spec, world.clock.now())


def _obstacle(world: World, name: Name, asked: str) -> str | None:
    """Why the model cannot be pulled; None where it can."""
    keys = {parsed.key for text in world.settings.known_to_registry if (parsed := parse_name(text))}
    if world.models.find(name) is not None or name.key in keys:
        return None
    url = f"https://{name.host}/v2/{name.namespace}/{name.model}/manifests/{name.tag}"
    host, _, port = name.host.partition(":")
    if port:
        reason = f"dial tcp {host}:{port}: connect: connection refused"
    else:
        reason = f"dial tcp: lookup {host}: no such host"
    return f'pull model manifest: Get "{url}": {reason}'


def _line(value: dict[str, Json]) -> bytes:
    return dump(value) + b"\n"
