"""Counting calls: what is counted of which, and that no caller can make series without end."""

from __future__ import annotations

from dataclasses import replace

from infrastructure.pool.calls import Reply
from infrastructure.pool.observing import CallEnd
from infrastructure.pool.states import Band, CallState
from infrastructure.telemetry import names
from infrastructure.telemetry.calls import CallMetrics
from infrastructure.transport.messages import Metrics

METRICS = Metrics(total_ns=3 * 10**9, prompt_tokens=100, prompt_ns=10**9, completion_tokens=50, decode_ns=2 * 10**9)


def end(model: str = "m:latest", state: CallState = CallState.DONE, server: str | None = "gpu0") -> CallEnd:
    reply = Reply(text="x", metrics=METRICS, model=model, server="gpu0", first_byte_seconds=1.0, cached_tokens=40)
    return CallEnd(
        operation="chat", model=model, lane=model, server=server, band=Band.INTERACTIVE, state=state,
        queued_seconds=2.0, seconds=5.5, reply=reply if state is CallState.DONE else None,
    )  # fmt: skip


def told(metrics: CallMetrics) -> dict[tuple[str, ...], float]:
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in metrics.families()
        for sample in family.samples
        if "_bucket" not in sample.name
    }


def test_answered_call_fills_every_histogram() -> None:
    metrics = CallMetrics({"gpu0": "127.0.0.1:11434"})
    metrics.ended(end())
    seen, call = told(metrics), ("chat", "ollama", "m:latest", "127.0.0.1:11434")
    assert seen["gen_ai_client_operation_duration_seconds_sum", *call, ""] == 3.5
    assert seen["gen_ai_client_token_usage_tokens_sum", *call, "input"] == 100
    assert seen["gen_ai_client_token_usage_tokens_sum", *call, "output"] == 50
    assert seen["gen_ai_client_operation_time_to_first_chunk_seconds_sum", *call] == 1.0
    assert seen["gen_ai_client_operation_time_per_output_chunk_seconds_sum", *call] == 0.04
    assert seen["corral_pool_wait_seconds_sum", "interactive"] == 2.0
    assert seen["corral_first_token_seconds_sum", "interactive"] == 3.0
    assert seen["corral_prompt_cached_tokens_total", "m:latest"] == 40
    assert seen["corral_prompts_doubted_total", "m:latest"] == 0


def test_a_prompt_that_was_not_read_whole_is_counted() -> None:
    metrics, call = CallMetrics({}), end()
    assert call.reply is not None
    metrics.ended(replace(call, reply=replace(call.reply, doubted=True)))
    assert told(metrics)["corral_prompts_doubted_total", "m:latest"] == 1


def test_failed_call_has_a_duration_and_a_type_and_one_that_never_was_placed_only_a_wait() -> None:
    metrics = CallMetrics({})
    metrics.ended(end(state=CallState.FAILED))
    metrics.ended(end(state=CallState.FAILED, server=None))
    seen = told(metrics)
    assert seen["gen_ai_client_operation_duration_seconds_count", "chat", "ollama", "m:latest", "gpu0", "failed"] == 1
    assert seen["corral_pool_wait_seconds_count", "interactive"] == 2
    assert not any(name.startswith("gen_ai_client_token") for name, *_ in seen)


def test_models_without_end_become_one_series() -> None:
    metrics = CallMetrics({})
    for number in range(150):
        metrics.ended(end(model=f"m{number}"))
    models = {labels[0] for name, *labels in told(metrics) if name == names.TOKENS}
    assert len(models) == 101
    assert "other" in models


def test_names_of_the_conventions_are_written_as_prometheus_does() -> None:
    assert names.prometheus_name(names.OPERATION_DURATION, "s") == "gen_ai_client_operation_duration_seconds"
    assert names.prometheus_name(names.TOKEN_USAGE, "{token}") == "gen_ai_client_token_usage_tokens"
    assert names.prometheus_name(names.REQUEST_MODEL) == "gen_ai_request_model"
    assert names.DURATION_BUCKETS[-1] == 1310.72
