"""Taking back a write of a session, so that its agents know.

Owns the words that the session keeps of it: a model that is not told goes on as if its change were there.
"""

from __future__ import annotations

from agents.model import Message
from infrastructure.conversation.orchestrator import MultiAgentOrchestrator
from infrastructure.conversation.ports import Sessions
from infrastructure.tools.journal import Undone, WriteJournal


class Undoing:
    """Takes back writes over the journal and the session's messages."""

    def __init__(self, conversations: MultiAgentOrchestrator, journal: WriteJournal, sessions: Sessions) -> None:
        self._conversations, self._journal, self._sessions = conversations, journal, sessions

    async def undo(self, session: str, key: str = "") -> Undone:
        """Take back the session's last write that was not, and say so in the session; safe to repeat after a crash.

        Args:
            session: Its id.
            key: The name that the client gave its request: sent again, it takes back nothing more, and is told what it
                took back, whatever has begun since. Empty where it gave none.

        Raises:
            SessionBusy: A turn is open; what it does next may rest on the write.
            StorageError: The receipts or the old content cannot be read, or the word of it not be kept.
        """

        async def tell(undone: Undone) -> None:
            message = Message("user", told(undone))
            await self._sessions.append_message(session, message, key=f"undo/{undone.call}")
            await self._sessions.flush(session)  # the receipt is settled after this, and never told again

        if key and (before := await self._journal.undone(session, key)) is not None:
            return before
        return await self._conversations.between_turns(session, lambda: self._journal.undo(session, tell, request=key))


def told(undone: Undone) -> str:
    """What the session keeps of it: the person's own deed, in words for the next agent."""
    return f"(I took back your last write: {undone.text}. Your change is gone; read the file again before you go on.)"
