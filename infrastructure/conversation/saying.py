"""What a person says, as it begins a turn, and what is told of a turn when the same is said again.

Owns the name of a request: a client that has lost its connection sends the message again under the same key, and gets
the turn that it began.
"""

from __future__ import annotations

from dataclasses import dataclass

from agents.conversation.roster import AgentType
from infrastructure.conversation.driving import LiveTurn, conclude
from infrastructure.conversation.turns import TurnRecord
from infrastructure.storage.run_record import RequestKey


@dataclass(frozen=True, slots=True)
class Said:
    """A person's message.

    Attributes:
        text: The words.
        agent: Who is to answer; None leaves it to whoever spoke last, at first the orchestrator.
        unattended: Nobody is there to be asked.
        images: PNG or JPEG, in base64.
        key: The name that the client gave its request; empty where it gave none.
    """

    text: str
    agent: AgentType | str | None = None
    unattended: bool = False
    key: str = ""
    images: tuple[str, ...] = ()

    @property
    def request(self) -> RequestKey | None:
        """The request by its name and what it asks for; None for one without a name."""
        if not self.key:
            return None
        agent = self.agent and str(self.agent)
        asked = {"text": self.text, "agent": agent, "unattended": self.unattended, "images": self.images}
        return RequestKey.of(self.key, asked)


def ended(record: TurnRecord) -> LiveTurn:
    """A turn that is over, for one who watches: only its end is told, what was said stands in the history."""
    live = LiveTurn(record)
    conclude(live, record)
    return live
