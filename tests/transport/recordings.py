"""The recorded exchanges of real servers, as test parameters."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent.parent / "wire"


@dataclass(frozen=True)
class Recorded:
    version: str
    case: str
    path: str
    method: str
    request: Any
    headers: list[tuple[str, str]]
    status: int
    chunks: list[bytes]
    chunked: bool
    end: str

    @property
    def body(self) -> bytes:
        return b"".join(self.chunks)

    @property
    def model(self) -> str:
        body = self.request
        return str(body.get("model", "")) if isinstance(body, dict) else ""


def recorded() -> list[Recorded]:
    found: list[Recorded] = []
    for file in sorted(FOLDER.glob("ollama-*.jsonl")):
        for line in file.read_bytes().rstrip().split(b"\n"):
            entry = json.loads(line)
            found.append(
                Recorded(
                    version=file.stem.removeprefix("ollama-"),
                    case=entry["case"],
                    path=entry["request"]["path"],
                    method=entry["request"]["method"],
                    request=entry["request"].get("body"),
                    headers=[(name, value) for name, value in entry["headers"]],
                    status=entry["status"],
                    chunks=[text.encode() for _, text in entry["chunks"]],
                    chunked=entry["chunked"],
                    end=entry["end"],
                )
            )
    return found


def name_of(exchange: Recorded) -> str:
    return f"{exchange.version} {exchange.case}"
