"""Approvals and rules over HTTP: shown whole, answered in either form, for exactly what was shown."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.backend.site import site_over
from tests.conversation.stack import called, simulator
from tests.doors.conftest import WRITE
from tests.doors.house import House, house, kinds, problem
from tests.engine.world import repository, settings_of
from tests.engine.world import simulator as oracle

APPROVALS = "/api/v1/approvals"
EDITED = {"name": "write_file", "args": {"path": "a.py", "content": "x = 2"}}
JSON = {"Content-Type": "application/json"}
ELSEWHERE = "write_file: docs/**"


async def asked_of(here: House) -> dict[str, object]:
    """A session's question, as the list has it."""
    await here.say(await here.session(agent="coder"), "Write it")
    (asked,) = (await here.client.get(APPROVALS)).json()["approvals"]
    return asked


async def answered(here: House, asked: dict[str, object], answer: dict[str, object]) -> dict[str, object]:
    """Answer a question, and wait until its turn is over; the approval as it was told."""
    async with here.line(asked["owner"]) as line:
        told = await here.client.post(f"{APPROVALS}/{asked['id']}", json={"nonce": asked["nonce"], **answer})
        assert told.status_code == 200, told.text
        await line.chunk("done")
    return told.json()


async def test_a_question_is_shown_with_its_form_and_the_rules_that_would_cover_it(writer: House) -> None:
    asked = await asked_of(writer)
    assert (asked["tool"], asked["state"], asked["danger"]) == ("write_file", "pending", "asks")
    assert asked["arguments"] == {"path": "a.py", "content": "x = 1"}
    assert (await writer.client.get(APPROVALS, params={"owner": "nobody"})).json() == {"approvals": []}
    told = (await writer.client.get(f"{APPROVALS}/{asked['id']}")).json()
    (action,) = told["form"]["action_requests"]
    assert (action["name"], action["args"]) == ("write_file", asked["arguments"])
    assert told["form"]["review_configs"] == [
        {"action_name": "write_file", "allowed_decisions": ["approve", "edit", "reject", "respond"]}
    ]
    assert told["form"]["approvals"][0]["nonce"] == told["nonce"] == asked["nonce"]
    assert told["proposal"] == {"patterns": ["write_file: a.py"], "past": []}
    wider = await writer.client.get(f"{APPROVALS}/{asked['id']}", params={"pattern": "write_file: **"})
    assert wider.json()["proposal"]["patterns"] == ["write_file: **"]
    bad = await writer.client.get(f"{APPROVALS}/{asked['id']}", params={"pattern": "no rule"})
    assert problem(bad) == (422, "DecisionRefused")


@pytest.mark.parametrize(
    ("answer", "written", "said"),
    [
        ({"decision": {"type": "approve"}}, "x = 1\n", True),
        ({"decisions": [{"type": "approve"}]}, "x = 1\n", True),
        (
            {"decisions": [{"type": "edit", "edited_action": EDITED}]},
            "x = 2\n",
            True,
        ),
        ({"type": "reject", "message": "not now"}, None, False),
        ({"decisions": [{"type": "respond", "message": "It is there already."}]}, None, True),
    ],
    ids=["approve", "approve as LangChain", "edit as LangChain", "reject", "respond as LangChain"],
)  # fmt: skip
async def test_an_answer_in_either_form_is_what_happens(
    writer: House, answer: dict[str, object], written: str | None, said: bool
) -> None:
    asked = await asked_of(writer)
    told = await answered(writer, asked, answer)
    assert told["state"] == "decided"
    again = await writer.client.post(f"{APPROVALS}/{asked['id']}", json={"nonce": asked["nonce"], **answer})
    assert again.status_code == 200
    results = [each for each in await writer.history(asked["owner"]) if each["role"] == "tool"]
    assert [each["ok"] for each in results] == [said]
    file = writer.workspace / "a.py"
    assert (file.read_text() if file.exists() else None) == written


@pytest.mark.parametrize(
    ("answer", "status", "name"),
    [
        ({"decision": "approve"}, 422, "InvalidRequest"),
        ({"nonce": "another", "decision": "approve"}, 409, "StaleApproval"),
        ({"nonce": "", "decision": "maybe"}, 422, "DecisionRefused"),
        ({"nonce": "", "decisions": []}, 422, "DecisionRefused"),
        ({"nonce": ""}, 422, "DecisionRefused"),
        ({"nonce": "", "decision": "approve", "scope": "ever"}, 422, "InvalidRequest"),
        ({"nonce": "", "decision": "approve", "scope": "always", "patterns": [ELSEWHERE]}, 422, "DecisionRefused"),
    ],
)  # fmt: skip
async def test_an_answer_that_cannot_be_taken_decides_nothing(
    writer: House, answer: dict[str, object], status: int, name: str
) -> None:
    asked = await asked_of(writer)
    given = {**answer, **({"nonce": asked["nonce"]} if answer.get("nonce") == "" else {})}
    assert problem(await writer.client.post(f"{APPROVALS}/{asked['id']}", json=given)) == (status, name)
    assert (await writer.client.get(f"{APPROVALS}/{asked['id']}")).json()["state"] == "pending"
    assert (await writer.client.get("/api/v1/rules")).json() == {"rules": []}


