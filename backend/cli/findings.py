"""What `corral doctor` says of one thing, and the checks of this machine itself.

Owns `Finding`: what was looked at, what was found, and what to do where that is not well. A check returns what it
found; none raises for what it was made to find.
"""

import os
import shutil
import sqlite3
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from infrastructure.compiled import Core
from infrastructure.config.fields import parse_name, value_at
from infrastructure.config.load import Loaded
from infrastructure.config.secrecy import holds_secret
from infrastructure.config.settings import ServerSettings
from infrastructure.storage.lock import Holder

State = Literal["good", "warning", "bad"]

OLDEST_PYTHON = (3, 11)
SAFE_SQLITE = (3, 51, 3)
"""Before it, a write-ahead log can be reset while another connection reads it (sqlite.org, "WAL-reset bug")."""
LITTLE_DISK = 2 << 30
"""Bytes; below that a run may well fill the disk."""
TOP_LEVEL = ("agents", "infrastructure", "backend")
PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the doctor's.

    Attributes:
        name: What was looked at.
        state: `bad` where a run cannot succeed, `warning` where it may go worse than it need.
        said: What was found.
        fix: What to do; empty where nothing is wrong.
        rows: A table of what it is about, a line each.
    """

    name: str
    state: State
    said: str
    fix: str = ""
    rows: tuple[str, ...] = ()


def check_settings(file: Path, loaded: Loaded, *, mode: int | None) -> Finding:
    """Where the settings come from, and whether others can read a secret among them.

    Args:
        file: The settings file.
        loaded: What was read.
        mode: The file's mode; None where there is no file.
    """
    variables = sorted(
        {where.partition(" ")[2] for where in loaded.origins.values() if where.startswith("environment ")}
    )
    said = f"{file}" if mode is not None else f"{file} is not there, so defaults hold"
    if variables:
        said += f"; from the environment: {', '.join(variables)}"
    if mode is not None and mode & 0o077 and _file_holds_secret(loaded):
        return Finding(
            "settings", "warning", f"{said}; it holds a secret, and others can read it", f"Type: chmod 600 {file}"
        )
    return Finding("settings", "good", said)


def check_engine(holder: Holder | None) -> Finding:
    """Who works on the data directory."""
    if holder is None:
        return Finding("engine", "good", "no other command holds it")
    at = f" at {holder.address}" if holder.address else ""
    said = f"held by `corral {holder.verb}` (process {holder.pid}){at}; a run joins it, with its servers and settings"
    return Finding("engine", "good", said)


def check_python(version: tuple[int, ...] = sys.version_info[:3]) -> Finding:
    """Whether this interpreter is new enough."""
    text = ".".join(map(str, version))
    if version[:2] < OLDEST_PYTHON:
        return Finding("Python", "bad", f"{text} is too old", "Install Python 3.11 or newer.")
    return Finding("Python", "good", f"{text}; 3.11 or newer is needed")


def check_core(core: Core) -> Finding:
    """Which form of the pool's core runs. Both do the same, so neither is a fault."""
    return Finding("core", "good", f"{'compiled' if core.compiled else 'interpreted'} ({core.said})")


def check_git(version: str | None) -> Finding:
    """What `git --version` said; None where there is no git."""
    if version is None:
        said = "not found, so only folders that are no repository can be worked on"
        return Finding("git", "warning", said, "Install git with the system's package manager, as in: apt install git")
    return Finding("git", "good", version.removeprefix("git version ").strip())


def check_sqlite(version: tuple[int, ...] = sqlite3.sqlite_version_info) -> Finding:
    """Whether SQLite has a known bug."""
    text = ".".join(map(str, version))
    if version < SAFE_SQLITE:
        return Finding(
            "SQLite",
            "warning",
            f"{text} may damage a database that two programs write at once; of Corral's, only one does",
            "Let no other program write corral.db while Corral runs. SQLite 3.51.3, with a newer Python, is mended.",
        )
    return Finding("SQLite", "good", text)


def check_data(folder: Path) -> Finding:
    """Whether the data directory can be made and written, and how much room there is."""
    name = "data directory"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b"x")
        free = shutil.disk_usage(folder).free
    except OSError as error:
        said = f"{folder}: {error.strerror}"
        return Finding(name, "bad", said, f"Make {folder} writable, or choose another with --data or paths.data.")
    said = f"{folder} can be written, {free / 1e9:.0f} GB free"
    if free < LITTLE_DISK:
        return Finding(name, "warning", f"{said}: a run may fill it", "Free some space, or run `corral clean`.")
    return Finding(name, "good", said)


def check_names(owners: Mapping[str, Sequence[str]] | None = None) -> Finding:
    """Whether another distribution owns one of Corral's top-level names."""
    owners = packages_distributions() if owners is None else owners
    others = {
        name: sorted(set(owners.get(name, ())) - {"corral"})
        for name in TOP_LEVEL
        if set(owners.get(name, ())) - {"corral"}
    }
    if not others:
        return Finding("package names", "good", f"no other package brings {', '.join(TOP_LEVEL)}")
    said = "; ".join(f"{name!r} also comes from {', '.join(theirs)}" for name, theirs in others.items())
    return Finding(
        "package names",
        "bad",
        said,
        "Install Corral in an environment of its own: pipx install corral, or uv tool install corral.",
    )


def check_proxies(servers: Iterable[ServerSettings], environ: Mapping[str, str] = os.environ) -> Finding:
    """Whether calls to a server elsewhere go through a proxy of the environment."""
    found = [name for name in PROXIES if environ.get(name) or environ.get(name.lower())]
    besides = environ.get("NO_PROXY") or environ.get("no_proxy") or ""
    hosts = [urlsplit(server.url).hostname or "" for server in servers if not server.loopback]
    through = [host for host in hosts if not _is_among(host, besides)]
    if not found:
        return Finding("proxy", "good", f"none in the environment ({', '.join(PROXIES)})")
    if not through:
        return Finding("proxy", "good", f"{', '.join(found)} set, and used for none of the servers")
    return Finding(
        "proxy",
        "warning",
        f"{', '.join(found)} set: calls to {', '.join(through)} go through it",
        f"If that is not wanted: export NO_PROXY={','.join(filter(None, (besides, *through)))}",
    )


def _is_among(host: str, besides: str) -> bool:
    """Whether `NO_PROXY` names a host: by itself, by a domain that it is in, or by `*`."""
    named = [part.strip().lower().lstrip(".") for part in besides.split(",") if part.strip()]
    return any(name == "*" or host == name or host.endswith(f".{name}") for name in named)


def _file_holds_secret(loaded: Loaded) -> bool:
    return any(
        holds_secret(value_at(loaded.settings, parse_name(name)))
        for name, where in loaded.origins.items()
        if where.startswith("file ")
    )
