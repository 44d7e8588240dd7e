"""Images in messages: taken in, kept among the blobs, handed to models that can see.

A session's message holds the names of its images (SHA-256 of their bytes); what is in them is read when a model is
asked. So a history in memory stays small, and the same image is kept once.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace

from agents.model import Message
from infrastructure.conversation.errors import BadImage, CannotSee, ImagesTooLarge
from infrastructure.storage.blobs import Blobs
from infrastructure.storage.errors import CorruptBlob, MissingBlob

MOST = 8
"""Images of one message."""
MOST_BYTES = 7 << 20
"""Of all images of one message (a request has at most 10 MB, in base64), and of all that a model is shown at once."""
VISION = "vision"
"""What a server calls a model's ability to see."""
_BEGINNINGS = {b"\x89PNG\r\n\x1a\n": "image/png", b"\xff\xd8\xff": "image/jpeg"}
_UNSEEN = "[An image was sent with this message. You cannot see it.]"
_EARLIER = "[An image was sent with this message. It is not shown again: newer ones take the room.]"
_GONE = "[An image was sent with this message. It is no longer there.]"

Sees = Callable[[str], Awaitable[bool]]
"""Whether an agent's model can see."""


def media_type(content: bytes) -> str:
    """What an image is, by its first bytes; empty for anything that Ollama of every version does not take."""
    return next((kind for beginning, kind in _BEGINNINGS.items() if content.startswith(beginning)), "")


class Images:
    """Images of messages over a store of blobs. Failures of the store are its own."""

    def __init__(self, blobs: Blobs, sees: Sees) -> None:
        self._blobs = blobs
        self._sees = sees

    async def keep(self, given: Sequence[str], agent: str) -> tuple[str, ...]:
        """Keep what a person sent for this agent, in base64; the names. They are on disk when this returns.

        Raises:
            BadImage: one is no PNG or JPEG in base64, or there are too many.
            ImagesTooLarge: together they are.
            CannotSee: the agent's model has no eyes.
        """
        if not given:
            return ()
        if len(given) > MOST:
            raise BadImage(f"a message has at most {MOST} images, not {len(given)}")
        contents = [_decoded(number, text) for number, text in enumerate(given, 1)]
        if (size := sum(map(len, contents))) > MOST_BYTES:
            raise ImagesTooLarge(size, MOST_BYTES)
        if not await self._sees(agent):
            raise CannotSee(agent)
        return tuple([await self._blobs.put(content) for content in contents])

    async def shown(self, messages: Sequence[Message], agent: str) -> tuple[Message, ...]:
        """The messages as the agent's model gets them: with what is in their images, or a word why it is not shown."""
        if not any(message.images for message in messages):
            return tuple(messages)
        sees, room, shown = await self._sees(agent), MOST_BYTES, list[Message]()
        for message in reversed(messages):  # the newest first: what a person shows now is what it is about
            if message.images:
                message, room = await self._one(message, room if sees else 0, _EARLIER if sees else _UNSEEN)
            shown.append(message)
        return tuple(reversed(shown))

    async def _one(self, message: Message, room: int, otherwise: str) -> tuple[Message, int]:
        """The message with its images as far as there is room for bytes, or else with a word; and what room is left."""
        found, words = list[str](), dict[str, None]()
        for name in message.images:
            try:
                content = await self._blobs.get(name) if room else b""
            except (MissingBlob, CorruptBlob):
                words[_GONE] = None
                continue
            if not content or len(content) > room:
                words[otherwise] = None
                room = 0  # nothing older takes the place of a newer one
                continue
            room -= len(content)
            found.append((await asyncio.to_thread(base64.b64encode, content)).decode())
        content = "\n".join((message.content, *words))
        return replace(message, images=tuple(found), content=content), room


def _decoded(number: int, text: str) -> bytes:
    try:
        content = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise BadImage(f"image {number} is not base64; send it without a `data:` prefix") from None
    if not media_type(content):
        raise BadImage(f"image {number} is neither a PNG nor a JPEG")
    return content
