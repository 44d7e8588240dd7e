"""What the calls of a pool took, as histograms and counters.

Owns the counting. One `CallMetrics` observes one pool; its families are read together with the snapshot's figures.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client import Counter, Histogram
from prometheus_client.core import Metric

from infrastructure.telemetry import names

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from infrastructure.pool.calls import Reply
    from infrastructure.pool.observing import CallEnd

_MODELS_KEPT = 100
_OTHER = "other"
"""Stands for every further model, since each one makes some sixty series."""

_CALL = tuple(
    names.prometheus_name(each)
    for each in (names.OPERATION_NAME, names.PROVIDER_NAME, names.REQUEST_MODEL, names.SERVER_ADDRESS)
)


class CallMetrics:
    """Counts each call that ends; see `CallObserver`."""

    def __init__(self, addresses: Mapping[str, str]) -> None:
        """Counters at 0.

        Args:
            addresses: host and port of each server, by its label.
        """
        self._addresses = addresses
        self._models: set[str] = set()
        self._wait = _histogram(
            names.WAIT_SECONDS,
            "Wait in the pool's queue, of calls that ended however.",
            ("band",),
            names.DURATION_BUCKETS,
        )
        self._first = _histogram(
            names.FIRST_TOKEN_SECONDS, "From the call to its first token, the queue included.", ("band",),
            names.DURATION_BUCKETS,
        )  # fmt: skip
        self._duration = _histogram(
            names.prometheus_name(names.OPERATION_DURATION, "s"),
            "From sending to the end: the server's queue, load, prompt, answer.",
            (*_CALL, names.prometheus_name(names.ERROR_TYPE)),
            names.DURATION_BUCKETS,
        )
        self._usage = _histogram(
            names.prometheus_name(names.TOKEN_USAGE, "{token}"),
            "Tokens of a prompt or an answer.",
            (*_CALL, names.prometheus_name(names.TOKEN_TYPE)),
            names.TOKEN_BUCKETS,
        )
        self._chunk_first = _histogram(
            names.prometheus_name(names.TIME_TO_FIRST_CHUNK, "s"),
            "From sending to the first chunk.",
            _CALL,
            names.DURATION_BUCKETS,
        )
        self._chunk = _histogram(
            names.prometheus_name(names.TIME_PER_OUTPUT_CHUNK, "s"),
            "Seconds a token of the answer, by the server's word.",
            _CALL,
            names.CHUNK_BUCKETS,
        )
        self._tokens = Counter(
            names.TOKENS.removesuffix("_total"), "Tokens, by model and type.", ("model", "type"), registry=None
        )
        self._cached = Counter(
            names.CACHED_TOKENS.removesuffix("_total"),
            "Prompt tokens that were in a server's cache, estimated.",
            ("model",),
            registry=None,
        )
        self._doubted = Counter(
            names.DOUBTED.removesuffix("_total"),
            "Prompts that a server cannot have read whole, by its own count.",
            ("model",),
            registry=None,
        )

    def ended(self, end: CallEnd) -> None:
        """Count a call that is over."""
        self._wait.labels(end.band).observe(end.queued_seconds)
        if end.server is None:
            return
        model = self._known(end.model)
        call = (end.operation, names.PROVIDER, model, self._addresses.get(end.server, end.server))
        error = "" if end.reply is not None else end.state
        self._duration.labels(*call, error).observe(max(0.0, end.seconds - end.queued_seconds))
        if end.reply is not None:
            self._answered(end, end.reply, call)

    def families(self) -> Iterator[Metric]:
        """All of them, as they stand."""
        for each in (
            self._wait, self._first, self._duration, self._usage, self._chunk_first, self._chunk, self._tokens,
            self._cached, self._doubted,
        ):  # fmt: skip
            for family in each.collect():
                yield without_birthday(family)

    def _answered(self, end: CallEnd, reply: Reply, call: tuple[str, str, str, str]) -> None:
        metrics, model = reply.metrics, call[2]
        self._usage.labels(*call, "input").observe(metrics.prompt_tokens)
        self._tokens.labels(model, "input").inc(metrics.prompt_tokens)
        if end.operation == "embeddings":
            return
        self._first.labels(end.band).observe(end.queued_seconds + reply.first_byte_seconds)
        self._usage.labels(*call, "output").observe(metrics.completion_tokens)
        self._tokens.labels(model, "output").inc(metrics.completion_tokens)
        self._cached.labels(model).inc(reply.cached_tokens)
        self._doubted.labels(model).inc(int(reply.doubted))
        self._chunk_first.labels(*call).observe(reply.first_byte_seconds)
        if metrics.completion_tokens:
            self._chunk.labels(*call).observe(reply.decode_seconds / metrics.completion_tokens)

    def _known(self, model: str) -> str:
        if model not in self._models:
            if len(self._models) >= _MODELS_KEPT:
                return _OTHER
            self._models.add(model)
        return model


def _histogram(name: str, told: str, labels: Sequence[str], buckets: Sequence[float]) -> Histogram:
    return Histogram(name, told, labels, registry=None, buckets=buckets)


def without_birthday(family: Metric) -> Metric:
    """Without the series that tell when each was made: they double the page and nobody asks for them."""
    family.samples = [sample for sample in family.samples if not sample.name.endswith("_created")]
    return family
