"""An undo is said in the session: the next answer knows of it."""

from __future__ import annotations

import pytest

from infrastructure.conversation.errors import SessionBusy
from infrastructure.sessions.approvals import ActionRequest, Approve
from infrastructure.storage.errors import StorageError
from tests.conversation.stack import Stack, called, simulator, stack
from tests.conversation.world import talk

WRITE = called("write_file", '{"path": "a.txt", "content": "new"}')

TOLD = (
    "(I took back your last write: a.txt is as it was before. Your change is gone; read the file again before you go"
    " on.)"
)


async def allowed(here: Stack, workspace: str) -> None:
    action = ActionRequest(tool="write_file", arguments={"path": "a.txt", "content": "new"})
    asked = await here.approvals.request("another", "1", action, workspace=workspace)
    await here.approvals.decide(asked.id, Approve(), by="test", nonce=asked.nonce, scope="always")


async def test_model_is_told_of_an_undo_before_the_next_message(tmp_path):
    (tmp_path / "a.txt").write_text("old\n")
    async with simulator(WRITE, "Written.", "I see.") as server, stack(tmp_path, server.url) as here:
        await allowed(here, str(tmp_path))
        session = await here.session(tmp_path)
        await talk(here.conversations.process_message(session, "Write it", "coder"))
        assert (tmp_path / "a.txt").read_text() == "new\n"
        undone = await here.undoing.undo(session)
        assert (undone.ok, (tmp_path / "a.txt").read_text()) == (True, "old\n")
        await talk(here.conversations.process_message(session, "And now?"))
        assert here.said(session)[-3:] == [
            ("user", TOLD),
            ("user", "And now?"),
            ("assistant", "I see."),
        ]
        assert not (await here.undoing.undo(session)).ok
        assert len(here.said(session)) == 7, "what was not taken back is not told"


async def test_nothing_is_taken_back_under_an_open_turn(tmp_path):
    (tmp_path / "a.txt").write_text("old\n")
    asks = called("apply_edit", '{"path": "a.txt", "search": "new", "replace": "newer"}')
    async with simulator(WRITE, asks, "Done.") as server, stack(tmp_path, server.url) as here:
        await allowed(here, str(tmp_path))
        session = await here.session(tmp_path)
        await talk(here.conversations.process_message(session, "Write it", "coder", ends_when_waiting=True))
        with pytest.raises(SessionBusy, match="apply_edit"):
            await here.undoing.undo(session)
        assert (tmp_path / "a.txt").read_text() == "new\n"


async def test_undo_that_a_crash_cut_off_is_told_when_it_is_asked_for_again(tmp_path):
    (tmp_path / "a.txt").write_text("old\n")
    async with simulator(WRITE, "Written.") as server, stack(tmp_path, server.url) as here:
        await allowed(here, str(tmp_path))
        session = await here.session(tmp_path)
        await talk(here.conversations.process_message(session, "Write it", "coder"))
        (tmp_path / "a.txt").write_text("old\n")  # the file was restored, and then the process died
        for _ in range(2):
            await here.undoing.undo(session)
        assert [content for role, content in here.said(session) if role == "user"][1:] == [TOLD]


async def test_undo_counts_when_the_word_of_it_is_on_disk(tmp_path, monkeypatch):
    (tmp_path / "a.txt").write_text("old\n")
    async with simulator(WRITE, "Written.") as server, stack(tmp_path, server.url) as here:
        await allowed(here, str(tmp_path))
        session = await here.session(tmp_path)
        await talk(here.conversations.process_message(session, "Write it", "coder"))

        async def full(session_id: str | None = None) -> None:
            raise StorageError(tmp_path, "no room")

        with monkeypatch.context() as patch:
            patch.setattr(here.sessions, "flush", full)
            with pytest.raises(StorageError):
                await here.undoing.undo(session)
        assert (await here.undoing.undo(session)).ok, "it is not done before its word is kept"
        assert not (await here.undoing.undo(session)).ok
        assert [content for role, content in here.said(session) if role == "user"][1:] == [TOLD]
