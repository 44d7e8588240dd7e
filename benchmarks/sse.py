"""CPU per streamed token of the whole path, from the Ollama server to clients that read server-sent events.

Contenders, each a fresh server process a round, in an order of its own each round, over a simulated server in another
process and with the clients in a third. What counts is the CPU time of the server process alone, by its own count;
every client must have got the whole answer.

- floor: asyncio streams and orjson on both sides, nothing kept.
- corral: `POST /api/v1/runs`, then the run's events: engine, pool, recorded calls, every event in SQLite before it is
  sent, a stream that could be gone on with from any event. Text is merged for up to 50 ms.
- langgraph: the same two nodes in plain LangGraph with ChatOllama, `stream_mode="messages"`, behind FastAPI and
  sse-starlette. Nothing is kept and nothing can be gone on with.

`python -m benchmarks.sse` prints the table. `--serve NAME URL` is one contender's server.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import sys
import tempfile
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import orjson
from typing_extensions import TypedDict

from benchmarks.hosting import Hosted, attend, hosted
from benchmarks.http1 import Connection, connected
from benchmarks.measuring import interleaved, ratios, summary

READERS = 8
TOKENS = 1500
TOKENS_PER_SECOND = 200
ROUNDS = 5
STRAGGLERS_SECONDS = 0.3
QUESTION = "What is a corral, at length?"
WARM_UP = "Say hello, shortly."
# Short words of letters: the simulator makes one token, and so one line, of each.
WORDS = ("".join(letters) for letters in itertools.product("abcdefghijkl", repeat=3))
ANSWERS = {QUESTION: " ".join(itertools.islice(WORDS, TOKENS)), WARM_UP: "Hello there, you."}


# ------------------------------------------------------------------------------------- the servers
async def serve_floor(url: str) -> None:
    """A byte pump with a parser in it."""
    host, _, port = url.removeprefix("http://").partition(":")

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        question = orjson.loads(await _body_of(reader))["task"]
        body = orjson.dumps({"model": "oracle", "messages": [{"role": "user", "content": question}]})
        above, asking = await asyncio.open_connection(host, int(port))
        head = f"POST /api/chat HTTP/1.1\r\nHost: {host}\r\nContent-Length: {len(body)}\r\n\r\n"
        asking.write(head.encode() + body)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n")
        while line := await above.readline():
            if line.startswith(b"{"):
                chunk = orjson.loads(line)
                if chunk["done"]:
                    break
                writer.write(b"data: %b\n\n" % orjson.dumps({"text": chunk["message"]["content"]}))
        for each in (writer, asking):
            each.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        port_here = server.sockets[0].getsockname()[1]
        await attend(url=f"http://127.0.0.1:{port_here}")


async def serve_corral(url: str) -> None:
    """The server as it is."""
    from backend.bootstrap import open_application  # noqa: PLC0415
    from backend.server import AsyncServerCore, listen  # noqa: PLC0415
    from infrastructure.config.settings import Paths, ServerSettings, Settings  # noqa: PLC0415

    with tempfile.TemporaryDirectory() as folder:
        (repo := Path(folder, "repo")).mkdir()
        settings = Settings(
            servers=(ServerSettings(url=url, slots=READERS),), model="oracle", paths=Paths(data=Path(folder, "data"))
        )
        core = AsyncServerCore(
            lambda: open_application(settings, verb="serve"), settings.serve, listener=listen("127.0.0.1", 0)
        )
        async with core:
            serving = asyncio.ensure_future(core.run_main_loop())
            await attend(url=core.address, token=(settings.paths.data / "token").read_text(), repo=str(repo))
            await core.handle_shutdown()
            await serving


class _State(TypedDict, total=False):
    task: str
    intent: str
    answer: str


async def serve_langgraph(url: str) -> None:
    """What one writes with the libraries."""
    import uvicorn  # noqa: PLC0415
    from fastapi import FastAPI  # noqa: PLC0415
    from langchain_ollama import ChatOllama  # noqa: PLC0415
    from langgraph.graph import END, START, StateGraph  # noqa: PLC0415
    from sse_starlette import EventSourceResponse  # noqa: PLC0415

    from backend.server import listen  # noqa: PLC0415

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
    compiled = graph.compile()
    app = FastAPI()

    async def events(task: str) -> AsyncGenerator[dict[str, str]]:
        async for chunk, about in compiled.astream({"task": task}, stream_mode="messages"):
            told = {"role": about["langgraph_node"], "text": str(chunk.content)}
            yield {"event": "token", "data": json.dumps(told)}

    @app.post("/")
    async def run(asked: dict[str, str]) -> EventSourceResponse:
        return EventSourceResponse(events(asked["task"]))

    listener = listen("127.0.0.1", 0)  # whoever comes before the server is ready waits
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, access_log=False))
    serving = asyncio.ensure_future(server.serve(sockets=[listener]))
    await attend(url=f"http://127.0.0.1:{listener.getsockname()[1]}")
    server.should_exit = True
    await serving


SERVERS: dict[str, Callable[[str], Awaitable[None]]] = {
    "floor": serve_floor,
    "corral": serve_corral,
    "langgraph+chatollama+sse-starlette": serve_langgraph,
}


# ------------------------------------------------------------------------------------- the clients
async def read(server: Hosted, question: str) -> None:
    """Ask a server and read to the end; the answer must be whole."""
    address, token = server.said["url"], server.said.get("token")
    async with AsyncExitStack() as stack:
        if token is None:
            connection = await stack.enter_async_context(connected(address))
            text = await _text(connection.lines("POST", "/", json.dumps({"task": question}).encode()))
        else:
            connection = await stack.enter_async_context(connected(address, {"Authorization": f"Bearer {token}"}))
            text = await _text_of_run(connection, question, server.said["repo"])
    assert text == ANSWERS[question], f"{len(text)} characters of {len(ANSWERS[question])}"


async def _text_of_run(connection: Connection, question: str, repo: str) -> str:
    status, body = await connection.ask("POST", "/api/v1/runs", json.dumps({"task": question, "repo": repo}).encode())
    assert status == 201, body
    return await _text(connection.lines("GET", f"/api/v1/runs/{json.loads(body)['run']}/events"))


async def _text(lines: AsyncGenerator[bytes]) -> str:
    parts: list[str] = []
    async for line in lines:
        if line.startswith(b"data: "):
            event = orjson.loads(line[6:])
            if event.get("role", "responder") == "responder" and event.get("kind", "call.text") == "call.text":
                parts.append(event.get("text", ""))
    return "".join(parts)


async def _body_of(reader: asyncio.StreamReader) -> bytes:
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    return await reader.readexactly(int(head.partition(b"content-length:")[2].split(b"\r\n")[0]))


async def measure(name: str) -> float:
    """Microseconds of the server's CPU a token, after a warm-up."""
    with tempfile.TemporaryDirectory() as folder:
        tasks = Path(folder, "tasks.jsonl")
        known = [{"id": name, "prompt": name, "kind": "question", "answer": text} for name, text in ANSWERS.items()]
        tasks.write_text("".join(json.dumps(each) + "\n" for each in known))
        simulated = {
            "tasks": str(tasks),
            "num_parallel": READERS,
            "num_ctx": 32768,
            "load_seconds": 0,
            "prefill_tokens_per_second": 1e6,
            "decode_tokens_per_second": TOKENS_PER_SECOND,
            "decode_slowdown": 0,
        }
        async with (
            hosted("benchmarks.hosting", json.dumps(simulated)) as ollama,
            hosted("benchmarks.sse", "--serve", name, ollama.said["url"]) as server,
        ):
            await asyncio.gather(*(read(server, WARM_UP) for _ in range(READERS)))
            before = await server.cpu_seconds()
            await asyncio.gather(*(read(server, QUESTION) for _ in range(READERS)))
            await asyncio.sleep(STRAGGLERS_SECONDS)
            return 1e6 * (await server.cpu_seconds() - before) / (READERS * TOKENS)


def main() -> str:
    """The table."""
    figures = interleaved({name: (lambda name=name: asyncio.run(measure(name))) for name in SERVERS}, ROUNDS)
    lines = ["| server | µs CPU a token | over the floor | over corral |", "|---|---|---|---|"]
    lines += [
        f"| {name} | {summary(values)} | {summary(ratios(values, figures['floor']))} "
        f"| {summary(ratios(values, figures['corral']))} |"
        for name, values in figures.items()
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--serve"]:
        from backend.looping import run_in_loop

        run_in_loop(lambda: SERVERS[sys.argv[2]](sys.argv[3]))
    else:
        print("Streaming to SSE clients\n\n" + main())
