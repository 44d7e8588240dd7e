"""What led to each event of a run."""

from __future__ import annotations

from pathlib import Path

from infrastructure.events.catalogue import (
    CallBegan,
    CallCompleted,
    FilesChosen,
    IntentRead,
    LessonDrawn,
    NodeStarted,
    PatchChosen,
    RunCreated,
    RunFinished,
    TestsWritten,
)
from infrastructure.events.causes import correlated
from tests.engine.world import simulator, task, world


async def test_every_event_of_a_run_leads_back_to_the_task(tmp_path: Path) -> None:
    async with world(tmp_path, simulator(tmp_path)) as ours:
        with correlated("request-1"):
            run = await ours.start(candidates=2)
        await ours.end_of(run)
        events = {stored.seq: stored for stored in await ours.app.log.read(run, limit=5000)}
    led = {seq: int(each.causation.removeprefix(f"{run}/") or 0) for seq, each in events.items()}
    assert isinstance(events[1].event, RunCreated)
    assert led[1] == 0
    assert all(0 < led[seq] < seq for seq in events if seq > 1)
    assert {each.correlation for each in events.values()} == {"request-1"}
    for seq, each in events.items():
        cause = events.get(led[seq])
        if cause is not None and isinstance(each.event, CallBegan | CallCompleted):
            assert getattr(cause.event, "call", None) == each.event.call
        if cause is not None and isinstance(cause.event, NodeStarted) and not isinstance(each.event, NodeStarted):
            assert (cause.event.node, cause.event.candidate) == (each.event.node, each.event.candidate)
    assert sum(isinstance(each.event, RunFinished) for each in events.values()) == 1


async def test_the_first_byte_of_each_answer_is_told_before_its_text(tmp_path: Path) -> None:
    async with world(tmp_path, simulator(tmp_path)) as ours:
        run = await ours.start()
        await ours.end_of(run)
        events = [stored.event for stored in await ours.app.log.read(run, limit=5000)]
    began = {event.call: number for number, event in enumerate(events) if event.kind == "call.began"}
    texts = [(event.call, number) for number, event in enumerate(events) if event.kind == "call.text"]
    assert texts
    assert all(began[call] < number for call, number in texts)


async def test_each_step_tells_what_came_of_it(tmp_path: Path) -> None:
    server = simulator(tmp_path, task(always_broken=True))
    async with world(tmp_path, server, repairs=0, rounds=2) as ours:
        await ours.run()
        told = {type(stored.event): stored.event for stored in ours.seen}
    assert told[IntentRead].intent == "code"
    assert "calc.py" in told[FilesChosen].files
    assert told[TestsWritten].node == "tester"
    assert told[LessonDrawn].lesson
    assert told[PatchChosen].status == "failed"
