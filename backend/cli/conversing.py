"""A conversation at the command line: which session it is about, what is said in it, what it says of itself.

Owns the state of a chat between two turns. A session is made by its first message, so that looking in leaves none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from agents.conversation.roster import AgentType
from agents.conversation.router import NoSuchAgent
from backend.attach.guest import HolderGone
from backend.cli.errors import Refused
from backend.cli.render import shortened
from backend.cli.speaking import Spoken
from backend.cli.talking import Ending, Turn
from infrastructure.conversation.saying import Said
from infrastructure.ids import new_id
from infrastructure.sessions.errors import BadMessage

if TYPE_CHECKING:
    from backend.cli.console import Terminal
    from backend.cli.hosting import Host
    from backend.cli.person import Person
    from backend.cli.tokens import Output
    from infrastructure.sessions.records import SessionRecord
    from infrastructure.tools.journal import Undone

_TITLE = 60


class Chat:
    """A conversation. `person` is None where nobody can be asked."""

    def __init__(
        self,
        host: Host,
        terminal: Terminal,
        *,
        workspace: str,
        session: SessionRecord | None = None,
        person: Person | None = None,
        output: Output = "text",
        quiet: bool = False,
        unattended: bool = False,
        undoing: str = "",
    ) -> None:
        self.host, self.terminal = host, terminal
        self.output: Output = output
        self.person = person
        self._unattended = unattended
        self._quiet = quiet
        self.session = "" if session is None else str(session.session)
        self.workspace = workspace if session is None else session.workspace
        self.undoing = undoing
        """The key of an undo that was asked for and has no answer; empty where there is none."""
        self._wanted = ""

    @property
    def wanted(self) -> str:
        """Who is to get the first message of a session that is not begun yet; empty where that is left open."""
        return self._wanted

    # ------------------------------------------------------------------------------------ who and where
    async def record(self) -> SessionRecord | None:
        """The session; None where nothing was said yet."""
        return await self.host.sessions.load(self.session) if self.session else None

    async def agent(self) -> str:
        """Who gets the next message."""
        if self._wanted:
            return self._wanted
        record = await self.record()
        spoke = record.agent if record is not None else ""
        known = spoke and any(each.name == spoke for each in await self.host.turns.agents())
        return spoke if known else str(AgentType.ORCHESTRATOR)

    async def use_agent(self, name: str) -> None:
        """Have this agent get the next message.

        Raises:
            NoSuchAgent: there is none of this name.
        """
        names = tuple(each.name for each in await self.host.turns.agents())
        if name not in names:
            raise NoSuchAgent(name, names)
        if self.session:
            await self.host.turns.switch(self.session, name)
        else:
            self._wanted = name

    def turn_to(self, session: SessionRecord | None) -> None:
        """Go on in another session; in a new one of the same folder where it is None."""
        self.session = "" if session is None else str(session.session)
        self._wanted = self.undoing = ""
        if session is not None:
            self.workspace = session.workspace

    # ------------------------------------------------------------------------------------ turns
    async def say(self, text: str) -> Ending:
        """Say something, and see the turn to its end or rest.

        Raises:
            ConversationError, SessionError, Refused: nothing was said.
        """
        if not self.session:
            agent = await self.agent()
            record = await self.host.sessions.begun(shortened(text, _TITLE), self.workspace, agent)
            self.session, self._wanted = str(record.session), ""
        try:
            return await self.see(Said(text, unattended=self._unattended)) or Ending()
        except BadMessage as error:
            raise Refused(str(error), "Say less at once; what is in a file an agent can read.") from None

    async def see(self, said: Said | None = None) -> Ending | None:
        """See the turn that this begins, or the open one, to its end or rest; None where none is open."""
        if not self.session:
            return None
        spoken = Spoken(self.terminal, self.output, quiet=self._quiet)
        return await Turn(self.host, self.session, spoken, self.terminal, self.person).see(said)

    async def undo(self) -> Undone:
        """Take back the session's last write; where that was asked for and never answered, it is the same undo.

        Raises:
            ConversationError, HolderRefused: a turn is open.
            HolderGone: whoever held the engine is gone; what became of it the next one knows.
        """
        key, self.undoing = self.undoing or new_id(), ""
        try:
            return await self.host.sessions.undo(self.session, key)
        except HolderGone:
            self.undoing = key
            raise

    async def check_model(self) -> None:
        """Return when the model of who gets the next message is there; a guest leaves that to the holder.

        Raises:
            NoServerAvailable, ModelNotFound, NoModel: it is not.
        """
        await self.host.turns.check_model(await self.agent())

    # ------------------------------------------------------------------------------------ telling
    def tell(self, text: str, style: str = "") -> None:
        """A line that a command was asked for: on stdout, unless that is for documents."""
        if self.output == "text":
            self.terminal.print_data(text, style)
        else:
            self.terminal.say(text, style)
