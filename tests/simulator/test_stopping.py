"""What a client sees of a server that goes down."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from urllib.parse import urlsplit

import pytest

from infrastructure.simulator import ModelSpec, Simulator, SimulatorSettings


@pytest.mark.parametrize("turns", range(6))
async def test_a_connection_that_comes_while_the_server_stops_is_broken_off(turns: int):
    server = Simulator(SimulatorSettings(models=(ModelSpec(name="words", text="one"),), time_scale=0))
    await server.start()
    address = urlsplit(server.url)
    with socket.socket() as client:
        client.setblocking(False)
        loop = asyncio.get_running_loop()
        await loop.sock_connect(client, (address.hostname, address.port))
        for _ in range(turns):
            await asyncio.sleep(0)
        await server.stop()
        with contextlib.suppress(ConnectionResetError):
            assert await loop.sock_recv(client, 1) == b""
        assert server.truth.open_connections == 0
