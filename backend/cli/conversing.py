"""A conversation at the command line: which session it is about, what is said in it, what it says of itself.

Owns the state of a chat between two turns. A session is made by its first message, so that looking in leaves none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from agents.conversation.roster import AgentType
from agents.conversation.router import NoSuchAgent
from backend.cli.errors import Refused
from backend.cli.render import shortened
from backend.cli.speaking import Spoken
from backend.cli.talking import Ending, Turn
from infrastructure.conversation.saying import Said
from infrastructure.sessions.errors import BadMessage
from infrastructure.workflow.lanes import choose_model
from infrastructure.workflow.standalone import offer_of

if TYPE_CHECKING:
    from backend.bootstrap import Application
    from backend.cli.console import Terminal
    from backend.cli.person import Person
    from backend.cli.tokens import Output
    from infrastructure.sessions.records import SessionRecord

_TITLE = 60


class Chat:
    """A conversation. `person` is None where nobody can be asked."""

    def __init__(
        self,
        app: Application,
        terminal: Terminal,
        *,
        workspace: str,
        session: SessionRecord | None = None,
        person: Person | None = None,
        output: Output = "text",
        quiet: bool = False,
        unattended: bool = False,
    ) -> None:
        self.app, self.terminal = app, terminal
        self.output: Output = output
        self.person = person
        self._unattended = unattended
        self._quiet = quiet
        self.session = "" if session is None else str(session.session)
        self.workspace = workspace if session is None else session.workspace
        self._wanted = ""

    # ------------------------------------------------------------------------------------ who and where
    async def record(self) -> SessionRecord | None:
        """The session; None where nothing was said yet."""
        return await self.app.sessions.load(self.session) if self.session else None

    async def agent(self) -> str:
        """Who gets the next message."""
        if self._wanted:
            return self._wanted
        spoke = (await self.app.agent_contexts.get_or_create(self.session)).agent if self.session else ""
        return spoke if spoke in self.app.conversations.router else str(AgentType.ORCHESTRATOR)

    async def use_agent(self, name: str) -> None:
        """Have this agent get the next message.

        Raises:
            NoSuchAgent: there is none of this name.
        """
        router = self.app.conversations.router
        if name not in router:
            raise NoSuchAgent(name, router.names)
        if self.session:
            await self.app.agent_contexts.switch_agent(self.session, name, by="person")
        else:
            self._wanted = name

    def turn_to(self, session: SessionRecord | None) -> None:
        """Go on in another session; in a new one of the same folder where it is None."""
        self.session = "" if session is None else str(session.session)
        self._wanted = ""
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
            record = await self.app.sessions.create(
                title=shortened(text, _TITLE), workspace=self.workspace, agent=agent
            )
            self.session, self._wanted = str(record.session), ""
        try:
            await self.app.conversations.begin(self.session, Said(text, unattended=self._unattended))
        except BadMessage as error:
            raise Refused(str(error), "Say less at once; what is in a file an agent can read.") from None
        return await self.see() or Ending()

    async def see(self) -> Ending | None:
        """See the session's open turn to its end or rest; None where none is open."""
        if not self.session:
            return None
        spoken = Spoken(self.terminal, self.output, quiet=self._quiet)
        return await Turn(self.app, self.session, spoken, self.terminal, self.person).see()

    async def check_model(self) -> None:
        """Return when the model of who gets the next message is there.

        Raises:
            NoServerAvailable, ModelNotFound, NoModel: it is not.
        """
        name = await self.agent()
        settings = self.app.settings
        lane = self.app.conversations.router.profile(name).lane or settings.roles.get(name) or settings.model
        if lane:
            await self.app.pool.show(lane)
        else:
            choose_model([offer_of(model) for model in await self.app.pool.models()])

    # ------------------------------------------------------------------------------------ telling
    def tell(self, text: str, style: str = "") -> None:
        """A line that a command was asked for: on stdout, unless that is for documents."""
        if self.output == "text":
            self.terminal.print_data(text, style)
        else:
            self.terminal.say(text, style)
