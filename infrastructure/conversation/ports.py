"""What the conversation needs of sessions, tools and people, as ports, and the values that cross them.

Owns no behaviour. A session's store is `agents.conversation.ports.SessionPort`, with what a turn has to know besides.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Literal, Protocol, TypeAlias

from agents.conversation.ports import SessionPort
from agents.model import JsonObject, Message, Tool, ToolCall
from infrastructure.events.catalogue import AnyEvent
from infrastructure.events.log import EventLog
from infrastructure.sessions.ports import Recorder
from infrastructure.storage.connection import Work

Announce: TypeAlias = Callable[[str, AnyEvent], None]
"""Puts an event into the log of a session, in order, without waiting."""

Where: TypeAlias = Literal["local", "client"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionFacts:
    """What a turn has to know of its session beside the messages. `agent` is who spoke last; empty before."""

    workspace: str = ""
    agent: str = ""
    todos: tuple[str, ...] = ()


class Sessions(SessionPort, Protocol):
    """The store of sessions."""

    def held(self, session_id: str) -> AbstractAsyncContextManager[object]:
        """Load the session and keep it in memory: only within this may its history be read.

        Raises the store's own error where there is no such session.
        """
        ...

    async def facts(self, session_id: str) -> SessionFacts:
        """What is known of a session; raises as `held`."""
        ...

    async def is_kept(self, session_id: str, key: str) -> bool:
        """Whether there is a message that was written under this key; none is where there is no such session."""
        ...

    async def flush(self, session_id: str) -> None:
        """Return when all that was said in the session is on disk, and in its history.

        Also what was on its way when whoever said it was cancelled.
        """
        ...

    async def append_message(
        self, session_id: str, message: Message, *, agent: str = "", key: str = "", along: Work[None] | None = None
    ) -> int:
        """As `SessionPort`'s; `along` is kept with the message in one transaction, or before it where that waits."""
        ...

    async def append_summary(self, session_id: str, text: str, upto: int, key: str, *, agent: str = "") -> int:
        """Append a summary, a message whose role is `system`, that stands for all messages up to a number."""
        ...

    async def switch_agent(self, session_id: str, agent: str, *, reason: str, by: Literal["agent", "person"]) -> None:
        """Have another agent speak from here on, told as an event; to the one that speaks it is no switch."""
        ...

    async def delete(self, session_id: str, before: Sequence[AnyEvent], along: Work[None]) -> None:
        """Remove a session; it takes no message from then on. Raises as `held`.

        One transaction with `along` and with `before`, events that are told before the word that it is gone.
        """
        ...


