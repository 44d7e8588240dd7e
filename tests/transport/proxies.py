"""Real proxies in front of a server: nginx, Caddy, HAProxy and nghttpx, each configured as one would for Ollama.

The first three name themselves to the server: `X-Request-Id` says which protocol they were asked by, from which port of
the client, and by which configuration (it counts reloads), so that a test can tell connections and workers apart.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import ClassVar

import pytest

from infrastructure.config.settings import ServerSettings
from infrastructure.simulator import RequestRecord

_PATH = os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"))


class Face(StrEnum):
    """What is spoken in front of the proxy."""

    H2 = "HTTP/2 over TLS, by ALPN"
    H2C = "HTTP/2 in clear text"
    TLS = "HTTP/1.1 over TLS"
    PLAIN = "HTTP/1.1"

    @property
    def tls(self) -> bool:
        return self in (Face.H2, Face.TLS)

    @property
    def http2(self) -> bool:
        return self in (Face.H2, Face.H2C)


@dataclass(frozen=True)
class Seen:
    """What a proxy says of one request."""

    protocol: str
    port: str
    generation: int

    @classmethod
    def by(cls, record: RequestRecord) -> Seen:
        assert record.client_id is not None
        protocol, port, generation = record.client_id.split(" ")
        return cls(protocol, port, int(generation))


class Proxy:
    """One proxy, in a directory of its own, with one face and one server behind it."""

    program: ClassVar[str]
    package: ClassVar[str]
    reloading: ClassVar[signal.Signals]

    def __init__(self, directory: Path, face: Face, backend: int, certificate: Path | None) -> None:
        self.directory = directory
        self.face = face
        self.backend = backend
        self.certificate = certificate
        self.port = _free_port()
        self.generation = 0
        self._process: asyncio.subprocess.Process | None = None

    @classmethod
    def path(cls) -> str | None:
        return shutil.which(cls.program, path=_PATH)

    @property
    def settings(self) -> ServerSettings:
        scheme = "https" if self.face.tls else "h2c" if self.face is Face.H2C else "http"
        url = f"{scheme}://localhost:{self.port}" if self.face.tls else f"{scheme}://127.0.0.1:{self.port}"
        return ServerSettings(url=url, http2=self.face is Face.H2, ca_file=self.certificate)

    @property
    def outlasts_reloads(self) -> bool:
        """Whether an open connection goes on with the configuration that it began with."""
        return False

    @property
    def cuts_at_reload(self) -> bool:
        """Whether it may close a kept connection on which a request has just come."""
        return False

    def configure(self) -> None:
        """Write the next configuration."""
        self.generation += 1
        self.file.write_text(self.configuration().rstrip() + "\n")

    @property
    def file(self) -> Path:
        return self.directory / "proxy.conf"

    def configuration(self) -> str:
        raise NotImplementedError

    def command(self) -> Sequence[str]:
        raise NotImplementedError

    async def reload(self) -> None:
        """Ask for the next configuration; the proxy changes over when it likes."""
        self.configure()
        assert self._process is not None
        self._process.send_signal(self.reloading)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Proxy]:
        self.configure()
        log = self.directory / "log"
        with log.open("wb") as said:
            self._process = await asyncio.create_subprocess_exec(
                *self.command(),
                stdout=said,
                stderr=said,
                env={
                    **os.environ,
                    "HOME": str(self.directory),
                    "XDG_DATA_HOME": str(self.directory),
                    "XDG_CONFIG_HOME": str(self.directory),
                },
            )
        try:
            await self._listens(log)
            yield self
        finally:
            if self._process.returncode is None:
                self._process.terminate()
            await self._process.wait()

    async def _listens(self, log: Path) -> None:
        """Nothing tells us when another program has bound its port."""
        assert self._process is not None
        while True:
            assert self._process.returncode is None, log.read_text()
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", self.port)
            except ConnectionRefusedError:
                await asyncio.sleep(0.01)
                continue
            writer.close()
            return


class Nginx(Proxy):
    program = "nginx"
    package = "nginx-light"
    reloading = signal.SIGHUP
    requests = 1_000_000
    """That it takes on one connection before it says GOAWAY, or closes it."""

    def configuration(self) -> str:
        listen = {Face.H2: " ssl http2", Face.H2C: " http2", Face.TLS: " ssl", Face.PLAIN: ""}[self.face]
        key, pairs = self.directory / "key.pem", ""
        if self.certificate is not None:
            pairs = f"ssl_certificate {self.certificate}; ssl_certificate_key {key};"
        paths = " ".join(
            f"{kind}_temp_path {self.directory / kind};"
            for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        return f"""
            daemon off; worker_processes 1; pid {self.directory / "pid"}; error_log {self.directory / "errors"};
            {"user root;" if os.geteuid() == 0 else ""}
            events {{ worker_connections 1024; }}
            http {{
                access_log off; client_max_body_size 0; {paths} {pairs}
                upstream ollama {{ server 127.0.0.1:{self.backend} max_fails=0; keepalive 64; }}
                server {{
                    listen 127.0.0.1:{self.port}{listen};
                    keepalive_requests {self.requests};
                    location / {{
                        proxy_pass http://ollama;
                        proxy_http_version 1.1; proxy_set_header Connection ""; proxy_set_header Host localhost:11434;
                        proxy_buffering off; proxy_read_timeout 600s;
                        proxy_set_header X-Request-Id "$server_protocol $remote_port {self.generation}";
                    }}
                }}
            }}
        """

    def command(self) -> Sequence[str]:
        return (str(self.path()), "-c", str(self.file), "-p", str(self.directory))


class Haproxy(Proxy):
    """Over HTTP/1.1 it needs `abortonclose`, to notice a client that leaves before the first byte, and `http-no-delay`,
    without which it holds each token back for 200 ms."""

    program = "haproxy"
    package = "haproxy"
    reloading = signal.SIGUSR2

    def configuration(self) -> str:
        bind = {Face.H2C: " proto h2", Face.PLAIN: ""}.get(self.face, "")
        if self.certificate is not None:
            pair = self.directory / "pair.pem"
            pair.write_bytes(self.certificate.read_bytes() + (self.directory / "key.pem").read_bytes())
            bind = f" ssl crt {pair} alpn {'h2,http/1.1' if self.face is Face.H2 else 'http/1.1'}"
        return f"""
            defaults
                mode http
                option abortonclose
                option http-no-delay
                retries 1
                timeout connect 5s
                timeout client 600s
                timeout server 600s
            frontend front
                bind 127.0.0.1:{self.port}{bind}
                http-request set-header X-Request-Id "HTTP/%[req.ver] %[src_port] {self.generation}"
                default_backend ollama
            backend ollama
                server ollama 127.0.0.1:{self.backend}
        """

    def command(self) -> Sequence[str]:
        return (str(self.path()), "-W", "-db", "-f", str(self.file))


class Caddy(Proxy):
    """Without `flush_interval`: it passes on at once what has no length, and -1 would keep a server going whose client
    has left, and break off what runs when it is reloaded."""

    program = "caddy"
    package = "caddy"

    def __init__(self, directory: Path, face: Face, backend: int, certificate: Path | None) -> None:
        super().__init__(directory, face, backend, certificate)
        self._admin = f"localhost:{_free_port()}"

    @property
    def outlasts_reloads(self) -> bool:
        """In clear text HTTP/2 lives in a request of HTTP/1.1 whose connection its server has given away."""
        return self.face is Face.H2C

    @property
    def cuts_at_reload(self) -> bool:
        """It closes those that were idle when it looked; over HTTP/2 a GOAWAY says what it has not taken."""
        return not self.face.http2

    def configuration(self) -> str:
        protocols = {Face.H2: "h1 h2", Face.H2C: "h1 h2c", Face.TLS: "h1", Face.PLAIN: "h1"}[self.face]
        address = f"https://localhost:{self.port}" if self.face.tls else f"http://127.0.0.1:{self.port}"
        tls = f"tls {self.certificate} {self.directory / 'key.pem'}" if self.certificate else ""
        return f"""
            {{
                admin {self._admin}
                auto_https off
                servers {{
                    protocols {protocols}
                }}
            }}
            {address} {{
                {tls}
                reverse_proxy 127.0.0.1:{self.backend} {{
                    header_up X-Request-Id "{{http.request.proto}} {{http.request.remote.port}} {self.generation}"
                }}
            }}
        """

    def command(self) -> Sequence[str]:
        return (str(self.path()), "run", "--config", str(self.file), "--adapter", "caddyfile")

    async def reload(self) -> None:
        """As its command does it: by way of the running one's own door."""
        self.configure()
        words = ("reload", "--config", str(self.file), "--adapter", "caddyfile", "--address", self._admin)
        with (self.directory / "reload").open("wb") as said:
            process = await asyncio.create_subprocess_exec(str(self.path()), *words, stdout=said, stderr=said)
        assert await process.wait() == 0, (self.directory / "reload").read_text()


class Nghttpx(Proxy):
    program = "nghttpx"
    package = "nghttp2-proxy"
    reloading = signal.SIGHUP

    def configuration(self) -> str:
        plain = "" if self.face.tls else ";no-tls"
        lines = [
            f"frontend=127.0.0.1,{self.port}{plain}",
            f"backend=127.0.0.1,{self.backend}",
            "workers=1",
            *(["npn-list=http/1.1"] if self.face is Face.TLS else []),
        ]
        if self.certificate is not None:
            lines += [f"private-key-file={self.directory / 'key.pem'}", f"certificate-file={self.certificate}"]
        return "\n".join(lines) + "\n"

    def command(self) -> Sequence[str]:
        return (str(self.path()), f"--conf={self.file}")


def needs(kind: type[Proxy]) -> pytest.MarkDecorator:
    """Skips without the program, and says what is to be installed."""
    reason = f"{kind.program} is not installed (Debian: {kind.package})"
    return pytest.mark.skipif(kind.path() is None, reason=reason)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
