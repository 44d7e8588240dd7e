"""Images in messages: kept, shown to a model that can see, refused in words where none can."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from agents.model import JsonObject, Message
from backend.retention import _named_contents
from backend.store import open_store
from infrastructure.simulator import ModelSpec, Simulator, SimulatorSettings
from infrastructure.storage.blobs import sha_of
from infrastructure.transport import encoding
from tests.doors.house import SESSIONS, House, house, kinds, problem, settings_of

PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(200))
JPEG = b"\xff\xd8\xff\xe0" + bytes(range(100))


def sent(*images: bytes) -> list[str]:
    return [base64.b64encode(image).decode() for image in images]


@asynccontextmanager
async def seeing(folder: Path, *turns: str, vision: bool = True) -> AsyncIterator[tuple[House, Simulator]]:
    model = ModelSpec(name="talker", turns=turns or ("A cat.", "Still a cat."), vision=vision)
    settings = SimulatorSettings(models=(model,), time_scale=0.0, load_seconds=0.0, num_ctx=32768)
    async with Simulator(settings) as server, house(folder, server.url) as here:
        yield here, server


@pytest.fixture
def wire(monkeypatch: pytest.MonkeyPatch) -> list[Message]:
    """The messages that were written for a server, in their order."""
    written: list[Message] = []
    write = encoding.message_json

    def spied(message: Message) -> JsonObject:
        written.append(message)
        return write(message)

    monkeypatch.setattr(encoding, "message_json", spied)
    return written


async def test_an_image_is_kept_shown_to_the_model_and_read_back(tmp_path: Path, wire: list[Message]) -> None:
    async with seeing(tmp_path) as (here, _):
        session = await here.session(agent="ask")
        assert kinds(await here.say(session, "What is this?", images=sent(PNG, JPEG))) == ["text", "done"]
        (first, _) = await here.history(session)
        assert first["images"] == [sha_of(PNG), sha_of(JPEG)]
        for content, kind in ((PNG, "image/png"), (JPEG, "image/jpeg")):
            answer = await here.client.get(f"{SESSIONS}/{session}/images/{sha_of(content)}")
            assert (answer.status_code, answer.headers["content-type"], answer.content) == (200, kind, content)
        wire.clear()
        await here.say(session, "And now?")
        assert [message.images for message in wire if message.images] == [tuple(sent(PNG, JPEG))], "of the history"


async def test_a_model_is_shown_the_newest_images_as_far_as_there_is_room(
    tmp_path: Path, wire: list[Message], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("infrastructure.conversation.images.MOST_BYTES", len(PNG) + len(JPEG) - 1)
    async with seeing(tmp_path, "A cat.", "A dog.", "Both.") as (here, _):
        session = await here.session(agent="ask")
        await here.say(session, "What is this?", images=sent(PNG))
        await here.say(session, "And this?", images=sent(JPEG))
        wire.clear()
        await here.say(session, "Which is it?")
        shown = {message.content.partition("\n")[0]: message for message in wire if message.role == "user"}
        assert shown["And this?"].images == tuple(sent(JPEG))
        assert shown["What is this?"].images == ()
        assert "newer ones take the room" in shown["What is this?"].content


async def test_an_image_outlives_a_restart_and_a_cleaning(tmp_path: Path) -> None:
    async with seeing(tmp_path) as (here, server):
        session = await here.session(agent="ask")
        await here.say(session, "What is this?", images=sent(PNG))
        url = server.url
        settings = settings_of(tmp_path, url)
        fork = (await here.client.post(f"{SESSIONS}/{session}/fork", json={})).json()["session"]
    async with open_store(settings, verb="clean") as store:
        assert sha_of(PNG) in await _named_contents(store)
        await store.blobs.sweep(await _named_contents(store), young_seconds=0)
    async with seeing(tmp_path, "A cat.", "Still a cat.") as (here, server):
        for each in (session, fork):
            assert (await here.history(each))[0]["images"] == [sha_of(PNG)]
            answer = await here.client.get(f"{SESSIONS}/{each}/images/{sha_of(PNG)}")
            assert answer.content == PNG
        await here.client.delete(f"{SESSIONS}/{fork}")
        await here.client.delete(f"{SESSIONS}/{session}")
    async with open_store(settings, verb="clean") as store:
        assert sha_of(PNG) not in await _named_contents(store)


@pytest.mark.parametrize(
    ("images", "status", "name"),
    [
        (["no base64!"], 422, "BadImage"),
        (sent(b"GIF89a and more"), 422, "BadImage"),
        (["data:image/png;base64," + sent(PNG)[0]], 422, "BadImage"),
        (sent(*[PNG] * 9), 422, "BadImage"),
        (sent(PNG + bytes(7 << 20)), 413, "ImagesTooLarge"),
    ],
    ids=["no base64", "a GIF", "a data address", "too many", "too large"],
)
async def test_what_cannot_be_taken_is_refused_and_leaves_nothing(
    tmp_path: Path, images: list[str], status: int, name: str
) -> None:
    async with seeing(tmp_path) as (here, _):
        session = await here.session(agent="ask")
        answer = await here.client.post(f"{SESSIONS}/{session}/messages", json={"text": "See", "images": images})
        assert problem(answer) == (status, name)
        assert answer.json()["hint"]
        assert await here.history(session) == []
        assert kinds(await here.say(session, "Hi")) == ["text", "done"], "no turn was begun"


async def test_a_model_without_eyes_is_told_of_in_words_and_no_image_is_sent(tmp_path: Path) -> None:
    async with seeing(tmp_path, vision=False) as (here, _):
        session = await here.session(agent="ask")
        body = {"text": "What is this?", "images": sent(PNG)}
        answer = await here.client.post(f"{SESSIONS}/{session}/messages", json=body)
        assert problem(answer) == (422, "CannotSee")
        assert "ask" in answer.json()["detail"]
        assert "roles" in answer.json()["hint"]
        assert await here.history(session) == []


async def test_a_history_with_images_is_told_to_a_model_without_eyes(tmp_path: Path, wire: list[Message]) -> None:
    async with seeing(tmp_path) as (here, _):
        session = await here.session(agent="ask")
        await here.say(session, "What is this?", images=sent(PNG))
    wire.clear()
    async with seeing(tmp_path, "A cat.", "I cannot see it.", vision=False) as (here, _):
        assert kinds(await here.say(session, "And now?")) == ["text", "done"]
    assert not any(message.images for message in wire)
    assert any("You cannot see it" in message.content for message in wire)


async def test_only_images_of_the_session_are_given_out(tmp_path: Path) -> None:
    async with seeing(tmp_path) as (here, _):
        one, other = await here.session(agent="ask"), await here.session(agent="ask")
        await here.say(one, "What is this?", images=sent(PNG))
        secret = await here.application.blobs.put(b"\x89PNG\r\n\x1a\n something else's")
        for session, name in ((other, sha_of(PNG)), (one, secret), (one, "../token")):
            answer = await here.client.get(f"{SESSIONS}/{session}/images/{name}")
            assert answer.status_code == 404


async def test_the_same_key_with_another_image_is_a_conflict(tmp_path: Path) -> None:
    async with seeing(tmp_path) as (here, _):
        session = await here.session(agent="ask")
        for images, status in ((sent(PNG), 202), (sent(PNG), 202), (sent(JPEG), 409)):
            answer = await here.client.post(
                f"{SESSIONS}/{session}/messages",
                json={"text": "See", "images": images},
                headers={"Idempotency-Key": "k1"},
            )
            assert answer.status_code == status
