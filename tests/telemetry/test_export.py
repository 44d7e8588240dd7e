"""Runs and turns as a collector gets them: the whole application over a simulated server, a real OTLP receiver."""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from backend.bootstrap import Application, open_application
from infrastructure.config.settings import Settings, TelemetrySettings
from infrastructure.simulator import Fault
from infrastructure.tasks import TaskSpec
from infrastructure.telemetry import exporting as exporting_module
from infrastructure.telemetry.errors import TelemetryNotOpened
from infrastructure.telemetry.otel import opening
from infrastructure.telemetry.otel.outbox import Pace
from tests.backend.site import site_over
from tests.conversation.stack import called
from tests.conversation.stack import simulator as talker
from tests.conversation.test_application import settings_of as talking_settings
from tests.conversation.world import talk
from tests.engine.world import TASK, repository, settings_of, simulator
from tests.telemetry.receiver import Receiver, receiving

CLIENT = 3
"""A kind of span, as the protocol numbers it."""
ROOT = Path(__file__).parent.parent.parent


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as receiver:
        yield receiver


def telling(settings: Settings, endpoint: str | None, **more: object) -> Settings:
    return settings.model_copy(update={"telemetry": TelemetrySettings(endpoint=endpoint, **more)})


async def solve(app: Application, folder: Path, **more: object) -> str:
    """Have the known task solved; the run's id."""
    run = await app.engine.start(TaskSpec(task=TASK, repo=repository(folder / "repo"), no_input=True, **more))
    await app.engine.result(run)
    return str(run)


async def solved(folder: Path, endpoint: str | None, **more: object) -> str:
    """The same in an application that is opened for it, and has closed."""
    async with (
        simulator(folder) as server,
        open_application(telling(settings_of(folder, [server]), endpoint, **more)) as app,
    ):
        run = await solve(app, folder)
        assert (await app.runs.get(run)).status == "done"
    return run


# ------------------------------------------------------------------------------------------------------- a run
async def test_a_run_is_a_tree_of_its_steps_their_calls_and_the_tests_that_ran(tmp_path, receiver):
    run = await solved(tmp_path, receiver.url)
    root = receiver.the("invoke_workflow codegen")
    assert root.parent == ""
    assert {span.trace for span in receiver.spans} == {root.trace}
    assert root.attributes["corral.run.id"] == run
    assert (root.attributes["corral.run.status"], root.attributes["corral.run.exit_code"]) == ("done", 0)
    assert root.attributes["corral.simulated"] is True
    assert root.error is None
    paths = {receiver.path_of(span).removeprefix("invoke_workflow codegen / ") for span in receiver.spans}
    assert paths >= {
        "node take_snapshot",
        "invoke_agent intent / chat oracle",
        "node run_baseline / execute_tool run_tests",
        "invoke_agent planner / chat oracle",
        "invoke_agent coder / node write / chat oracle",
        "invoke_agent coder / node apply",
        "invoke_agent coder / node run_tests / execute_tool run_tests",
        "node choose",
        "invoke_agent reviewer / chat oracle",
        "node deliver",
    }
    for span in receiver.spans:
        assert span.start <= span.end
        assert root.start <= span.start
        assert span.end <= root.end


async def test_a_call_has_the_conventions_names_and_where_its_time_went(tmp_path, receiver):
    await solved(tmp_path, receiver.url)
    coder = next(span for span in receiver.named("chat oracle") if span.attributes["gen_ai.agent.name"] == "coder")
    told = coder.attributes
    assert coder.kind == CLIENT
    assert told["gen_ai.operation.name"] == "chat"
    assert told["gen_ai.provider.name"] == "ollama"
    assert (told["gen_ai.request.model"], told["gen_ai.response.model"]) == ("oracle", "oracle")
    assert told["gen_ai.response.finish_reasons"] == ["stop"]
    assert told["gen_ai.usage.input_tokens"] > 100
    assert told["gen_ai.usage.output_tokens"] > 5
    assert told["server.address"] == "127.0.0.1"
    assert isinstance(told["server.port"], int)
    assert {"corral.queue.seconds", "corral.load.seconds", "corral.prefill.seconds", "corral.decode.seconds"} <= set(
        told
    )
    assert [name for name, _ in coder.events] == ["corral.placed", "corral.waiting", "corral.first_token"]