class TurnLog(EventLog, Recorder, Protocol):
    """The event log, as far as turns use it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolSheet:
    """A tool as the conversation sees it.

    Attributes:
        tool: As a model is offered it.
        where: Who does a call: Corral, or the client of the session.
        effects: Whether a call may change something, so that it is never done twice unasked.
        asks: Whether a person is usually asked before.
    """

    tool: Tool
    where: Where = "local"
    effects: bool = False
    asks: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolPlace:
    """Where a call is done.

    Attributes:
        session: Whose call it is.
        workspace: The session's folder; empty where it has none.
        agent: Who asks.
        call: The id of the call.
        writes_only: Globs of the only files that may be written; None for any.
        agents: Who a turn may be handed over to.
        held: The level of the sandbox for whose sake nobody was asked about the call: it is done there or not at all.
        unasked: Whether neither a person nor a rule has said yes to the call, since it was judged to be safe.
    """

    session: str
    workspace: str = ""
    agent: str = ""
    call: str = ""
    writes_only: tuple[str, ...] | None = None
    agents: tuple[str, ...] = ()
    held: str = ""
    unasked: bool = False


@dataclass(frozen=True, slots=True)
class ToolOutcome:
    """What came of a call; a call that went wrong is one too. `error_class` is a word for how.

    `sandbox` is the level of the sandbox that a program was run in.
    """

    text: str
    ok: bool = True
    error_class: str = ""
    sandbox: str = ""


class Toolbox(Protocol):
    """The tools of a session. What goes wrong with a call is an outcome; only cancelling raises."""

    async def ready(self, session: str) -> None:
        """Have the tools that come from servers and from the session's client; called before a turn goes on."""
        ...

    def offered(self, session: str, names: Sequence[str], at_most: int) -> tuple[ToolSheet, ...]:
        """The tools of these names and patterns that there are, in their order, `at_most` of them."""
        ...

    def sheet(self, session: str, name: str) -> ToolSheet | None:
        """The tool of exactly this name."""
        ...

    def received(self, tool: str, text: str, ok: bool) -> ToolOutcome:
        """What a client says came of its call, as a model may be shown it."""
        ...

    def check(self, session: str, call: ToolCall) -> ToolCall | ToolOutcome:
        """The call with its arguments as the tool takes them, or why it cannot be made."""
        ...

    async def run(self, call: ToolCall, place: ToolPlace) -> ToolOutcome:
        """Do a checked call here."""
        ...

    async def left(self, session: str, call: str) -> ToolOutcome | None:
        """What a call that was cut off has written, or may have; None where that is nothing."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """Whether a call may be made: at once, after a yes (`ask`), or not (`refuse`); and why.

    `held` is the level of a sandbox that nothing of the call can leave, which is then a yes by itself.
    """

    kind: Literal["run", "ask", "refuse"]
    why: str = ""
    danger: str = ""
    held: str = ""


DecisionKind: TypeAlias = Literal["approve", "edit", "reject", "respond", "expired"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Decided:
    """What was said about a call.

    Attributes:
        kind: `approve` does it, `edit` does it with `arguments`, `respond` gives `text` as its result; `reject` and
            `expired` do not do it.
        text: The reason, or the response.
        arguments: Of an `edit`.
    """

    kind: DecisionKind
    text: str = ""
    arguments: JsonObject | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A question: its id, and the answer where there is one that was not used yet.

    `held` is the level of the sandbox that gave it, and only there it holds.
    """

    approval: str
    decided: Decided | None = None
    held: str = ""


@dataclass(frozen=True, slots=True)
class Withdrawal:
    """The work that takes back what a session asked, and what lets those go who wait for it, once that is on disk."""

    work: Work[None]
    tell: Callable[[], None]


class Approvals(Protocol):
    """Asks people. Everything asked and answered outlives the process. Failures are the store's own errors."""

    async def judge(self, call: ToolCall, sheet: ToolSheet, place: ToolPlace) -> Verdict:
        """Whether the call may be made; code says so, and rules that a person made."""
        ...

    async def request(self, turn: str, call: ToolCall, place: ToolPlace, verdict: Verdict) -> Asked:
        """Ask for this call; asking again for the same call gives the same question."""
        ...

    async def unasked(self, call: ToolCall, place: ToolPlace, verdict: Verdict) -> Asked | None:
        """The answer that rules or the sandbox give where nobody is there; None where a person would have to."""
        ...

    async def useful(self, session: str, workspace: str, names: Collection[str]) -> frozenset[str]:
        """Which of these tools, whose calls ask, can be allowed by rules or by the sandbox where nobody is there."""
        ...

    async def use(self, approval: str, call: ToolCall) -> None:
        """Take the yes for exactly this call (as it was asked for, or with the arguments of the `edit`), once.

        Raises:
            ApprovalRefused: it is for another call, or was used.
        """
        ...

    async def decide(self, approval: str, decision: Decided, by: str) -> str:
        """Write an answer down; the session it belongs to. Raises the manager's own error where it is not pending."""
        ...

    async def withdraw(self, session: str, call: str | None = None) -> None:
        """Nobody waits for what the session asked any more, or for what was asked of one call."""
        ...

    def withdrawal(self, session: str) -> Withdrawal:
        """As `withdraw`, in a transaction of the caller's, who tells when it is on disk."""
        ...


@dataclass(frozen=True, slots=True)
class Recovered:
    """What was read out of an answer whose calls may be printed as text.

    Attributes:
        text: The answer without them.
        calls: Those that could be read.
        problems: What the model is told of the others.
    """

    text: str
    calls: tuple[ToolCall, ...] = ()
    problems: tuple[str, ...] = ()


ReadCalls: TypeAlias = Callable[[str, Sequence[Tool], Sequence[str]], Recovered]
"""Reads an answer, given the tools that were offered, and what others said, which a model may only repeat."""
