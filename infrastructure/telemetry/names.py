"""Every name under which something is measured: our own, and those of OpenTelemetry's conventions for generative AI.

Owns the names. The conventions are still in development (opentelemetry.io/docs/specs/semconv/gen-ai), so they are
written here and nowhere else. Labels never hold run ids, prompts, clients or paths: each new value of a label is a new
series for ever.
"""

from __future__ import annotations

# ------------------------------------------------------------------------------------------------- the pool
QUEUE_DEPTH = "corral_pool_queue_depth"
OLDEST_WAIT = "corral_pool_oldest_wait_seconds"
WAIT_SECONDS = "corral_pool_wait_seconds"
FIRST_TOKEN_SECONDS = "corral_first_token_seconds"
IN_FLIGHT = "corral_pool_in_flight"
CALLS = "corral_pool_calls_total"
LOADS = "corral_pool_loads_total"
RELOADS = "corral_pool_reloads_total"
TOKENS = "corral_tokens_total"
CACHED_TOKENS = "corral_prompt_cached_tokens_total"
DOUBTED = "corral_prompts_doubted_total"
SLOTS = "corral_pool_slots"
SLOTS_KNOWN = "corral_pool_slots_known"
PLACES = "corral_pool_places"
ENDPOINT_UP = "corral_pool_endpoint_up"
BREAKER = "corral_pool_breaker_state"
"""0 closed, 0.5 half open, 1 open."""
SERVER_WAIT = "corral_request_queue_seconds"
MODEL_LOAD = "corral_model_load_seconds"
PREFILL_SPEED = "corral_prefill_tokens_per_second"
DECODE_SPEED = "corral_decode_tokens_per_second"
FIRST_CHUNK = "corral_time_to_first_chunk_seconds"
MODEL_MEMORY = "corral_model_memory_bytes"

# ------------------------------------------------------------------------------------------- runs and streams
RUNS = "corral_runs"
SSE_CLIENTS = "corral_sse_clients"

# ------------------------------------------------------------------------------- events, the bus and the loop
EVENTS = "corral_events_total"
EVENT_COMMIT = "corral_event_commit_seconds"
BUS_LAG = "corral_bus_lag_seconds"
BUS_WORST_LAG = "corral_bus_worst_lag_seconds"
BUS_QUEUED = "corral_bus_queued"
BUS_BEHIND = "corral_bus_behind"
BUS_DELIVERED = "corral_bus_delivered_total"
BUS_FAILURES = "corral_bus_failures_total"
BUS_SKIPPED = "corral_bus_skipped_total"
BUS_CAUGHT_UP = "corral_bus_caught_up_total"
LOOP_LAG = "corral_loop_lag_seconds"
LOOP_WORST_LAG = "corral_loop_worst_lag_seconds"
TASKS = "corral_tasks"
TASK_FAILURES = "corral_task_failures_total"

# --------------------------------------------------------------------------------------------- conversations
SESSIONS = "corral_sessions"
APPROVALS_PENDING = "corral_approvals_pending"

# ------------------------------------------------------------------------------------- what goes to a collector
TELEMETRY_QUEUED = "corral_telemetry_queued"
TELEMETRY_SENT = "corral_telemetry_sent_total"
TELEMETRY_LOST = "corral_telemetry_lost_total"
TELEMETRY_FAILURES = "corral_telemetry_failures_total"

# --------------------------------------------------------------------------------- OpenTelemetry: instruments
OPERATION_DURATION = "gen_ai.client.operation.duration"
TOKEN_USAGE = "gen_ai.client.token.usage"
TIME_TO_FIRST_CHUNK = "gen_ai.client.operation.time_to_first_chunk"
TIME_PER_OUTPUT_CHUNK = "gen_ai.client.operation.time_per_output_chunk"

# ---------------------------------------------------------------------------------- OpenTelemetry: attributes
OPERATION_NAME = "gen_ai.operation.name"
PROVIDER_NAME = "gen_ai.provider.name"
REQUEST_MODEL = "gen_ai.request.model"
RESPONSE_MODEL = "gen_ai.response.model"
FINISH_REASONS = "gen_ai.response.finish_reasons"
TOKEN_TYPE = "gen_ai.token.type"
INPUT_TOKENS = "gen_ai.usage.input_tokens"
OUTPUT_TOKENS = "gen_ai.usage.output_tokens"
CONVERSATION_ID = "gen_ai.conversation.id"
AGENT_NAME = "gen_ai.agent.name"
WORKFLOW_NAME = "gen_ai.workflow.name"
TOOL_NAME = "gen_ai.tool.name"
TOOL_CALL = "gen_ai.tool.call.id"
SERVER_ADDRESS = "server.address"
SERVER_PORT = "server.port"
ERROR_TYPE = "error.type"