async def test_a_repair_shows_as_a_second_attempt_of_the_candidate(tmp_path, receiver):
    async with (
        simulator(tmp_path, first_time_right=0.0) as server,
        open_application(telling(settings_of(tmp_path, [server]), receiver.url)) as app,
    ):
        await solve(app, tmp_path)
    candidate = receiver.the("invoke_agent coder")
    assert candidate.attributes["corral.candidate.outcome"] == "done"
    assert candidate.attributes["corral.attempts"] == 2
    ran = [
        span for span in receiver.named("execute_tool run_tests") if span.attributes["corral.tests.suite"] == "judge"
    ]
    assert [(each.attributes["corral.attempt"], each.attributes["corral.tests.failed"]) for each in ran][1:] == [
        (1, 1),
        (2, 0),
    ]
    assert "invoke_agent coder / invoke_agent debugger / chat oracle" in {
        receiver.path_of(span).removeprefix("invoke_workflow codegen / ") for span in receiver.spans
    }


async def test_neither_the_task_nor_code_nor_a_path_is_sent(tmp_path, receiver):
    await solved(tmp_path, receiver.url)
    everything = b"".join(receiver.bodies)
    for text in (TASK, "return a + b", "import unittest", str(tmp_path), "calc.py", "Do what the task"):
        assert text.encode() not in everything


async def test_a_run_that_failed_is_marked_and_a_call_that_failed_by_the_class_of_its_error(tmp_path, receiver):
    async with (
        simulator(tmp_path, fault=Fault(kind="error")) as server,
        open_application(telling(settings_of(tmp_path, [server]), receiver.url)) as app,
    ):
        await solve(app, tmp_path)
    root = receiver.the("invoke_workflow codegen")
    assert root.attributes["corral.run.status"] == "error"
    assert root.error == root.attributes["error.type"] == "ServerFailed"
    assert {span.error for span in receiver.named("chat oracle")} == {"ServerFailed"}


async def test_a_run_that_goes_on_in_another_process_goes_on_in_the_same_trace(tmp_path, receiver):
    async with simulator(tmp_path) as server:
        settings = telling(settings_of(tmp_path, [server]), receiver.url)
        async with open_application(settings) as app:
            run = await app.engine.start(
                TaskSpec(task=TASK, repo=repository(tmp_path / "repo"), no_input=True, approve=("plan",))
            )
            await app.engine.result(run)
        first = receiver.the("invoke_workflow codegen")
        assert first.attributes["corral.run.status"] in ("interrupted", "needs_input")
        async with open_application(settings) as app:
            await app.engine.resume(run)
            (asked,) = await app.approvals.pending(run)
            assert asked is not None
    assert {span.trace for span in receiver.spans} == {first.trace}
    executions = [span.attributes.get("corral.run.execution") for span in receiver.named("invoke_workflow codegen")]
    assert executions[:2] == [1, 2]


async def test_runs_are_sampled_as_wholes(tmp_path, receiver):
    await solved(tmp_path, receiver.url, sampling=0.0)
    assert receiver.spans == []
    assert "gen_ai.client.operation.duration" in receiver.metrics


# --------------------------------------------------------------------------------------------------- a session
async def test_a_turn_of_a_session_is_a_tree_of_agents_calls_and_tools(tmp_path, receiver):
    read = called("read_file", '{"path": "a.py"}')
    work = tmp_path / "work"
    work.mkdir()
    (work / "a.py").write_text("secret = 'nobody else may see it'\n")
    async with talker(read, "It is a secret.", "Hello.") as server:
        settings = telling(talking_settings(tmp_path, server.url), receiver.url)
        async with open_application(settings, verb="serve") as app:
            session = str((await app.sessions.create(workspace=str(work))).session)
            await talk(app.conversations.process_message(session, "Read a.py", "coder"))
            await talk(app.conversations.process_message(session, "Greet me", "coder"))
    first, second = sorted(receiver.named("invoke_workflow conversation"), key=lambda span: span.start)
    assert first.trace != second.trace
    assert {first.attributes["gen_ai.conversation.id"], second.attributes["gen_ai.conversation.id"]} == {session}
    inside = [receiver.path_of(span) for span in receiver.spans if span.trace == first.trace]
    assert sorted(path.removeprefix("invoke_workflow conversation / ") for path in inside) == [
        "execute_tool read_file",
        "invoke_agent coder",
        "invoke_agent coder",
        "invoke_agent coder / chat talker",
        "invoke_agent coder / chat talker",
        "invoke_workflow conversation",
    ]
    assert receiver.the("execute_tool read_file").attributes["gen_ai.tool.name"] == "read_file"
    assert b"secret" not in b"".join(receiver.bodies)


