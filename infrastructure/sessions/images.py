"""Which images messages name: their content lies among the blobs."""

from __future__ import annotations

from infrastructure.storage.database import Readable

_NAMED = "SELECT DISTINCT value FROM messages, json_each(messages.body, '$.images') WHERE body LIKE '%\"images\":%'"


async def images_of(database: Readable, session: str = "") -> frozenset[str]:
    """The names that messages of the session bear; of all sessions where none is given: what `clean` must keep."""
    where, values = (" AND session = ?", (session,)) if session else ("", ())
    return await database.read(lambda on: frozenset(name for (name,) in on.execute(_NAMED + where, values)))
