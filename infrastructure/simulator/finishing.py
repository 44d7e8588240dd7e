"""Owns an answer's end: the last object, its figures, and how long an answer may be."""

from typing import assert_never

from infrastructure.simulator.calls import JSON, Call, end_with_error
from infrastructure.simulator.dialects import Final, Metrics
from infrastructure.simulator.generation import Ending
from infrastructure.simulator.prompts import Prompt
from infrastructure.simulator.runner import Job
from infrastructure.simulator.sinks import NDJSON, Answer

_HALF_CALL = 'llama-server returned invalid tool call arguments for "{}": unexpected end of JSON input'
_OPEN_ENDED = 10
"""An answer of no set length may be this many windows long."""


def finish(call: Call, answer: Answer, job: Job, prompt: Prompt) -> None:
    """Send the last object, or all of it.

    Raises:
        WireError: a native model's tool call is only half there.
    """
    if call.model.native and call.world.version.child_server and answer.half_call:
        end_with_error(call, _HALF_CALL.format(answer.half_call))
        return
    answer.finish()
    ending = job.generation.ending
    final = _final(call, answer, job, prompt)
    line = call.dialect.last(call.world.clock.stamp(), answer.last_delta(), final)
    if not call.ask.stream:
        call.exchange.answer(200, JSON, line)
        return
    if not call.exchange.begun:
        call.exchange.begin(200, NDJSON)
    if ending is not Ending.REPEATED:
        call.exchange.send(line + b"\n")
    call.exchange.end()


def _final(call: Call, answer: Answer, job: Job, prompt: Prompt) -> Final:
    ending = job.generation.ending
    logprobs = () if call.ask.stream else answer.logprobs
    match ending:
        case Ending.REPEATED:
            return Final(done=False, reason="", logprobs=logprobs)
        case Ending.STOP | Ending.LENGTH:
            context = None
            if not call.ask.chat and not call.ask.raw:
                context = call.model.tokenizer.encode(prompt.whole + "".join(answer.raw))
            return Final(
                done=True,
                reason=str(ending),
                metrics=_metrics(call, job),
                context=context,
                logprobs=logprobs,
            )
        case None:
            raise AssertionError("an answer ended without a reason")
        case _:
            assert_never(ending)


def _metrics(call: Call, job: Job) -> Metrics:
    """Durations that add up: what total − load − prompt − eval leaves is the wait for the slot."""
    loop_now = call.world.loop.time()
    one_short = job.generation.made == 1 and not call.world.version.one_token_has_duration
    return Metrics(
        total_duration=_nanoseconds(max(loop_now, job.decode_ended) - call.record.received_at),
        load_duration=_nanoseconds(call.loaded_in),
        prompt_eval_count=job.generation.prompt_tokens,
        prompt_eval_duration=_nanoseconds(job.prefill_ended - job.prefill_started),
        eval_count=job.generation.made,
        eval_duration=0 if one_short else _nanoseconds(job.decode_ended - job.prefill_ended),
    )


def limit_of(call: Call, prompt: Prompt) -> int:
    """Tokens after which the answer is cut."""
    num_ctx, version = call.options.load.num_ctx, call.world.version
    limit = _OPEN_ENDED * num_ctx
    if call.options.num_predict > 0:
        limit = min(limit, call.options.num_predict)
    if not call.options.load.shift:
        limit = min(limit, version.window(num_ctx) - prompt.tokens + version.window_grace)
    return max(1, limit)


def _nanoseconds(seconds: float) -> int:
    """At least a microsecond: a duration of 0 would be left out."""
    return max(1000, round(seconds * 1e6) * 1000)
