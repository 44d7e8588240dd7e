"""A simulated server whose model knows the few things that a suite of questions asks for, in a thread of its own."""

from __future__ import annotations

import asyncio
import json
import re
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from infrastructure.simulator import ModelSpec, Simulator, SimulatorSettings
from infrastructure.simulator.brains import Brains, Question

CLERK = ModelSpec(name="clerk", brain="schema")
MODELS = (CLERK, ModelSpec(name="other", text="something else"))

_CALLS = (
    (r"magic_function\((\d+)\)", "magic_function", lambda found: {"input": int(found[1])}),
    (r"magic_function_no_args\(\)", "magic_function_no_args", lambda found: {}),
    (
        r"customer named '(.+?)' \((.+?)\)",
        "unicode_customer",
        lambda found: dict(zip(_CUSTOMER, found.groups(), strict=True)),
    ),
    (r"weather in ([^?]+)\?", "get_weather", lambda found: {"location": found[1]}),
)
_CUSTOMER = ("customer_name", "description")


class Clerk(Brains):
    """Calls the tool that it is asked for, answers a tool's result with it, and greets whoever asks nothing it knows.

    With a grammar it says what it wants as far as the grammar allows it, and any instance of it where it does not.
    """

    def __init__(self, simulator: Simulator) -> None:
        super().__init__(simulator.settings, ())
        self.formats: list[Mapping[str, object] | str | None] = []

    def answer(self, question: Question) -> Iterator[str]:
        self.formats.append(question.format)
        if question.model.spec.brain != CLERK.brain:
            return super().answer(question)
        said = self._said(question)
        return super().answer(question) if said is None else iter(question.model.tokenizer.pieces(said))

    def _said(self, question: Question) -> str | None:
        last = question.messages[-1]
        call = _call(last.content) if last.role == "user" else None
        if question.format == "json":
            return json.dumps({"setup": "a cat", "punchline": "a hat"})
        if isinstance(question.format, dict):
            return None if call is None or not _allows(question.format, call["name"]) else json.dumps(call)
        if call is not None and call["name"] in question.prompt:
            return f"<tool_call>{json.dumps(call)}</tool_call>"
        return f"The tool says: {last.content}" if last.role == "tool" else "Hello, what can I do for you?"


def _call(asked: str) -> dict[str, object] | None:
    for pattern, name, arguments in _CALLS:
        if found := re.search(pattern, asked):
            return {"name": name, "arguments": arguments(found)}
    return None


def _allows(schema: Mapping[str, object], name: object) -> bool:
    choices = schema.get("anyOf", [schema])
    return any(choice.get("properties", {}).get("name", {}).get("const") == name for choice in choices)


@contextmanager
def clerk(models: Sequence[ModelSpec] = MODELS, **more: object) -> Iterator[Simulator]:
    """A started server in a loop of its own, so that synchronous code may ask it."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="clerk")
    thread.start()
    simulator = Simulator(SimulatorSettings(models=tuple(models), time_scale=0, num_parallel=4, **more))
    try:
        asyncio.run_coroutine_threadsafe(simulator.start(), loop).result()
        simulator.world.brains = Clerk(simulator)
        yield simulator
    finally:
        asyncio.run_coroutine_threadsafe(simulator.stop(), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
