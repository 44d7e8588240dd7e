"""What `corral doctor` says of one thing, and the checks of this machine itself.

Owns `Finding`. Each check looks at one thing and returns what it found; none raises for what it was made to find.
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

from infrastructure.config.settings import ServerSettings

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
    """One line of the doctor's. `fix` says what to type; empty where nothing is wrong."""

    name: str
    state: State
    said: str
    fix: str = ""


def check_python(version: tuple[int, ...] = sys.version_info[:3]) -> Finding:
    """Whether this interpreter is new enough."""
    text = ".".join(map(str, version))
    if version[:2] < OLDEST_PYTHON:
        return Finding("Python", "bad", f"{text} is too old", "Install Python 3.11 or newer.")
    return Finding("Python", "good", text)


def check_git(version: str | None) -> Finding:
    """What `git --version` said; None where there is no git."""
    if version is None:
        return Finding(
            "git", "warning", "not found: only folders that are no repository can be worked on", "Install git."
        )
    return Finding("git", "good", version.removeprefix("git version ").strip())


def check_sqlite(version: tuple[int, ...] = sqlite3.sqlite_version_info) -> Finding:
    """Whether SQLite has a known bug."""
    text = ".".join(map(str, version))
    if version < SAFE_SQLITE:
        return Finding(
            "SQLite",
            "warning",
            f"{text} has a rare bug of the write-ahead log; Corral keeps to one writer, which avoids it",
            "Do not open corral.db with other programs while Corral runs; a newer Python brings a newer SQLite.",
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
    said = f"{folder}, {free / 1e9:.0f} GB free"
    if free < LITTLE_DISK:
        return Finding(name, "warning", said, "Free some space, or run `corral clean`.")
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
        return Finding("package names", "good", "no other package has Corral's names")
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
    elsewhere = [server.label for server in servers if not server.loopback]
    if not found:
        return Finding("proxy", "good", "none in the environment")
    if not elsewhere:
        return Finding("proxy", "good", f"{', '.join(found)} set; not used for this machine's own servers")
    return Finding(
        "proxy",
        "warning",
        f"{', '.join(found)} set: calls to {', '.join(elsewhere)} go through it",
        f"If that is not wanted: export NO_PROXY={','.join(label.partition(':')[0] for label in elsewhere)}",
    )
