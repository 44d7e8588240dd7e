"""Reads the recorded exchanges and plays them to a simulator over a bare socket."""

import asyncio
import json
from dataclasses import dataclass
from pathlib import Path

from infrastructure.simulator import Simulator, SimulatorSettings, script_models
from tests.simulator import allowed

FOLDER = Path(__file__).parent.parent / "wire"
RECORDINGS = {
    "0.32.15": ("0.32.15", "ollama-0.32.15.jsonl"),
    "0.24.0": ("0.24.0", "ollama-0.24.0.jsonl"),
    "edges": ("0.32.15", "edges-0.32.15.jsonl"),
}
"""Name of a recording: the version that it is of, and its file. `edges` are odd requests, mostly refused."""
WEIGHTS = json.loads((Path(__file__).parent / "weights.json").read_text())
"""Digests of the recorded models' weights: of models equal otherwise the smallest is evicted first."""


@dataclass(frozen=True)
class Exchange:
    case: str
    method: str
    path: str
    http: str
    status: int
    headers: list[tuple[str, str]]
    chunked: bool
    text: str
    end: str


def recorded(recording: str) -> list[dict]:
    lines = (FOLDER / RECORDINGS[recording][1]).read_text(encoding="utf-8").split("\n")
    return [json.loads(line) for line in lines if line]


def served(recording: str) -> list[str]:
    """Names of the cases that the simulator is held against."""
    return [
        case["case"]
        for case in recorded(recording)
        if not allowed.NOT_SERVED(case["request"]["path"]) and case["case"] not in allowed.NOT_IMITATED
    ]


def as_exchange(case: dict) -> Exchange:
    return Exchange(
        case=case["case"],
        method=case["request"]["method"],
        path=case["request"]["path"],
        http=case["http"],
        status=case["status"],
        headers=[(name, value) for name, value in case["headers"]],
        chunked=case["chunked"],
        text="".join(text for _, text in case["chunks"]),
        end=case["end"],
    )


async def play_all(recording: str) -> dict[str, Exchange]:
    """Send every recorded request, in order; what the simulator does not serve takes effect otherwise."""
    version = RECORDINGS[recording][0]
    settings = SimulatorSettings(
        version=version,
        models=script_models(WEIGHTS[version]),
        load_seconds=0.002,
        decode_tokens_per_second=50_000,
        prefill_tokens_per_second=1_000_000,
    )
    heard: dict[str, Exchange] = {}
    async with Simulator(settings) as simulator:
        for case in recorded(recording):
            name = case["case"]
            if effect := allowed.EFFECTS.get(name):
                take_effect(simulator, *effect)
            if not allowed.NOT_SERVED(case["request"]["path"]):
                heard[name] = await asyncio.wait_for(play(simulator.port, case), 20)
    return heard


def take_effect(simulator: Simulator, kind: str, *arguments: object) -> None:
    store = simulator.world.models
    if kind == "remove":
        store.remove(*arguments)
    else:
        source, destination, changes = arguments
        store.copy(source, destination, simulator.world.clock.now(), **changes)


async def play(port: int, case: dict) -> Exchange:
    request = case["request"]
    body = request["body"]
    payload = b"" if body is None else body.encode() if isinstance(body, str) else json.dumps(body).encode()
    headers = {"Host": f"127.0.0.1:{port}", "Content-Type": "application/json", **request["headers"]}
    if body is not None:
        headers["Content-Length"] = str(len(payload))
    head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    leave_after = len(case["chunks"]) if case["end"] == "left" else None
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=2**24)
    try:
        writer.write(f"{request['method']} {request['path']} {case['http']}\r\n{head}\r\n".encode() + payload)
        return await heard(reader, case, leave_after)
    finally:
        writer.close()


async def heard(reader: asyncio.StreamReader, case: dict, leave_after: int | None) -> Exchange:
    http, status, _ = (await reader.readline()).decode().split(" ", 2)
    headers: list[tuple[str, str]] = []
    while line := (await reader.readline()).decode().rstrip("\r\n"):
        name, value = line.split(": ", 1)
        if name != "Date":
            headers.append((name, value))
    lowered = {name.lower(): value for name, value in headers}
    chunked = lowered.get("transfer-encoding") == "chunked"
    body, end = b"", "complete"
    if case["request"]["method"] == "HEAD" or status == "204":
        pass
    elif chunked:
        count = 0
        while size := int(await reader.readline(), 16):
            body += await reader.readexactly(size)
            await reader.readexactly(2)
            count += 1
            if count == leave_after:
                end = "left"
                break
        else:
            await reader.readline()
    elif "content-length" in lowered:
        body = await reader.readexactly(int(lowered["content-length"]))
    else:
        body = await reader.read()
    request = case["request"]
    return Exchange(
        case["case"], request["method"], request["path"], http, int(status), headers, chunked, body.decode(), end
    )