@pytest.mark.parametrize(
    ("answer", "status", "key", "kept"),
    [
        (r'{"type": "reject", "message": "no \ud83d"', 200, "decision", {"type": "reject", "message": "no ?"}),
        (
            r'{"decision": {"type": "respond", "message": "\udfff"}',
            200,
            "decision",
            {"type": "respond", "message": "?"},
        ),
        (
            r'{"decisions": [{"type": "edit", "edited_action": {"args": {"path": "a.py", "content": "\ud800"}}}]',
            200,
            "decision",
            {
                "type": "edit",
                "edited_action": {"name": "write_file", "args": {"path": "a.py", "content": "?"}},
            },
        ),
        (r'{"type": "\ud800"', 422, "decision", None),
        (r'{"decision": "approve", "scope": "always", "patterns": ["write_file: \ud800"]', 422, "decision", None),
        (r'{"decision": "approve", "scope": "always", "patterns": ["\ud800"]', 422, "decision", None),
    ],
    ids=["reject", "respond", "edit", "type", "pattern", "no pattern"],
)
async def test_half_characters_of_an_answer_are_kept_as_question_marks(
    writer: House, answer: str, status: int, key: str, kept: object
) -> None:
    """What is no Unicode could be shown to nobody, and the approval would be unreadable for good."""
    asked = await asked_of(writer)
    body = f'{answer}, "nonce": "{asked["nonce"]}"}}'.encode()
    told = await writer.client.post(f"{APPROVALS}/{asked['id']}", content=body, headers=JSON)
    assert told.status_code == status, told.text
    shown = await writer.client.get(f"{APPROVALS}/{asked['id']}")
    assert (shown.status_code, shown.json()[key]) == (200, kept)


async def test_an_edit_that_is_nested_too_deep_is_refused(writer: House) -> None:
    asked = await asked_of(writer)
    nested = "[" * 240 + "]" * 240
    body = f'{{"type": "edit", "args": {{"path": "a.py", "content": {nested}}}, "nonce": "{asked["nonce"]}"}}'
    told = await writer.client.post(f"{APPROVALS}/{asked['id']}", content=body.encode(), headers=JSON)
    assert problem(told) == (422, "DecisionRefused")
    assert (await writer.client.get(f"{APPROVALS}/{asked['id']}")).json()["state"] == "pending"


async def test_another_answer_than_the_first_is_refused(writer: House) -> None:
    asked = await asked_of(writer)
    path, nonce = f"{APPROVALS}/{asked['id']}", asked["nonce"]
    await writer.client.post(path, json={"nonce": nonce, "decision": "reject"})
    again = await writer.client.post(path, json={"nonce": nonce, "decision": "approve"})
    assert problem(again) == (409, "AlreadyDecided")
    assert problem(await writer.client.get(f"{APPROVALS}/nothing")) == (404, "UnknownApproval")


async def test_a_yes_for_the_project_makes_a_rule_that_is_shown_and_taken_back(tmp_path: Path) -> None:
    other = called("write_file", '{"path": "a.py", "content": "x = 2"}')
    async with simulator(WRITE, "Written.", other, "Again.", other) as server, house(tmp_path, server.url) as here:
        asked = await asked_of(here)
        session = asked["owner"]
        told = await answered(here, asked, {"decision": "approve", "scope": "project"})
        (rule,) = (await here.client.get("/api/v1/rules", params={"workspace": str(here.workspace)})).json()["rules"]
        assert (rule["shown"], rule["scope"], rule["owner"]) == ("write_file: a.py", "project", str(here.workspace))
        assert (told["rule"], told["patterns"]) == (rule["id"], ["write_file: a.py"])
        assert kinds(await here.say(session, "Once more")) == ["tool_call", "tool_result", "text", "done"]
        assert (await here.client.delete(f"/api/v1/rules/{rule['id']}")).status_code == 204
        assert problem(await here.client.delete(f"/api/v1/rules/{rule['id']}")) == (404, "UnknownRule")
        assert kinds(await here.say(session, "And once more"))[-1] == "waiting"


@pytest.mark.slow
async def test_a_gate_of_a_run_is_answered_like_any_other_and_the_run_goes_on(tmp_path: Path) -> None:
    async with oracle(tmp_path) as server:
        settings = settings_of(tmp_path, [server])
        async with site_over(settings, repository(tmp_path / "repo")) as site:
            run = await site.begin(approve=["plan"])
            await site.until(run, "approval.asked")
            (asked,) = (await site.client.get(APPROVALS, params={"owner": run})).json()["approvals"]
            assert (asked["gate"], asked["key"]) == ("plan", "plan:1")
            told = await site.client.post(
                f"{APPROVALS}/{asked['id']}", json={"nonce": asked["nonce"], "decision": "approve"}
            )
            assert (told.status_code, told.json()["state"]) == (200, "used")
            assert (await site.application.engine.result(run)).status == "done"
