"""Owns `/api/chat` and `/api/generate`: from the request through scheduler and slot to the last object."""

import asyncio
from dataclasses import replace
from http import HTTPStatus

from infrastructure.simulator.asks import Ask, check_raw, read_chat, read_generate
from infrastructure.simulator.brains import Question, SchemaError
from infrastructure.simulator.calls import (
    BROKEN,
    BUSY,
    JSON,
    Call,
    RunnerLostError,
    answer_late,
    end_with_error,
    suffer,
)
from infrastructure.simulator.dialects import Dialect, Final
from infrastructure.simulator.exchange import Exchange
from infrastructure.simulator.filters import Delta, RepeatGuard, StopWords
from infrastructure.simulator.finishing import finish, limit_of
from infrastructure.simulator.generation import Generation
from infrastructure.simulator.golang import JsonObject, dump
from infrastructure.simulator.lookup import check_capable, model_for, options_for
from infrastructure.simulator.prompts import Prompt, fitted, rendered
from infrastructure.simulator.reading import WireError, read_format
from infrastructure.simulator.records import Outcome, RequestRecord
from infrastructure.simulator.runner import Job
from infrastructure.simulator.scheduler import Loaded, QueueFullError
from infrastructure.simulator.sinks import Answer, Pipeline
from infrastructure.simulator.toxics import Fault, FaultKind
from infrastructure.simulator.world import World

_LOST = "llama runner process no longer running: -1 "
_CONVERSION = "Field 'json_schema': \"json_schema\": JSON schema conversion failed:\nJSON schema error at #:"
_BAD_SCHEMA: JsonObject = {"code": 400, "message": "", "type": "invalid_request_error"}
_IMAGES = (
    '{"error":{"code":400,"message":"Multimodal data provided, but model does not support multimodal requests.",'
    '"type":"invalid_request_error"}}'
)


async def complete(world: World, exchange: Exchange, *, chat: bool) -> None:
    """Answer a chat or generate request.

    Raises:
        WireError: it is refused.
    """
    ask = read_chat(exchange.request.body) if chat else read_generate(exchange.request.body)
    route = exchange.request.path
    record = world.record(route, ask.model, exchange.request.headers.get("x-request-id"))
    try:
        await _complete(world, exchange, ask, record)
        if record.outcome is Outcome.RUNNING:
            record.outcome = Outcome.DONE
    except asyncio.CancelledError:
        record.outcome = Outcome.CANCELLED
        raise
    except WireError as error:
        record.outcome = Outcome.REFUSED if error.status < HTTPStatus.INTERNAL_SERVER_ERROR else Outcome.FAILED
        if error.status == HTTPStatus.SERVICE_UNAVAILABLE:
            record.outcome = Outcome.REFUSED
        record.status = error.status
        if error.late and ask.stream and not exchange.begun:
            answer_late(exchange, error)
        else:
            raise
    finally:
        record.ended_at = world.loop.time()
        record.status = exchange.status or record.status
        world.truth.noted()


async def _complete(world: World, exchange: Exchange, ask: Ask, record: RequestRecord) -> None:
    model = model_for(world, ask)
    dialect = Dialect(chat=ask.chat, model=ask.model, rng=world.rng(record.number), native=model.native)
    if ask.empty and ask.keep_alive == 0:
        world.scheduler.expire(model)
        _answer_empty(world, exchange, dialect, "unload")
        return
    check_raw(ask)
    check_capable(world, ask, model)
    if world.settings.always_truncates:
        ask = replace(ask, truncate=True)
    options = options_for(world, model, ask.options, ask.shift)
    record.seed = options.seed
    fault, exchange.fault = exchange.fault or world.faults.take(model.name.key), None
    if fault is not None and fault.kind is FaultKind.BUSY:
        raise WireError(503, BUSY)
    call = Call(world, exchange, ask, model, options, record, dialect, fault)
    exchange.on_leave = call.note_leaving
    while True:
        try:
            await _with_runner(call)
        except RunnerLostError as lost:
            if lost.working:
                end_with_error(call, BROKEN)
                return
            if not world.version.child_server:
                raise WireError(500, _LOST, late=True) from lost
            call.renew()
            continue
        return