# ----------------------------------------------------------------------------------------------------- metrics
async def test_metrics_are_those_of_prometheus_under_the_conventions_names(tmp_path, receiver):
    async with simulator(tmp_path) as server:
        settings = telling(settings_of(tmp_path, [server]), receiver.url)
        async with site_over(settings, repository(tmp_path / "repo")) as site:
            run = await site.begin()
            await site.application.engine.result(run)
            page = (await site.client.get("/metrics")).text
    duration = receiver.metrics["gen_ai.client.operation.duration"]
    assert (duration.unit, duration.form) == ("s", "histogram")
    ((labels, (count, total, buckets, bounds)),) = duration.points
    assert labels["gen_ai.request.model"] == "oracle:latest"
    assert labels["server.address"] == "127.0.0.1"
    assert "error.type" not in labels
    assert count == sum(buckets) > 0
    assert len(buckets) == len(bounds) + 1
    assert bounds[0] == 0.01
    assert total > 0
    (line,) = (each for each in page.splitlines() if each.startswith("gen_ai_client_operation_duration_seconds_count"))
    assert line.endswith(f" {float(count)}")
    usage = receiver.metrics["gen_ai.client.token.usage"]
    assert usage.unit == "{token}"
    assert {labels["gen_ai.token.type"] for labels, _ in usage.points} == {"input", "output"}
    assert usage.points[0][1][3][:3] == (1.0, 4.0, 16.0)
    assert receiver.metrics["gen_ai.client.operation.time_to_first_chunk"].unit == "s"
    calls = receiver.metrics["corral_pool_calls"]
    assert calls.form == "sum"
    assert {labels["outcome"]: value for labels, value in calls.points}["done"] == count
    assert receiver.metrics["corral_pool_slots"].form == "gauge"
    assert receiver.metrics["corral_event_commit_seconds"].points[0][1][0] > 0
    told = {labels["subscriber"] for labels, _ in receiver.metrics["corral_bus_lag_seconds"].points}
    assert told >= {"metrics", "audit", "telemetry"}
    assert receiver.metrics["corral_bus_failures"].form == "sum"


async def test_what_is_sent_is_counted_on_the_page_of_metrics(tmp_path, receiver):
    async with simulator(tmp_path) as server:
        settings = telling(settings_of(tmp_path, [server]), receiver.url)
        async with site_over(settings, repository(tmp_path / "repo")) as site:
            run = await site.begin()
            await site.application.engine.result(run)
            await receiver.until_span("invoke_workflow codegen")
            page = (await site.client.get("/metrics")).text
    assert 'corral_telemetry_failures_total{signal="traces"} 0.0' in page
    assert 'corral_telemetry_lost_total{signal="traces"} 0.0' in page


# ------------------------------------------------------------------------------------------------ whose it is
async def test_requests_bear_the_settings_headers_and_nobody_elses(tmp_path, receiver, monkeypatch):
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer of-another-collector")
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "team=another")
    await solved(tmp_path, receiver.url, headers={"x-api-key": "mine"}, service_name="nightly")
    assert receiver.headers[0]["x-api-key"] == "mine"
    assert receiver.headers[0]["content-type"] == "application/x-protobuf"
    assert all("authorization" not in headers for headers in receiver.headers)
    assert receiver.resources[0]["service.name"] == "nightly"
    assert "team" not in receiver.resources[0]
    assert set(receiver.paths) == {"/v1/traces", "/v1/metrics"}


