"""Owns the JSON of answers: the objects that `/api/chat` and `/api/generate` stream, byte for byte."""

import random
import string
from collections.abc import Sequence
from dataclasses import dataclass

from infrastructure.simulator.filters import Delta
from infrastructure.simulator.golang import Json, JsonObject, dump
from infrastructure.simulator.templates import ToolUse
from infrastructure.simulator.version import Version

_LOWER = string.ascii_lowercase + string.digits
_MIXED = string.ascii_letters + string.digits
_UNLIKELY = -71.4375


@dataclass(frozen=True, slots=True)
class Metrics:
    """The figures of a final object; durations in nanoseconds, left out where 0."""

    total_duration: int
    load_duration: int
    prompt_eval_count: int
    prompt_eval_duration: int
    eval_count: int
    eval_duration: int

    def fields(self) -> JsonObject:
        """As they stand in the object."""
        pairs = (
            ("total_duration", self.total_duration),
            ("load_duration", self.load_duration),
            ("prompt_eval_count", self.prompt_eval_count),
            ("prompt_eval_duration", self.prompt_eval_duration),
            ("eval_count", self.eval_count),
            ("eval_duration", self.eval_duration),
        )
        return {name: value for name, value in pairs if value}


@dataclass(frozen=True, slots=True)
class Final:
    """What an answer's last object carries beyond its text."""

    done: bool
    reason: str
    metrics: Metrics | None = None
    context: Sequence[int] | None = None
    logprobs: Sequence[Json] = ()


class Dialect:
    """The objects of one answer."""

    def __init__(self, *, chat: bool, model: str, rng: random.Random, native: bool) -> None:
        self._chat = chat
        self._model = model
        self._rng = rng
        self._native = native
        self._calls = 0
        self._cache: dict[str, bytes] = {}
        self._before = b'{"model":%b,"created_at":"' % dump(model)
        opening = b'","message":{"role":"assistant","content":' if chat else b'","response":'
        self._opening = opening
        self._closing = b'},"done":false}\n' if chat else b',"done":false}\n'

    def chunk(self, stamp: str, delta: Delta, logprobs: Sequence[Json] = ()) -> bytes:
        """One line of a stream, not the last."""
        if delta.thinking or delta.tool_uses or logprobs:
            return dump(self._object(stamp, delta, Final(done=False, reason="", logprobs=logprobs))) + b"\n"
        content = self._cache.get(delta.content)
        if content is None:
            content = self._cache[delta.content] = dump(delta.content)
        return b"".join((self._before, stamp.encode(), self._opening, content, self._closing))

    def last(self, stamp: str, delta: Delta, final: Final) -> bytes:
        """The last object, or the only one, without a line feed."""
        return dump(self._object(stamp, delta, final))

    def rendered(self, stamp: str, prompt: str) -> bytes:
        """The answer to `_debug_render_only`."""
        text: JsonObject = {"message": {"role": "", "content": ""}} if self._chat else {"response": ""}
        head: JsonObject = {"model": self._model, "created_at": stamp}
        info: JsonObject = {"done": False, "_debug_info": {"rendered_template": prompt}}
        return dump(head | text | info)

    def _object(self, stamp: str, delta: Delta, final: Final) -> JsonObject:
        out: JsonObject = {"model": self._model, "created_at": stamp}
        calls: list[Json] = [self._call(use) for use in delta.tool_uses]
        if self._chat:
            message: JsonObject = {"role": "assistant", "content": delta.content}
            if delta.thinking:
                message["thinking"] = delta.thinking
            if calls:
                message["tool_calls"] = calls
            out["message"] = message
        else:
            out["response"] = delta.content
            if delta.thinking:
                out["thinking"] = delta.thinking
        out["done"] = final.done
        if final.reason:
            out["done_reason"] = final.reason
        return self._tail(out, calls, final)

    def _tail(self, out: JsonObject, calls: list[Json], final: Final) -> JsonObject:
        metrics = final.metrics.fields() if final.metrics else {}
        logprobs: JsonObject = {"logprobs": list(final.logprobs)} if final.logprobs else {}
        if self._chat:
            return out | logprobs | metrics
        if final.context is not None:
            out["context"] = list(final.context)
        if calls:
            metrics["tool_calls"] = calls
        return out | metrics | logprobs

    def _call(self, use: ToolUse) -> Json:
        index, self._calls = self._calls, self._calls + 1
        if self._native:
            number = "".join(self._rng.choices(_MIXED, k=32))
        else:
            number = "call_" + "".join(self._rng.choices(_LOWER, k=8))
        return {"id": number, "function": {"index": index, "name": use.name, "arguments": use.arguments}}


def logprob(token: str, others: int, version: Version) -> Json:
    """The entry of one token that the model was sure of, with `others` − 1 that it was not."""
    own: JsonObject = {"token": token, "logprob": 0, "bytes": list(token.encode())}
    if not others:
        return own
    choices: list[Json] = [dict(own)]
    for number in reversed(range(others - 1)):
        if version.child_server:
            choices.append({"token": chr(number), "logprob": _UNLIKELY, "bytes": [number]})
        else:
            choices.append({"token": "", "logprob": _UNLIKELY})
    own["top_logprobs"] = choices
    return own