async def _with_runner(call: Call) -> None:
    world, ask = call.world, call.ask
    try:
        loaded = await world.scheduler.acquire(call.model, call.options.load, ask.keep_alive)
    except QueueFullError as error:
        raise WireError(503, BUSY) from error
    call.loaded_in = world.loop.time() - call.record.received_at
    try:
        if ask.empty:
            _answer_empty(world, call.exchange, call.dialect, "load")
            return
        await _answer(call, loaded)
    finally:
        world.scheduler.release(loaded)


async def _answer(call: Call, loaded: Loaded) -> None:
    world, ask = call.world, call.ask
    text = rendered(ask, call.model, call.options, world.version)
    if ask.render_only:
        call.exchange.answer(200, JSON, call.dialect.rendered(world.clock.stamp(), text))
        return
    if ask.images and world.version.child_server and not call.model.spec.vision:
        raise WireError(400, _IMAGES, late=True)
    wanted = read_format(ask.format)
    prompt = fitted(text, ask, call.model, call.options, world.version)
    call.record.prompt_tokens = prompt.tokens
    call.record.truncated = _is_truncated(call, text, prompt)
    answer = _answer_of(call)
    job = Job(
        _generation(call, prompt, wanted, answer),
        call.record,
        on_over=call.settle,
        on_lost=call.lose,
    )
    call.job = job
    fault = await _run(call, loaded, job)
    if fault is not None:
        await suffer(call, fault, loaded, job)
    else:
        finish(call, answer, job, prompt)


def _is_truncated(call: Call, text: str, prompt: Prompt) -> bool:
    """Whether messages were left out of the prompt, or its middle was cut."""
    if prompt.text != text or not (call.ask.chat and call.ask.truncate):
        return prompt.text != text
    return text != rendered(replace(call.ask, truncate=False), call.model, call.options, call.world.version)


def _answer_of(call: Call) -> Answer:
    ask = call.ask
    return Answer(
        exchange=call.exchange,
        dialect=call.dialect,
        pipeline=Pipeline(
            thinking=call.model.can_think and ask.think is not False,
            tools=ask.conversation.tool_names,
            keep_calls=call.model.native,
        ),
        stream=ask.stream,
        shows_all=not ask.chat,
        logprobs=ask.top_logprobs if ask.logprobs else None,
        version=call.world.version,
        stamp=call.world.clock.stamp,
        fault=call.fault,
        strike=call.strike,
    )


def _generation(call: Call, prompt: Prompt, wanted: JsonObject | str | None, answer: Answer) -> Generation:
    options, native = call.options, call.model.native and call.world.version.child_server
    question = Question(
        model=call.model,
        prompt=prompt.text,
        messages=call.ask.conversation.messages,
        format=wanted,
        seed=call.world.settings.seed if options.seed < 0 else options.seed,
        wanted=options.num_predict if options.num_predict > 0 else None,
        temperature=options.temperature,
    )
    try:
        tokens = call.world.brains.answer(question)
    except SchemaError as error:
        raise WireError(
            400, dump({"error": {**_BAD_SCHEMA, "message": f"{_CONVERSION} {error}"}}).decode(), late=True
        ) from error
    return Generation(
        prompt=prompt.text,
        prompt_tokens=prompt.tokens,
        tokens=tokens,
        limit=limit_of(call, prompt),
        stop=StopWords(options.stop),
        guard=None if native else RepeatGuard(),
        sink=answer,
        tokenizer=call.model.tokenizer,
    )


async def _run(call: Call, loaded: Loaded, job: Job) -> Fault | None:
    """Let the runner work; whatever ends it, the job is off the runner afterwards."""
    runner = loaded.runner

    def leave() -> None:
        call.note_leaving()
        (runner.leave if call.ask.stream else runner.cancel)(job)

    def pause(paused: bool) -> None:
        if paused:
            job.blocked = True
        else:
            runner.unblock(job)

    call.exchange.on_leave = leave
    if call.ask.stream:
        call.exchange.on_pause = pause
        job.blocked = call.exchange.paused
    runner.submit(job)
    try:
        return await call.over
    except asyncio.CancelledError:
        runner.cancel(job)
        raise


def _answer_empty(world: World, exchange: Exchange, dialect: Dialect, reason: str) -> None:
    exchange.answer(200, JSON, dialect.last(world.clock.stamp(), Delta(), Final(done=True, reason=reason)))
