"""Owns `/api/embed` and `/api/embeddings`: vectors made from the text alone, of length 1."""

import asyncio
import hashlib
import math
import random
import struct
from http import HTTPStatus

from infrastructure.simulator.calls import BROKEN, BUSY, JSON
from infrastructure.simulator.exchange import Exchange
from infrastructure.simulator.filters import StopWords
from infrastructure.simulator.generation import Generation
from infrastructure.simulator.golang import Json, JsonObject, dump
from infrastructure.simulator.lookup import options_for
from infrastructure.simulator.models import Model
from infrastructure.simulator.names import parse_name
from infrastructure.simulator.options import Options
from infrastructure.simulator.reading import Fields, WireError, read_fields, read_keep_alive
from infrastructure.simulator.records import Outcome, RequestRecord
from infrastructure.simulator.runner import Job
from infrastructure.simulator.scheduler import Loaded, QueueFullError
from infrastructure.simulator.world import World

_TOO_LONG = "the input length exceeds the context length"
_NO_EMBEDDINGS = "This server does not support embeddings. Start it with `--embeddings`"


async def embed(world: World, exchange: Exchange) -> None:
    """`POST /api/embed`.

    Raises:
        WireError: it is refused.
    """
    fields = read_fields(exchange.request.body, "EmbedRequest")
    inputs = _inputs(fields.raw("input"))
    record, vectors, tokens = await _vectors(world, exchange, fields, inputs)
    if not inputs:
        exchange.answer(200, JSON, dump({"model": fields.text("model"), "embeddings": []}))
        return
    total = world.loop.time() - record.received_at
    loaded_in = record.slot_taken_at or record.received_at
    out: JsonObject = {
        "model": fields.text("model"),
        "embeddings": [*vectors],
        "total_duration": max(1, round(total * 1e9)),
        "load_duration": max(1, round((loaded_in - record.received_at) * 1e9)),
        "prompt_eval_count": tokens,
    }
    exchange.answer(200, JSON, dump(out))


async def embeddings(world: World, exchange: Exchange) -> None:
    """`POST /api/embeddings`, the old form with one prompt.

    Raises:
        WireError: it is refused.
    """
    fields = read_fields(exchange.request.body, "EmbeddingRequest")
    prompt = fields.text("prompt")
    if not fields.text("model"):
        raise WireError(400, "model is required")
    try:
        _, vectors, _ = await _vectors(world, exchange, fields, [prompt] if prompt else [])
    except WireError as error:
        if error.status == HTTPStatus.NOT_IMPLEMENTED:
            raise WireError(500, error.text) from error
        raise
    exchange.answer(200, JSON, dump({"embedding": vectors[0] if vectors else []}))


def vector(model: str, text: str, length: int) -> list[Json]:
    """A vector of length 1 that depends on model and text; texts that share words are nearer."""
    sums = [0.0] * length
    for word in text.split() or [""]:
        rng = random.Random(hashlib.sha256(f"{model}/{word}".encode()).digest())
        for index in range(length):
            sums[index] += rng.gauss(0, 1)
    norm = math.sqrt(sum(value * value for value in sums)) or 1.0
    return [_single(value / norm) for value in sums]


async def _vectors(
    world: World, exchange: Exchange, fields: Fields, inputs: list[str]
) -> tuple[RequestRecord, list[list[Json]], int]:
    asked = fields.text("model")
    record = world.record(exchange.request.path, asked, exchange.request.headers.get("x-request-id"))
    try:
        model = _model(world, asked)
        options = options_for(world, model, fields.mapping("options"))
        keep_alive = read_keep_alive(fields.raw("keep_alive"))
        try:
            loaded = await world.scheduler.acquire(model, options.load, keep_alive)
        except QueueFullError as error:
            raise WireError(503, BUSY) from error
        try:
            texts = [_fitting(text, model, options, fields) for text in inputs]
            _check_able(world, model, texts)
            await _evaluate(world, exchange, loaded, record, texts)
        finally:
            world.scheduler.release(loaded)
        record.outcome = Outcome.DONE
    except asyncio.CancelledError:
        record.outcome = Outcome.CANCELLED
        raise
    except WireError as error:
        failed = error.status == HTTPStatus.INTERNAL_SERVER_ERROR
        record.outcome, record.status = (Outcome.FAILED if failed else Outcome.REFUSED), error.status
        raise
    finally:
        record.ended_at = world.loop.time()
        world.truth.noted()
    made = [vector(model.weights, text, model.spec.embedding_length) for text in texts]
    return record, made, sum(model.tokenizer.count(text) for text in texts)


async def _evaluate(world: World, exchange: Exchange, loaded: Loaded, record: RequestRecord, texts: list[str]) -> None:
    """Let the runner read each text; each takes a slot of its own for that long."""
    jobs = [_job(world, loaded, record, text) for text in texts]

    def leave() -> None:
        record.left_at = world.loop.time()
        for job, _ in jobs:
            loaded.runner.cancel(job)

    exchange.on_leave = leave
    for job, _ in jobs:
        loaded.runner.submit(job)
    await asyncio.gather(*(over for _, over in jobs))


def _job(world: World, loaded: Loaded, record: RequestRecord, text: str) -> tuple[Job, asyncio.Future[None]]:
    over: asyncio.Future[None] = world.loop.create_future()
    generation = Generation(
        prompt=text,
        prompt_tokens=loaded.runner.model.tokenizer.count(text),
        tokens=iter(()),
        limit=1,
        stop=StopWords(()),
        guard=None,
        sink=_Nowhere(),
        tokenizer=loaded.runner.model.tokenizer,
    )

    def settle() -> None:
        if not over.done():
            over.set_result(None)

    def lose(_: bool) -> None:
        if not over.done():
            over.set_exception(WireError(500, BROKEN))

    job = Job(
        generation,
        record,
        on_over=settle,
        on_lost=lose,
    )
    return job, over


class _Nowhere:
    def piece(self, text: str, token: str) -> None:
        """An embedding says nothing."""


def _inputs(value: Json) -> list[str]:
    if value is None or value == "":
        return []
    if isinstance(value, str):
        return [value]
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return [item for item in value if isinstance(item, str)]
    raise WireError(400, "invalid input type")


def _model(world: World, asked: str) -> Model:
    if not asked:
        raise WireError(404, "model '' not found")
    name = parse_name(asked)
    model = world.models.find(name) if name else None
    if model is None:
        raise WireError(404, f'model "{asked}" not found, try pulling it first')
    return model


def _check_able(world: World, model: Model, texts: list[str]) -> None:
    if texts and not model.spec.pooling and not world.version.text_models_embed:
        raise WireError(501, _NO_EMBEDDINGS)


def _fitting(text: str, model: Model, options: Options, fields: Fields) -> str:
    num_ctx = options.load.num_ctx
    if model.tokenizer.count(text) <= num_ctx:
        return text
    if fields.flag("truncate") is False:
        raise WireError(400, _TOO_LONG)
    return model.tokenizer.decode(model.tokenizer.encode(text)[:num_ctx])


def _single(value: float) -> float:
    """The nearest number of single precision, short."""
    (rounded,) = struct.unpack("f", struct.pack("f", value))
    return float(f"{rounded:.8g}")
