"""The way to the collector by itself: what is sent again, what is lost, what is said, and what a trace becomes."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse
from prometheus_client.core import GaugeMetricFamily

from infrastructure.config.settings import TelemetrySettings
from infrastructure.events import catalogue as events
from infrastructure.events.log import Stored
from infrastructure.ids import RunId
from infrastructure.telemetry.otel import opening, outbox
from infrastructure.telemetry.otel.outbox import Pace
from infrastructure.telemetry.otel.spans import KINDS
from infrastructure.telemetry.parents import KEPT, Parent, Parents, read_parent
from tests.telemetry.receiver import Receiver, receiving

START = datetime(2026, 7, 1, tzinfo=UTC)


class Log:
    """Hands events to spans as the bus does, a second apart."""

    def __init__(self, export: opening.Export) -> None:
        self.export, self.seq = export, 0

    async def hear(self, run: str, *told: events.Event, correlation: str = "") -> None:
        for event in told:
            self.seq += 1
            at = START + timedelta(seconds=self.seq)
            await self.export.hear(Stored(RunId(run), self.seq, at, 1, event, correlation=correlation))


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as receiver:
        yield receiver


BATCH = 2
QUICK = Pace(gather=0.01, first_pause=0.01, longest_pause=0.01)


def telling(url: str, pace: Pace = QUICK, **more: object):
    settings = TelemetrySettings(endpoint=url, **more)
    return opening.open_collector(settings, version="1", addresses={"gpu": "gpu1:11434"}, pace=pace)


FINISHED = events.RunFinished(status="done", judge="given", exit_code=0)


async def test_spans_of_a_time_without_a_collector_come_when_it_is_back(caplog):
    with caplog.at_level(logging.INFO):
        async with receiving() as receiver:
            receiver.answer = ("503 Service Unavailable", b"")
            async with telling(receiver.url) as export:
                await Log(export).hear("r", events.RunStarted(), FINISHED)
                await receiver.until(2)
                receiver.answer = ("200 OK", b"")
                await receiver.until_span("invoke_workflow codegen")
            tally = export.collector.tallies["traces"]
            assert (tally.sent, tally.lost) == (1, 0)
            assert tally.failures >= 2
    said = [(record.levelname, record.getMessage()) for record in caplog.records if "telemetry" in record.name]
    assert [level for level, _ in said] == ["WARNING", "INFO"]
    assert "says 503; work goes on without it" in said[0][1]
    assert "takes traces again" in said[1][1]


async def test_what_is_refused_is_not_sent_again_and_says_what_to_set(receiver, caplog):
    receiver.answer = ("401 Unauthorized", b"")
    async with telling(receiver.url) as export:
        log = Log(export)
        for run in ("a", "b"):
            await log.hear(run, events.RunStarted(), FINISHED)
            await receiver.until(len(receiver.paths) + 1)
    assert export.collector.tallies["traces"].lost == 2
    (said,) = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert said.endswith("refuses traces with status 401; set telemetry.headers; work goes on without it")


async def test_what_a_collector_did_not_take_of_a_request_is_counted(receiver):
    partly = ExportTraceServiceResponse()
    partly.partial_success.rejected_spans = 1
    receiver.answer = ("200 OK", partly.SerializeToString())
    async with telling(receiver.url) as export:
        log = Log(export)
        for run in ("a", "b", "c"):
            await log.hear(run, events.RunStarted(), FINISHED)
    tally = export.collector.tallies["traces"]
    assert (tally.sent, tally.lost) == (2, 1)


async def test_an_answer_that_is_no_protobuf_counts_as_taken(receiver):
    receiver.answer = ("200 OK", b"\xff" * 50)
    async with telling(receiver.url) as export:
        await Log(export).hear("r", events.RunStarted(), FINISHED)
    assert export.collector.tallies["traces"].sent == 1


async def test_the_oldest_go_where_the_collector_is_away_for_long(receiver):
    receiver.answer = ("503 Service Unavailable", b"")
    async with telling(receiver.url, Pace(room=3)) as export:
        log = Log(export)
        for number in range(6):
            await log.hear(f"run {number}", events.RunStarted(), FINISHED)
        assert export.outbox.queued == 3
        assert export.collector.tallies["traces"].lost == 3
        receiver.answer = ("200 OK", b"")
    assert [span.attributes["corral.run.id"] for span in receiver.spans] == ["run 3", "run 4", "run 5"]


async def test_closing_tries_once_more_and_gives_up_on_a_collector_that_is_down(caplog):
    async with receiving() as receiver:
        url = receiver.url
    with caplog.at_level(logging.INFO):
        async with telling(url) as export:
            await Log(export).hear("r", events.RunStarted(), FINISHED)
    assert export.outbox.queued == 1
    assert export.collector.tallies["traces"].lost == 1
    assert "1 spans were not sent" in caplog.text


async def test_spans_that_cannot_be_written_down_do_not_end_the_sending_of_others(receiver, monkeypatch, caplog):
    encode, broken = outbox.encode_spans, [True]

    def once(spans):
        if broken:
            broken.clear()
            raise ValueError("no protobuf has this")
        return encode(spans)

    monkeypatch.setattr(outbox, "encode_spans", once)
    async with telling(receiver.url, Pace(gather=0.01, batch=BATCH)) as export:
        log = Log(export)
        for run in range(2 * BATCH):
            await log.hear(f"run {run}", events.RunStarted(), FINISHED)
        await receiver.until_span("invoke_workflow codegen")
    assert "2 spans cannot be written down" in caplog.text
    assert export.collector.tallies["traces"].lost == BATCH
    assert len(receiver.spans) == BATCH


async def test_metrics_are_sent_every_so_often_and_once_more_at_the_end(receiver, caplog):
    asked = []

    async def collected():
        asked.append(len(asked))
        if len(asked) == 1:
            raise RuntimeError("the store is away")
        gauge = GaugeMetricFamily("corral_runs", "Runs.")
        gauge.add_metric((), len(asked))
        return [gauge]

    async with telling(receiver.url, metrics_seconds=0.01) as export, export.measuring(collected):
        await receiver.until(2)
        before = len(asked)
    assert len(asked) > before
    assert receiver.metrics["corral_runs"].points == (({}, float(len(asked))),)
    assert caplog.text.count("the metrics of now cannot be told") == 1
    assert export.collector.tallies["metrics"].sent == len(asked) - 1


async def test_a_collector_of_traces_only_gets_no_metrics(receiver):
    async def collected():
        raise AssertionError("nobody asks")

    async with telling(receiver.url, metrics=False, metrics_seconds=0.01) as export, export.measuring(collected):
        await Log(export).hear("r", events.RunStarted(), FINISHED)
        await receiver.until_span("invoke_workflow codegen")
    assert set(receiver.paths) == {"/v1/traces"}


async def test_a_secret_of_the_headers_is_in_no_message(caplog):
    async with receiving() as receiver:
        url = receiver.url
    with caplog.at_level(logging.DEBUG):
        async with telling(url, headers={"authorization": "Bearer canary-7"}) as export:
            await Log(export).hear("r", events.RunStarted(), FINISHED)
    assert "canary-7" not in caplog.text
    assert "canary-7" not in repr(export.settings)


# ------------------------------------------------------------------------------------------------------ traces
async def test_what_is_open_when_it_closes_ends_with_the_last_that_happened(receiver):
    async with telling(receiver.url) as export:
        await Log(export).hear(
            "r",
            events.RunStarted(),
            events.NodeStarted(node="write"),
            events.CallQueued(node="write", call="c", role="coder", model="m"),
        )
    assert {span.name for span in receiver.spans} == {"invoke_workflow codegen", "node write", "chat m"}
    assert {span.end for span in receiver.spans} == {int((START + timedelta(seconds=3)).timestamp()) * 10**9}


async def test_a_call_shows_where_it_waited_and_that_it_began_anew(receiver):
    call = {"node": "write", "call": "c", "role": "coder"}
    async with telling(receiver.url) as export:
        await Log(export).hear(
            "r",
            events.RunStarted(),
            events.NodeStarted(node="write"),
            events.CallQueued(**call, model="m", ahead=2),
            events.CallQueued(**call, model="m", ahead=1),
            events.CallPlaced(**call, server="gpu"),
            events.CallWaiting(**call, server="gpu", loading=True),
            events.CallBegan(**call, server="gpu", seconds=2.5),
            events.CallRestarted(**call, reason="the stream broke at 'secret'"),
            events.CallFailed(**call, error_class="StreamBroken", error_message="'secret'"),
            events.NodeFailed(node="write", error_class="StreamBroken", error_message="'secret'"),
            FINISHED.model_copy(update={"status": "error", "error_class": "StreamBroken"}),
        )
    span = receiver.the("chat m")
    assert (span.attributes["server.address"], span.attributes["server.port"]) == ("gpu1", 11434)
    assert [name for name, _ in span.events] == [
        "corral.placed", "corral.waiting", "corral.first_token", "corral.restarted",
    ]  # fmt: skip
    assert dict(span.events)["corral.waiting"] == {"corral.loading": True}
    assert dict(span.events)["corral.first_token"] == {"corral.seconds": 2.5}
    assert span.error == "StreamBroken"
    assert receiver.the("node write").error == "StreamBroken"
    assert b"secret" not in b"".join(receiver.bodies)


async def test_steps_of_candidates_that_run_side_by_side_are_in_their_own(receiver):
    def of(candidate: int) -> dict[str, object]:
        return {"candidate": candidate, "round": 1}

    async with telling(receiver.url) as export:
        await Log(export).hear(
            "r",
            events.RunStarted(),
            *(events.NodeStarted(node="coder", **of(each)) for each in (1, 2)),
            *(events.CandidateStarted(node="coder", **of(each)) for each in (1, 2)),
            *(events.NodeStarted(node="write", **of(each)) for each in (2, 1)),
            *(events.NodeCompleted(node="write", seconds=1, **of(each)) for each in (1, 2)),
            events.CandidateEnded(node="coder", outcome="done", attempts=1, **of(1)),
            events.NodeCompleted(node="coder", seconds=3, **of(1)),
            FINISHED,
        )
    by_id = {span.id: span for span in receiver.spans}
    for span in receiver.named("node write"):
        above = by_id[span.parent]
        assert above.name == "invoke_agent coder"
        assert above.attributes["corral.candidate"] == span.attributes["corral.candidate"]
    lost = next(span for span in receiver.named("invoke_agent coder") if span.attributes["corral.candidate"] == 2)
    assert "corral.candidate.outcome" not in lost.attributes
    assert lost.end == receiver.the("invoke_workflow codegen").end


async def test_an_approval_is_a_span_as_long_as_a_person_took(receiver):
    asked = {"approval": "patch", "id": "a1"}
    async with telling(receiver.url) as export:
        await Log(export).hear(
            "r",
            events.RunStarted(),
            events.ApprovalAsked(**asked, gate="patch", question="Take 'secret'?"),
            events.ApprovalDecided(**asked, decision="approve", by="cli"),
            FINISHED,
        )
    span = receiver.the("approval")
    assert span.attributes == {
        "corral.approval.gate": "patch", "corral.approval.decision": "approve", "corral.approval.seconds": 1.0,
    }  # fmt: skip
    assert span.end - span.start == 10**9


async def test_a_turn_begins_with_what_the_person_said_and_ends_when_it_is_said_to_have(receiver):
    async with telling(receiver.url) as export:
        log = Log(export)
        await log.hear(
            "s",
            events.MessageAdded(number=1, role="user"),
            events.AgentStarted(agent="coder", turn="t1"),
            events.MessageAdded(number=2, role="assistant", calls=("c1",)),
            events.AgentCompleted(agent="coder", turn="t1"),
            events.ToolRequested(call="c1", tool="run", where="local"),
            events.ToolApprovalRequired(call="c1", tool="run", approval="a1"),
        )
        await log.hear(
            "s", events.ToolFailed(call="c1", tool="run", number=3, error_class="TurnEnded", error_message="")
        )
        await log.hear("s", events.TurnEnded(turn="t1", outcome="cancelled"))
        await log.hear("s", events.MessageAdded(number=4, role="user"), events.AgentStarted(agent="ask", turn="t2"))
        await log.hear("s", events.MessageAdded(number=5, role="user"), events.AgentStarted(agent="ask", turn="t3"))
        await log.hear("s", events.AgentFailed(agent="ask", turn="t3", error_class="NoAnswer", error_message="secret"))
        await log.hear("s", events.TurnEnded(turn="t3", outcome="failed"))
    first, second, third = sorted(receiver.named("invoke_workflow conversation"), key=lambda span: span.start)
    assert [each.attributes["corral.turn.id"] for each in (first, second, third)] == ["t1", "t2", "t3"]
    assert first.end - first.start == 7 * 10**9
    outcomes = [each.attributes.get("corral.turn.outcome") for each in (first, second, third)]
    assert outcomes == ["cancelled", None, "failed"]
    assert receiver.the("execute_tool run").error == "TurnEnded"
    assert second.error is None
    assert third.error == "NoAnswer"
    assert len({first.trace, second.trace, third.trace}) == 3


async def test_a_session_that_is_deleted_leaves_nothing_open(receiver):
    async with telling(receiver.url) as export:
        await Log(export).hear("s", events.AgentStarted(agent="ask", turn="t"), events.SessionDeleted())
        await receiver.until_span("invoke_workflow conversation")


async def test_events_without_a_beginning_and_of_the_program_make_no_span(receiver):
    async with telling(receiver.url) as export:
        await Log(export).hear(
            "r",
            events.NodeCompleted(node="x", seconds=1),
            events.CallCompleted(call="c", role="r", model="m", server="s", prompt_sha="", answer_sha="", finish="stop",
                                 prompt_tokens=1, completion_tokens=1),
            events.ToolCompleted(call="c", tool="t", number=1),
            FINISHED,
        )  # fmt: skip
    assert receiver.spans == []


@pytest.mark.parametrize(("share", "expected"), [(0.0, 0), (0.5, 100), (1.0, 200)])
async def test_a_share_of_the_runs_is_traced(receiver, share, expected):
    async with telling(receiver.url, sampling=share) as export:
        log = Log(export)
        for number in range(200):
            await log.hear(f"run {number}", events.RunStarted(), FINISHED)
    assert len(receiver.spans) == pytest.approx(expected, abs=25)


def test_streamed_text_is_never_heard():
    assert "call.text" not in KINDS
    assert {"run.created", "call.completed", "tool.completed", "session.deleted"} <= KINDS


# ----------------------------------------------------------------------------------------------- callers' traces
TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


@pytest.mark.parametrize(
    ("header", "sampled"),
    [
        (f"00-{TRACE}-{SPAN}-01", True),
        (f" 00-{TRACE}-{SPAN}-00 ", False),
        (f"00-{TRACE}-{SPAN}-03", True),
        (f"cc-{TRACE}-{SPAN}-01-what-the-future-adds", True),
    ],
)
def test_a_traceparent_is_read(header, sampled):
    assert read_parent(header) == Parent(int(TRACE, 16), int(SPAN, 16), sampled)


@pytest.mark.parametrize(
    "header",
    [
        "",
        "nonsense",
        f"ff-{TRACE}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-01-more",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE.upper()}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-1",
    ],
)
def test_what_is_no_traceparent_counts_as_none(header):
    assert read_parent(header) is None


def test_parents_are_remembered_by_request_and_the_oldest_forgotten():
    parents = Parents()
    for number in range(KEPT + 1):
        parents.remember(f"r{number}", f"00-{TRACE}-{SPAN}-01")
    assert parents.of("r0") is None
    assert parents.of("r1") is not None
    parents.remember("r1", "")  # another request of that id has no caller's trace
    assert parents.of("r1") is None