async def test_a_callers_trace_becomes_the_runs(tmp_path, receiver):
    trace, span = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
    async with simulator(tmp_path) as server:
        settings = telling(settings_of(tmp_path, [server]), receiver.url)
        async with site_over(settings, repository(tmp_path / "repo")) as site:
            site.client.headers["traceparent"] = f"00-{trace}-{span}-01"
            await site.application.engine.result(await site.begin())
            site.client.headers["traceparent"] = f"00-{trace}-{span}-00"
            await site.application.engine.result(await site.begin())
    root = receiver.the("invoke_workflow codegen")  # the second caller does not want to be sampled
    assert (root.trace, root.parent) == (trace, span)
    assert {each.trace for each in receiver.spans} == {trace}


# ------------------------------------------------------------------------------------- nothing, or not at once
async def test_without_an_endpoint_nothing_is_there_that_could_send(tmp_path):
    script = (
        "import asyncio, sys\n"
        "from pathlib import Path\n"
        "from backend.bootstrap import open_application\n"
        "from infrastructure.config.settings import Paths, Settings\n"
        "import backend.server, backend.cli.run\n"
        "async def main():\n"
        "    async with open_application(Settings(paths=Paths(data=Path(sys.argv[1])))) as app:\n"
        "        assert app.exporting is None\n"
        "        assert 'telemetry' not in [each.name for each in app.bus.standing()]\n"
        "        await app.figures.collected()\n"
        "asyncio.run(main())\n"
        "ours = ('infrastructure.telemetry.otel', 'opentelemetry.exporter', 'opentelemetry.proto', 'google.protobuf')\n"
        "print(sorted(name for name in sys.modules if name.startswith(ours)))\n"
    )
    environ = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"}
    done = await asyncio.create_subprocess_exec(
        sys.executable, "-c", script, str(tmp_path / "data"), cwd=ROOT, env=environ,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    said, complained = await done.communicate()
    assert (done.returncode, said.decode().strip()) == (0, "[]"), complained.decode()


async def test_the_environment_cannot_have_the_frameworks_own_telemetry_sent(tmp_path, monkeypatch):
    monkeypatch.setenv("FASTAPI_OTEL_AUTO_CONFIGURE", "true")
    async with receiving() as other, simulator(tmp_path) as server:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", other.url)
        async with site_over(settings_of(tmp_path, [server]), repository(tmp_path / "repo")) as site:
            assert (await site.client.get("/health/live")).status_code == 200
        assert other.paths == []


async def test_an_endpoint_without_the_extra_is_an_error_that_names_it(tmp_path, monkeypatch):
    for name in [name for name in sys.modules if name.startswith("infrastructure.telemetry.otel")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.resources", None)
    settings = telling(Settings(), "http://127.0.0.1:4318")
    with pytest.raises(TelemetryNotOpened) as caught:
        async with exporting_module.open_exporting(settings.telemetry, version="1", addresses={}):
            raise AssertionError("it was opened")
    assert "corral[otel]" in caught.value.hint


async def test_an_authority_that_cannot_be_read_is_an_error_that_names_it(tmp_path):
    settings = TelemetrySettings(endpoint="https://127.0.0.1:4318", ca_file=tmp_path / "gone.pem")
    with pytest.raises(TelemetryNotOpened, match=r"telemetry\.ca_file: .*gone\.pem cannot be read"):
        async with exporting_module.open_exporting(settings, version="1", addresses={}):
            raise AssertionError("it was opened")


async def test_a_run_is_unharmed_by_a_collector_that_is_down_which_is_told_once(tmp_path, caplog):
    async with receiving() as receiver:
        gone = receiver.url
    with caplog.at_level(logging.WARNING):
        await solved(tmp_path, gone, metrics_seconds=0.05)
    told = [record.getMessage() for record in caplog.records if "telemetry" in record.getMessage()]
    assert len(told) == 1
    assert told[0].startswith(f"telemetry: the collector at {gone} cannot be reached")


async def test_neither_a_run_nor_closing_waits_for_a_collector_that_never_answers(tmp_path, receiver, monkeypatch):
    monkeypatch.setattr(opening, "PACE", Pace(flush=0.05))
    receiver.answer = None
    async with asyncio.timeout(60):  # one request alone may take ten minutes here
        await solved(tmp_path, receiver.url, timeout_seconds=600)
    assert receiver.paths
    assert receiver.spans == []
