"""Owns chance that is none: the same words, the same number."""

import hashlib
from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")


def drawn(*about: object) -> float:
    """A number of [0, 1) that is decided by what it is about, and by nothing else."""
    hashed = hashlib.sha256("/".join(str(each) for each in about).encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(hashed[:8]) / 2**64


def picked(choices: Sequence[T], *about: object) -> T:
    """One of the choices, as likely as any other, decided in the same way."""
    return choices[int(drawn(*about) * len(choices))]
