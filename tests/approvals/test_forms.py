"""The form that chat clients know, out and in."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infrastructure.ids import ApprovalId
from infrastructure.sessions.approvals import (
    ALL_DECISIONS,
    ActionRequest,
    Approval,
    ApprovalState,
    Approve,
    DecisionRefused,
    Edit,
    Reject,
    Respond,
    sha_of,
)
from infrastructure.sessions.forms import read_decisions, written, written_decision


def approval(tool: str = "run_command", allowed=ALL_DECISIONS) -> Approval:
    action = ActionRequest(tool=tool, arguments={"command": "make"}, description="make", why="make is not known")
    return Approval(
        id=ApprovalId("a1"), owner="s1", key="k1", gate="tool", action=action, workspace="", allowed=allowed,
        sha="0" * 64, nonce="n1", state=ApprovalState.PENDING, asked=datetime(2026, 7, 1, tzinfo=UTC),
    )  # fmt: skip


def test_request_has_the_form_of_chat_clients():
    form = written([approval(), approval("write_file", ("approve", "reject"))])
    assert form["action_requests"][0] == {"name": "run_command", "args": {"command": "make"}, "description": "make"}
    assert form["review_configs"][1] == {"action_name": "write_file", "allowed_decisions": ["approve", "reject"]}
    assert form["approvals"][0] == {"approval": "a1", "nonce": "n1", "danger": "asks", "why": "make is not known"}
    assert json.loads(json.dumps(form)) == form


@pytest.mark.parametrize(
    ("answer", "decision"),
    [
        ({"decisions": [{"type": "approve"}]}, Approve()),
        ([{"type": "approve"}], Approve()),
        ({"type": "approve"}, Approve()),
        ("approve", Approve()),
        ('{"decisions": [{"type": "approve"}]}', Approve()),
        ({"decisions": ["approve"]}, Approve()),
        ({"type": "Accept"}, Approve()),
        ({"type": "approve", "message": "fine"}, Approve("fine")),
        ({"type": "reject"}, Reject()),
        ({"type": "reject", "message": "too much"}, Reject("too much")),
        ({"type": "reject", "reason": "too much"}, Reject("too much")),
        ({"type": "ignore"}, Reject()),
        ({"type": "respond", "message": "it is done"}, Respond("it is done")),
        ({"type": "response", "args": "it is done"}, Respond("it is done")),
        (
            {"type": "edit", "edited_action": {"name": "run_command", "args": {"command": "ls"}}},
            Edit({"command": "ls"}),
        ),
        ({"type": "edit", "args": {"action": "run_command", "args": {"command": "ls"}}}, Edit({"command": "ls"})),
        ({"type": "edit", "args": {"command": "ls"}}, Edit({"command": "ls"})),
        ({"type": "edit", "arguments": {"command": "ls"}}, Edit({"command": "ls"})),
    ],
)
def test_answers_of_clients_are_read(answer, decision):
    assert read_decisions(answer, [approval()]) == (decision,)


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (None, "no answer"),
        (3, "no answer"),
        ({}, "no decision"),
        ("yes", "no decision"),
        ("{", "no JSON"),
        ([], "0 decisions for 1 actions"),
        ({"decisions": {"type": "approve"}}, "must be a list"),
        ({"decisions": [{"type": "approve"}, {"type": "approve"}]}, "2 decisions for 1 actions"),
        ({"type": "approve it"}, "no decision"),
        ([None], "must be an object"),
        ({"type": "edit"}, "needs the new arguments"),
        ({"type": "edit", "args": "ls"}, "needs the new arguments"),
        ({"type": "edit", "edited_action": {"command": "ls"}}, "has a name and args"),
        ({"type": "edit", "edited_action": {"name": "write_file", "args": {}}}, "cannot make run_command into"),
        ({"type": "edit", "args": {"x": float("nan")}}, "JSON"),
        ({"type": "respond", "message": "  "}, "needs some"),
    ],
)
def test_nonsense_is_refused_with_what_to_send(answer, said):
    with pytest.raises(DecisionRefused, match=said) as refused:
        read_decisions(answer, [approval()])
    assert refused.value.hint


def test_only_what_is_allowed_is_read():
    with pytest.raises(DecisionRefused, match="respond is not allowed"):
        read_decisions({"type": "respond", "message": "x"}, [approval(allowed=("approve", "reject"))])


SCALARS = st.none() | st.booleans() | st.integers() | st.text()
JSON = st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=8)


@given(st.sampled_from(["approve", "reject", "respond", "edit"]), st.text(), st.dictionaries(st.text(), JSON))
def test_what_is_written_is_read_back(kind, text, arguments):
    said = text.strip() or "x"
    decision = {"approve": Approve(said), "reject": Reject(said), "respond": Respond(said), "edit": Edit(arguments)}[
        kind
    ]
    assert read_decisions({"decisions": [written_decision(decision, "run_command")]}, [approval()]) == (decision,)


@given(JSON)
def test_whatever_is_sent_is_read_or_refused(answer):
    try:
        (decision,) = read_decisions(answer, [approval()])
    except DecisionRefused:
        return
    assert isinstance(decision, (Approve, Edit, Reject, Respond))


@given(st.dictionaries(st.text(), JSON))
def test_hash_is_of_the_value_and_not_of_its_order(value):
    assert sha_of(value) == sha_of(dict(reversed(value.items())))
    assert sha_of(value) != sha_of({**value, "one more": 1})
