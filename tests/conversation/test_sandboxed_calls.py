"""Commands that nobody is asked about, since the sandbox holds them; and what stays asked."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from infrastructure.conversation.ports import Decided
from infrastructure.danger.levels import Danger
from infrastructure.events.catalogue import ApprovalDecided, ToolCompleted
from infrastructure.ids import RunId
from infrastructure.sandbox import Level, NoSandbox, Sandbox, open_sandbox
from infrastructure.sessions.approvals import ActionRequest, ApprovalState, Approve
from tests.conversation.stack import Stack, called, simulator, stack
from tests.conversation.world import followed, kinds, talk

pytestmark = pytest.mark.slow


def workspace(folder: Path) -> Path:
    folder.mkdir()
    (folder / "calc.py").write_text("def add(a, b):\n    return a - b\n")
    return folder


def run(line: str) -> str:
    return called("run_command", f'{{"command": "{line}"}}')


async def approvals_of(here: Stack, session: str) -> list[tuple[str, ApprovalState, Danger, str]]:
    calls = [each for message in here.sessions.get_history(session).messages for each in message.tool_calls]
    found = [await here.approvals.find(session, call.id or "") for call in calls]
    return [(each.by, each.state, each.action.danger, each.action.description) for each in found if each is not None]


async def test_dangerous_command_runs_unasked_where_nothing_leaves_the_sandbox_and_is_on_record(tmp_path):
    folder = workspace(tmp_path / "work")
    async with simulator(run("rm -rf ."), "Gone, there.") as server, stack(tmp_path, server.url) as here:
        session = await here.session(folder)
        chunks = await talk(here.conversations.process_message(session, "Clean up", "coder"))
        assert "approval" not in kinds(chunks)
        assert [chunk.ok for chunk in chunks if chunk.kind == "tool_result"] == [True]
        assert (folder / "calc.py").exists()
        assert await approvals_of(here, session) == [
            ("sandbox:bubblewrap", ApprovalState.USED, Danger.DANGEROUS, "rm -rf .")
        ]
        events = [stored.event for stored in await here.log.read(RunId(session), 0, 1_000)]
        decided = [event for event in events if isinstance(event, ApprovalDecided)]
        assert [(each.decision, each.by) for each in decided] == [("approve", "sandbox:bubblewrap")]
        assert [each.sandbox for each in events if isinstance(each, ToolCompleted)] == ["bubblewrap"]


async def test_command_that_names_a_secret_asks_and_gets_it_after_a_yes(tmp_path):
    folder = workspace(tmp_path / "work")
    (folder / ".env").write_text("TOKEN=word-of-power\n")
    script = (run("cat .e* calc.py"), run("cat .env"), "Seen.")
    async with simulator(*script) as server, stack(tmp_path, server.url) as here:
        session = await here.session(folder)
        first = await talk(here.conversations.process_message(session, "Look", "coder", ends_when_waiting=True))
        unasked = next(chunk.text for chunk in first if chunk.kind == "tool_result")
        assert "return a - b" in unasked
        assert "word-of-power" not in unasked
        assert "not in the copy, since they may hold secrets and nobody was asked: .env" in unasked
        assert kinds(first)[-1] == "approval"
        following = await followed(here.conversations, session)
        await here.conversations.decide(first[-1].approval, Decided(kind="approve"))
        rest = await following
        assert "word-of-power" in [chunk.text for chunk in rest if chunk.kind == "tool_result"][-1]


@pytest.mark.parametrize("level", [None, Level.LANDLOCK, Level.NONE])
async def test_command_asks_where_no_sandbox_holds_everything(tmp_path, level):
    async def opener() -> Sandbox:
        if level is None:
            raise NoSandbox({}, "Type: sudo apt install bubblewrap")
        return await open_sandbox(level)

    folder = workspace(tmp_path / "work")
    async with simulator(run("touch new"), "Well.") as server, stack(tmp_path, server.url, sandbox=opener) as here:
        session = await here.session(folder)
        chunks = await talk(here.conversations.process_message(session, "Do it", "coder", ends_when_waiting=True))
        assert kinds(chunks)[-1] == "approval"
        assert [each.action.description for each in await here.approvals.pending(session)] == ["touch new"]


async def test_sandbox_that_changed_since_nobody_was_asked_runs_nothing(tmp_path):
    found = [await open_sandbox("auto"), await open_sandbox(Level.NONE)]
    witness = tmp_path / "witness"

    async def opener() -> Sandbox:
        return found.pop(0) if len(found) > 1 else found[0]

    folder = workspace(tmp_path / "work")
    script = (run(f"touch {witness}"), "Well.")
    async with simulator(*script) as server, stack(tmp_path, server.url, sandbox=opener) as here:
        session = await here.session(folder)
        chunks = await talk(here.conversations.process_message(session, "Do it", "coder"))
        assert [chunk.ok for chunk in chunks if chunk.kind == "tool_result"] == [False]
        assert "needs a yes" in next(chunk.text for chunk in chunks if chunk.kind == "tool_result")
        assert not witness.exists()


async def test_unattended_turn_runs_commands_in_the_sandbox_and_writes_what_a_rule_allows(tmp_path):
    folder = workspace(tmp_path / "work")
    script = (
        run("python3 -c 'print(6 * 7)'"),
        called("write_file", '{"path": "docs/new.md", "content": "Hello."}'),
        called("write_file", '{"path": "calc.py", "content": "broken"}'),
        "Done.",
    )
    async with simulator(*script) as server, stack(tmp_path, server.url) as here:
        session = await here.session(folder)
        action = ActionRequest(tool="write_file", arguments={"path": "docs/a.md", "content": "a"})
        asked = await here.approvals.request("another", "1", action, workspace=str(folder))
        await here.approvals.decide(
            asked.id, Approve(), by="test", nonce=asked.nonce, scope="project", patterns=("write_file: docs/**",)
        )
        chunks = await talk(here.conversations.process_message(session, "Do it", "coder", unattended=True))
        assert [chunk.ok for chunk in chunks if chunk.kind == "tool_result"] == [True, True, False]
        assert "42" in next(chunk.text for chunk in chunks if chunk.kind == "tool_result")
        assert (folder / "docs" / "new.md").read_text() == "Hello.\n"
        assert "return a - b" in (folder / "calc.py").read_text()
        assert [by for by, *_ in await approvals_of(here, session)] == ["sandbox:bubblewrap", "rule"]
        assert await here.approvals.pending(session) == ()
        closing = here.said(session)[-1][1]
        assert "left out: apply_edit.)" in closing


async def test_unattended_turn_without_a_sandbox_is_not_offered_commands(tmp_path):
    async def opener() -> Sandbox:
        raise NoSandbox({}, "Type: sudo apt install bubblewrap")

    folder = workspace(tmp_path / "work")
    async with simulator(run("touch a"), "No.") as server, stack(tmp_path, server.url, sandbox=opener) as here:
        session = await here.session(folder)
        chunks = await talk(here.conversations.process_message(session, "Do it", "coder", unattended=True))
        # The server drops a call of what was not offered, and the model is told so.
        assert "a tool that was not offered" in next(chunk.text for chunk in chunks if chunk.kind == "restarted")
        assert [chunk for chunk in chunks if chunk.kind == "tool_result"] == []
        assert not (folder / "a").exists()
        for tool in ("apply_edit", "write_file", "run_command"):
            assert tool in here.said(session)[-1][1]


async def test_yes_of_the_sandbox_is_for_that_call_only(tmp_path):
    async with simulator("Hi.") as server, stack(tmp_path, server.url) as here:
        session = await here.session(workspace(tmp_path / "work"))
        action = ActionRequest(tool="run_command", arguments={"command": "make all"})
        asked = await here.approvals.request(session, "1", action, held="bubblewrap")
        assert asked.state is ApprovalState.DECIDED
        other = replace(action, arguments={"command": "make none"})
        later = await here.approvals.request(session, "2", other)
        assert later.state is ApprovalState.PENDING, "it makes no rule"


async def test_folder_that_became_a_link_after_the_yes_is_not_written_through(tmp_path):
    folder, outside = workspace(tmp_path / "work"), tmp_path / "outside"
    outside.mkdir()
    (folder / "docs").mkdir()
    script = (called("write_file", '{"path": "docs/a.md", "content": "x"}'), "Well.")
    async with simulator(*script) as server, stack(tmp_path, server.url) as here:
        session = await here.session(folder)
        first = await talk(here.conversations.process_message(session, "Write", "coder", ends_when_waiting=True))
        (folder / "docs").rmdir()
        (folder / "docs").symlink_to(outside)
        following = await followed(here.conversations, session)
        await here.conversations.decide(first[-1].approval, Decided(kind="approve"))
        rest = await following
        assert [chunk.ok for chunk in rest if chunk.kind == "tool_result"] == [False]
        assert list(outside.iterdir()) == []


async def test_yes_is_for_the_arguments_that_were_shown(tmp_path):
    folder = workspace(tmp_path / "work")
    script = (called("write_file", '{"path": "a.md", "content": "x"}'), "Well.")
    async with simulator(*script) as server, stack(tmp_path, server.url) as here:
        session = await here.session(folder)
        first = await talk(here.conversations.process_message(session, "Write", "coder", ends_when_waiting=True))
        await here.database.write(
            lambda connection: (
                connection.execute(
                    "UPDATE tool_calls SET arguments_json = ?", ('{"path": "calc.py", "content": "evil"}',)
                ).rowcount
            )
        )
        following = await followed(here.conversations, session)
        await here.conversations.decide(first[-1].approval, Decided(kind="approve"))
        rest = await following
        assert rest[-1].kind == "failed"
        assert "return a - b" in (folder / "calc.py").read_text()
        assert not (folder / "a.md").exists()
