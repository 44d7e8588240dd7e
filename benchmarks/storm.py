"""Three simulated servers to which everything happens that servers do to their clients.

Owns what happens, by a seed: toxics that are always there, and one act after another (a kill, a silence, a held answer,
a crash, a GOAWAY), an act every so many calls. At least one server is up at any time.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager

from infrastructure.simulator import Fault, FaultKind, ModelSpec, Simulator, SimulatorSettings
from infrastructure.simulator.settings import Http2Settings
from infrastructure.simulator.toxics import Toxic, ToxicKind

SERVERS = 3
SLOTS = 4
"""Of each model on each server."""
MODELS = ("small", "large", "wide")
CALLS_A_SCENE = 150
"""After which the next act begins."""
SCENE_SECONDS = 0.1
"""After which it begins even so: callers may all wait for a server that is silent."""
GOAWAY_EVERY = 50
_BEAT_SECONDS = 0.1
_PORTS = range(20000, 30000)
"""Below those that the kernel gives to clients: one of these would be in the way of a server that comes back."""
_ASKED = ("/api/chat", "/api/generate")
_TOXICS = {
    "reset before the first byte": Toxic(kind=ToxicKind.RESET, share=0.01),
    "reset in the middle": Toxic(kind=ToxicKind.RESET, share=0.01, bytes=900),
    "dropped in the middle": Toxic(kind=ToxicKind.LIMIT, share=0.01, bytes=900),
    "stale": Toxic(kind=ToxicKind.STALE, share=0.02),
    "refused": Toxic(kind=ToxicKind.REFUSE, share=0.01),
    "busy": Toxic(kind=ToxicKind.BUSY, share=0.02),
    "error line": Toxic(kind=ToxicKind.ERROR, share=0.005, after_chunks=2),
    "half a line": Toxic(kind=ToxicKind.HALF_LINE, share=0.005, after_chunks=2),
    "slices": Toxic(kind=ToxicKind.SLICER, share=0.01, bytes=31, seconds=0.00005),
}


class Storm:
    """The servers, and what becomes of them."""

    def __init__(self, servers: list[Simulator], urls: list[str], seed: int) -> None:
        self.servers = servers
        self.urls = urls
        self.acts: Counter[str] = Counter()
        self.came_up = [0.0] * len(servers)
        """When each was last brought up again, by the loop's clock."""
        self.down: set[int] = set()
        self._rng = random.Random(f"{seed}/storm")
        self.stood_still = 0.0
        """Seconds for which this process did not run, in all: others had the machine."""
        self._ended = 0
        self._scene = asyncio.Event()
        self._over = False

    def a_call_ended(self) -> None:
        """Move time on: acts follow calls, not the clock."""
        self._ended += 1
        if self._ended % CALLS_A_SCENE == 0:
            self._scene.set()

    def was_down(self, server: int, since: float) -> bool:
        """Whether it was down at a moment after `since`."""
        return server in self.down or self.came_up[server] >= since

    async def beat(self) -> None:
        """Notice when this process stands still, until `end`."""
        loop = asyncio.get_running_loop()
        while not self._over:
            due = loop.time() + _BEAT_SECONDS
            await asyncio.sleep(_BEAT_SECONDS)
            self.stood_still += max(0.0, loop.time() - due)

    async def rage(self) -> None:
        """One act after another until `end`; the servers are up and without a fault afterwards."""
        acts: list[Callable[[], Awaitable[None]]] = [self._kill, self._hang, self._hold, self._break, self._go_away]
        while not self._over:
            await self._rng.choice(acts)()
            await self._next_scene()

    def end(self) -> None:
        """Let the present act be the last one."""
        self._over = True
        self._scene.set()

    async def _kill(self) -> None:
        victims = self._rng.sample(range(SERVERS), self._rng.choice((1, 1, 2)))
        self.acts["killed"] += len(victims)
        for victim in victims:
            self.down.add(victim)
            await self.servers[victim].go_down()
        await self._next_scene()
        await self._bring_up(victims)

    async def _hang(self) -> None:
        """A model falls silent, and somebody restarts its server in the end."""
        victim, model = self._rng.randrange(SERVERS), self._rng.choice(MODELS)
        self.acts["silent model"] += 1
        server = self.servers[victim]
        server.set_fault(model, Fault(kind=FaultKind.HANG, after_chunks=self._rng.choice((0, 3)), times=SLOTS))
        await self._next_scene()
        self.down.add(victim)
        await server.go_down()
        server.set_fault(model, None)
        await self._bring_up([victim])

    async def _hold(self) -> None:
        """All answers of a server stop in the middle for a while."""
        server = self._rng.choice(self.servers)
        self.acts["held"] += 1
        server.hold("call")
        await self._next_scene()
        server.release("call")

    async def _break(self) -> None:
        """Some answers of a model end badly."""
        server, model = self._rng.choice(self.servers), self._rng.choice(MODELS)
        kind = self._rng.choice((FaultKind.DROP, FaultKind.CRASH, FaultKind.SILENT_END, FaultKind.ERROR))
        self.acts[f"fault {kind}"] += 1
        server.set_fault(model, Fault(kind=kind, after_chunks=self._rng.choice((0, 3)), times=3))
        await self._next_scene()
        server.set_fault(model, None)

    async def _go_away(self) -> None:
        """Over HTTP/2 a server says GOAWAY and breaks off what it has."""
        self.acts["abrupt GOAWAY"] += 1
        self._rng.choice(self.servers).go_away(abrupt=True)

    async def _next_scene(self) -> None:
        if not self._over:
            self._scene.clear()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(SCENE_SECONDS):
                await self._scene.wait()

    async def _bring_up(self, servers: list[int]) -> None:
        loop = asyncio.get_running_loop()
        for number in servers:
            await self.servers[number].come_up()
            self.down.discard(number)
            self.came_up[number] = loop.time()

    def strikes(self) -> Counter[str]:
        """How often each toxic hit."""
        return Counter(str(strike.kind) for server in self.servers for strike in server.truth.strikes)


@asynccontextmanager
async def storm(*, http2: bool, seed: int) -> AsyncGenerator[Storm]:
    """The servers, up, with the toxics in them."""
    async with AsyncExitStack() as stack:
        servers: list[Simulator] = []
        ports = free_ports(2 * SERVERS)
        for number in range(SERVERS):
            settings = _settings(seed + number, ports[2 * number : 2 * number + 2], http2=http2)
            server = await stack.enter_async_context(Simulator(settings))
            for name, toxic in _TOXICS.items():
                for path in _ASKED:
                    server.add_toxic(toxic.model_copy(update={"path": path}), f"{name} {path}")
            servers.append(server)
        yield Storm(servers, [server.http2_url if http2 else server.url for server in servers], seed)


def free_ports(count: int) -> list[int]:
    """Ports that are free now, and stay so: a server that comes back finds its own."""
    found: list[int] = []
    for port in random.sample(_PORTS, len(_PORTS)):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))
            found.append(port)
        if len(found) == count:
            break
    return found


def _settings(seed: int, ports: list[int], *, http2: bool) -> SimulatorSettings:
    return SimulatorSettings(
        models=tuple(ModelSpec(name=name, brain="echo") for name in MODELS),
        seed=seed,
        port=ports[0],
        num_parallel=SLOTS,
        decode_tokens_per_second=60,
        time_scale=0.002,
        http2_port=ports[1] if http2 else None,
        http2=Http2Settings(goaway_every=GOAWAY_EVERY),
    )