PROVIDER = "ollama"
"""No well-known value of the conventions, which allow others."""

# --------------------------------------------------------------------------------------- OpenTelemetry: spans
WORKFLOW = "invoke_workflow"
AGENT = "invoke_agent"
CHAT = "chat"
TOOL = "execute_tool"
NODE = "node"
APPROVAL = "approval"
"""The first word of a span's name; the first four are operations of the conventions too."""

FIRST_TOKEN = "corral.first_token"
PLACED = "corral.placed"
WAITING = "corral.waiting"
RESTARTED = "corral.restarted"
DOUBTED_PROMPT = "corral.prompt_doubted"
TRIMMED = "corral.prompt_trimmed"
REPLAYED = "corral.answer_replayed"
EDITS_APPLIED = "corral.edits_applied"
EDITS_REJECTED = "corral.edits_rejected"
BUDGET_SPENT = "corral.budget_spent"
ASKED = "corral.approval_asked"
STARTED = "corral.tool_started"
"""Events on a span."""

RUN_ID = "corral.run.id"
RUN_STATUS = "corral.run.status"
RUN_JUDGE = "corral.run.judge"
EXIT_CODE = "corral.run.exit_code"
EXECUTION = "corral.run.execution"
SIMULATED = "corral.simulated"
TURN_ID = "corral.turn.id"
TURN_OUTCOME = "corral.turn.outcome"
CORRELATION = "corral.correlation"
NODE_NAME = "corral.node"
CANDIDATE = "corral.candidate"
ROUND = "corral.round"
OUTCOME = "corral.candidate.outcome"
ATTEMPT = "corral.attempt"
ATTEMPTS = "corral.attempts"
CALL_ID = "corral.call.id"
ENDPOINT = "corral.pool.endpoint"
QUEUE_SECONDS = "corral.queue.seconds"
LOAD_SECONDS = "corral.load.seconds"
PREFILL_SECONDS = "corral.prefill.seconds"
DECODE_SECONDS = "corral.decode.seconds"
SECONDS = "corral.seconds"
LOADING = "corral.loading"
TOKENS_ESTIMATED = "corral.tokens.estimated"
BUDGET = "corral.budget"
FILES = "corral.files"
TOOL_PLACE = "corral.tool.place"
SUITE = "corral.tests.suite"
PASSED = "corral.tests.passed"
FAILED = "corral.tests.failed"
ERRORS = "corral.tests.errors"
SKIPPED = "corral.tests.skipped"
SANDBOX = "corral.sandbox"
GATE = "corral.approval.gate"
DECISION = "corral.approval.decision"
WAITED_SECONDS = "corral.approval.seconds"

# -------------------------------------------------------------------------------------------------- the scales
DURATION_BUCKETS = tuple(0.01 * 2**step for step in range(18))
"""Seconds: those that the conventions advise, and further, to 22 minutes: a call to a local model may take that."""
COMMIT_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
"""Seconds of a commit, and of a loop that is held up."""
CHUNK_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.015, 0.025, 0.05, 0.075, 0.1, 0.15, 0.25, 0.5, 1.0, 2.5)
"""Seconds a token."""
TOKEN_BUCKETS = tuple(float(4**step) for step in range(11))

UNITS = {
    OPERATION_DURATION: "s",
    TOKEN_USAGE: "{token}",
    TIME_TO_FIRST_CHUNK: "s",
    TIME_PER_OUTPUT_CHUNK: "s",
}
"""Of the conventions' instruments. Our own have their unit in their name."""
_SUFFIX = {"s": "_seconds", "{token}": "_tokens", "": ""}


def prometheus_name(name: str, unit: str = "") -> str:
    """A name of the conventions as Prometheus writes it, with the unit at its end.

    Args:
        name: with dots.
        unit: as OpenTelemetry writes it: "s", "{token}"; none for an attribute.
    """
    return name.replace(".", "_") + _SUFFIX[unit]


INSTRUMENTS = {prometheus_name(name, unit): (name, unit) for name, unit in UNITS.items()}
"""Name and unit of the conventions' instruments, by how Prometheus writes them."""
ATTRIBUTES = {
    prometheus_name(name): name
    for name in (OPERATION_NAME, PROVIDER_NAME, REQUEST_MODEL, SERVER_ADDRESS, ERROR_TYPE, TOKEN_TYPE)
}
"""The conventions' attributes of metrics, by how Prometheus writes them."""
