"""The forms in which the core of the pool runs: as Python, and compiled where `make compiled` was typed."""

from __future__ import annotations

import os
from pathlib import Path

import infrastructure
from infrastructure.compiled import VARIABLE, choose

INTERPRETED, COMPILED = "interpreted", "compiled"


def forms() -> tuple[str, ...]:
    """Those that can run here."""
    core, _ = choose({}, Path(infrastructure.__file__).parent)
    return (INTERPRETED, COMPILED) if core.compiled else (INTERPRETED,)


def environment(form: str) -> dict[str, str]:
    """Of a process that runs in this form, or not at all."""
    return {**os.environ, VARIABLE: form}
