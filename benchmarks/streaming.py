"""CPU per streamed token, from the server to the event log.

Contenders, each a fresh process a round, in an order of its own each round, over one simulated server in another
process that streams a chunk a token:

- floor: asyncio streams and orjson, nothing kept.
- corral: questions through the engine: pool, role, recorded call, events in SQLite (intent, then responder).
- langgraph+chatollama: the same shape in plain LangGraph: two nodes that ask ChatOllama, `stream_mode="messages"`,
  a durable SQLite checkpointer, and every token posted to the same event log.

`python -m benchmarks.streaming` prints the table. `--contender NAME URL` is one measurement.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path

from typing_extensions import TypedDict

from benchmarks.measuring import cpu_seconds, interleaved, ratios, summary

RUNS = 8
TOKENS = 1500
ROUNDS = 7
QUESTION = "What is a corral, at length?"
ANSWER = " ".join(f"word{number}" for number in range(TOKENS))


async def serve() -> None:
    """A simulated server that answers the question at some thousand tokens a second; its address on stdout."""
    from infrastructure.simulator import Simulator, SimulatorSettings  # noqa: PLC0415

    with tempfile.TemporaryDirectory() as folder:
        tasks = Path(folder) / "tasks.jsonl"
        tasks.write_text(json.dumps({"id": "q", "prompt": QUESTION, "kind": "question", "answer": ANSWER}) + "\n")
        settings = SimulatorSettings(
            tasks=tasks,
            num_parallel=RUNS,
            num_ctx=32768,
            load_seconds=0,
            prefill_tokens_per_second=1e6,
            decode_tokens_per_second=200,
            decode_slowdown=0,
        )
        async with Simulator(settings) as simulator:
            print(simulator.url, flush=True)
            await asyncio.Event().wait()


async def floor(url: str) -> int:
    """Read the streams and parse each line."""
    import orjson  # noqa: PLC0415

    host, _, port = url.removeprefix("http://").partition(":")
    body = json.dumps({"model": "oracle", "messages": [{"role": "user", "content": QUESTION}]}).encode()

    async def one() -> int:
        reader, writer = await asyncio.open_connection(host, int(port))
        head = f"POST /api/chat HTTP/1.1\r\nHost: {host}\r\nContent-Length: {len(body)}\r\n\r\n"
        writer.write(head.encode() + body)
        tokens = 0
        while line := await reader.readline():
            if line.startswith(b"{"):
                tokens += 1
                if orjson.loads(line)["done"]:
                    break
        writer.close()
        await writer.wait_closed()
        return tokens

    return sum(await asyncio.gather(*(one() for _ in range(RUNS))))


async def corral(url: str) -> int:
    """Questions through the engine."""
    from backend.bootstrap import open_application  # noqa: PLC0415
    from infrastructure.config.settings import Paths, ServerSettings, Settings  # noqa: PLC0415
    from infrastructure.tasks import TaskSpec  # noqa: PLC0415

    with tempfile.TemporaryDirectory() as folder:
        repo = Path(folder) / "repo"
        repo.mkdir()
        settings = Settings(
            servers=(ServerSettings(url=url, slots=RUNS),), model="oracle", paths=Paths(data=Path(folder) / "data")
        )
        async with open_application(settings) as application:
            results = await application.engine.execute_parallel([TaskSpec(task=QUESTION, repo=repo)] * RUNS)
        assert all(result.status == "done" for result in results), results
        return sum(result.completion_tokens for result in results)


class _State(TypedDict, total=False):
    task: str
    intent: str
    answer: str


async def chatollama(url: str) -> int:
    """The same shape in plain LangGraph."""
    from langchain_core.messages import AIMessageChunk  # noqa: PLC0415
    from langchain_ollama import ChatOllama  # noqa: PLC0415
    from langgraph.graph import END, START, StateGraph  # noqa: PLC0415

    from infrastructure.checkpoints import open_checkpointer  # noqa: PLC0415
    from infrastructure.events.catalogue import TextStreamed  # noqa: PLC0415
    from infrastructure.events.log import SqliteEventLog  # noqa: PLC0415
    from infrastructure.ids import new_run_id  # noqa: PLC0415
    from infrastructure.storage.database import Database  # noqa: PLC0415
    from infrastructure.storage.runs import RunStore  # noqa: PLC0415

    model = ChatOllama(model="oracle", base_url=url)

    async def intent(state: _State) -> _State:
        answer = await model.ainvoke([("system", "You are Corral's intent."), ("user", state["task"][:5])])
        return {"intent": str(answer.content)}

    async def responder(state: _State) -> _State:
        answer = await model.ainvoke([("system", "You are Corral's responder."), ("user", state["task"])])
        return {"answer": str(answer.content)}

    graph = StateGraph(_State)
    graph.add_node("intent", intent)
    graph.add_node("responder", responder)
    graph.add_edge(START, "intent")
    graph.add_edge("intent", "responder")
    graph.add_edge("responder", END)
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        async with Database(place / "log.db") as database, open_checkpointer(place / "checkpoints.db", ()) as saver:
            log, runs, compiled = SqliteEventLog(database), RunStore(database), graph.compile(checkpointer=saver)

            async def one() -> int:
                run, tokens = new_run_id(), 0
                await runs.create(run=run, thread=run, task=QUESTION, repo="", request_json="{}")
                async for chunk, _ in compiled.astream(
                    {"task": QUESTION},
                    {"configurable": {"thread_id": run}},
                    stream_mode="messages",
                    durability="sync",
                ):
                    if isinstance(chunk, AIMessageChunk) and chunk.content:
                        tokens += 1
                        log.post(run, 1, TextStreamed(call="c", role="responder", text=str(chunk.content)))
                await log.flush()
                return tokens

            total = sum(await asyncio.gather(*(one() for _ in range(RUNS))))
            await log.aclose()
            return total


CONTENDERS: dict[str, Callable[[str], Awaitable[int]]] = {
    "floor": floor,
    "corral": corral,
    "langgraph+chatollama": chatollama,
}


async def measure(name: str, url: str) -> float:
    """Microseconds of CPU a token, after one warm-up."""
    await CONTENDERS[name](url)
    before = cpu_seconds()
    tokens = await CONTENDERS[name](url)
    return 1e6 * (cpu_seconds() - before) / tokens


def main() -> str:
    """The table."""
    server = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.streaming", "--serve"], stdout=subprocess.PIPE, text=True
    )
    try:
        assert server.stdout is not None
        url = server.stdout.readline().strip()

        def run(name: str) -> float:
            command = [sys.executable, "-m", "benchmarks.streaming", "--contender", name, url]
            return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)

        figures = interleaved({name: (lambda name=name: run(name)) for name in CONTENDERS}, ROUNDS)
    finally:
        server.terminate()
        server.wait()
    lines = ["| contender | µs CPU a token | over the floor |", "|---|---|---|"]
    lines += [
        f"| {name} | {summary(values)} | {summary(ratios(values, figures['floor']))} |"
        for name, values in figures.items()
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--serve"]:
        asyncio.run(serve())
    elif sys.argv[1:2] == ["--contender"]:
        print(asyncio.run(measure(sys.argv[2], sys.argv[3])))
    else:
        print(main())
