"""`corral chat`: a conversation with agents, line by line."""

import asyncio
import signal
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from agents.conversation.router import NoSuchAgent
from backend.attach.guest import HolderRefused
from backend.cli.brief import call_line
from backend.cli.console import Terminal, is_dumb, open_terminal
from backend.cli.conversing import Chat
from backend.cli.errors import ENVIRONMENT, FAILED, INTERRUPTED, NEEDS_INPUT, Refused, explain
from backend.cli.hosting import Host
from backend.cli.joining import at_the_engine
from backend.cli.options import NO_OPTIONS, Common, OutputOption, again, settings_of
from backend.cli.person import Person
from backend.cli.picking import last_of, list_sessions, named_session
from backend.cli.scripted import InputLines
from backend.cli.seating import NOTHING_WANTED, UNHELD, Wanted, wanted_of
from backend.cli.slashes import greet, message_of, obey
from backend.cli.speaking import document_of
from backend.cli.talking import Ending
from backend.cli.tokens import Output
from infrastructure.config.settings import Settings
from infrastructure.conversation.errors import ConversationError, SessionBusy
from infrastructure.sessions.approvals import ApprovalError
from infrastructure.sessions.errors import SessionError, UnknownSession
from infrastructure.storage.directory import DataDirectory
from infrastructure.transport.errors import OllamaError
from infrastructure.workflow.lanes import NoModel

VERB = "chat"
TERMINATED = 128 + signal.SIGTERM
_CODES = {"done": 0, "failed": FAILED, "cancelled": INTERRUPTED, "waiting": NEEDS_INPUT, "left": NEEDS_INPUT}
_TAKEN = (ConversationError, SessionError, ApprovalError, NoSuchAgent, Refused, HolderRefused)
"""Errors that a chat says and goes on after."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What the command line asks for."""

    session: str | None
    agent: str | None
    folder: Path | None
    new: bool
    once: str | None
    output: Output
    quiet: bool
    again: str
    wanted: Wanted = NOTHING_WANTED
    undoing: str = ""

    def after(self, chat: Chat) -> "Asked":
        """What is asked for where a chat goes on at another holder: its session, or the one it had yet to begin."""
        if chat.session:
            return replace(self, session=chat.session, folder=None, agent=None, undoing=chat.undoing)
        folder = Path(chat.workspace) if chat.workspace else self.folder
        return replace(self, session=None, new=True, folder=folder, agent=chat.wanted or None)


def chat(
    session: Annotated[
        str | None, Parameter(help="The session's id, or as much of its beginning as names only one.")
    ] = None,
    /,
    *,
    agent: Annotated[str | None, Parameter(help="Who gets the first message; see /agents.")] = None,
    repo: Annotated[Path | None, Parameter(help="Folder that a new session works in; the current one.")] = None,
    new: Annotated[bool, Parameter(help="Begin a new session, also where the folder has one.")] = False,
    once: Annotated[str | None, Parameter(help="Say this one message, print the answer, and end.")] = None,
    list_: Annotated[bool, Parameter(name="--list", help="List the sessions, and end.")] = False,
    output: OutputOption = "text",
    common: Common = NO_OPTIONS,
) -> int:
    """Talk with agents that read, change and run a repository, and ask before they change it.

    At a terminal the folder's last session goes on, unless --new or a SESSION is given; /help lists what can be typed.
    Elsewhere each line of standard input is a message of a new session, and calls that need a yes are not made.
    """
    terminal = open_terminal()
    if is_dumb():  # it can be asked for a line, not for a key
        terminal = replace(terminal, interactive=False)
    settings = settings_of(common)
    if list_:
        return list_sessions(settings, terminal, output)
    if new and session:
        raise Refused("--new and a SESSION say two things", "Leave one of them out.")
    if once is not None and not once.strip():
        raise Refused("--once: the message is empty", 'Say something, as in --once "What does main.py do?".')
    if output != "text" and once is None and sys.stdin.isatty():
        raise Refused(f"--output {output} is for --once, or for messages from a pipe", "Leave it out at a terminal.")
    if once is None and sys.stdin.isatty() and not terminal.interactive:
        why = (
            "on a terminal that obeys codes, not one with TERM=dumb"
            if is_dumb()
            else "on stderr, which is no terminal here"
        )
        raise Refused(f"a chat asks {why}", 'Use --once "…", or take another terminal.')
    asked = Asked(
        session=session,
        agent=agent,
        folder=None if repo is None else _folder(repo),
        new=new,
        once=once,
        output=output,
        quiet=common.quiet,
        again=again(common),
        wanted=wanted_of(common, settings),
    )
    return asyncio.run(_chat(asked, settings, terminal))


async def _chat(asked: Asked, settings: Settings, terminal: Terminal) -> int:
    """The whole chat; SIGTERM ends it as leaving does, so that the terminal is as it was before."""
    talking = asyncio.ensure_future(_held(asked, settings, terminal))
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, talking.cancel)
    try:
        await asyncio.wait([talking])
    except asyncio.CancelledError:  # Ctrl-C where nothing else takes it
        talking.cancel()
        await asyncio.wait([talking])
        raise
    return TERMINATED if talking.cancelled() else talking.result()


async def _held(asked: Asked, settings: Settings, terminal: Terminal) -> int:
    talks: list[Chat] = []

    async def talk(host: Host) -> int:
        wanted = asked.after(talks[-1]) if talks else asked
        talks.append(await opened_chat(wanted, host, settings, terminal))
        return await _talked(talks[-1], asked)

    def gone(who: str) -> None:
        session = talks[-1].session if talks else ""
        if not terminal.interactive or asked.once is not None:
            hint = f"See how it went: corral chat {session}{asked.again}" if session else "Say it again."
            raise Refused(f"{who}, which held the engine, is gone", hint, ENVIRONMENT)
        terminal.say(f"{who} is gone; what was not answered goes on below, or was not said", "yellow")

    return await at_the_engine(settings, VERB, terminal, asked.wanted, talk, gone)


async def _talked(talk: Chat, asked: Asked) -> int:
    if asked.once is not None:
        return await _once(talk, asked)
    return await (converse(talk, asked) if talk.person is not None else _read_messages(talk, asked))


async def opened_chat(asked: Asked, host: Host, settings: Settings, terminal: Terminal) -> Chat:
    """The conversation that was asked for.

    Raises:
        Refused: there is no such session, or it works in another folder.
        NoSuchAgent: there is no such agent.
    """
    at_prompt = asked.once is None and terminal.interactive
    workspace = str(asked.folder or await asyncio.to_thread(Path.cwd))
    record = None
    if asked.session is not None:
        record = await named_session(host.sessions, asked.session)
        if asked.folder is not None and record.workspace != str(asked.folder):
            raise Refused(
                f"session {record.session} works in {record.workspace or 'no folder'}, not in {asked.folder}",
                "Leave --repo out, or begin a session there: --new --repo DIR.",
            )
    elif at_prompt and not asked.new:
        record = await last_of(host.sessions, workspace)
    talk = Chat(
        host,
        terminal,
        workspace=workspace,
        session=record,
        person=_at_terminal(settings) if terminal.interactive else None,
        output=asked.output,
        quiet=asked.quiet,
        unattended=asked.once is None and not terminal.interactive,
        undoing=asked.undoing,
    )
    if asked.agent is not None:
        await talk.use_agent(asked.agent)
    if await host.turns.is_unheld():
        terminal.warn(UNHELD)
    if talk.workspace and not await asyncio.to_thread(Path(talk.workspace).is_dir):
        terminal.warn(f"{talk.workspace}, where this session works, is not there")
    return talk


def _at_terminal(settings: Settings) -> Person:
    from backend.cli.lining import AtTerminal, LineHistory  # noqa: PLC0415 - only who types needs it

    return AtTerminal(LineHistory(DataDirectory(settings.paths.data).chat_history))


# ---------------------------------------------------------------------------------------------- at a terminal
async def converse(talk: Chat, asked: Asked) -> int:
    """Until the person leaves."""
    person, terminal = talk.person, talk.terminal
    assert person is not None
    await greet(talk)
    try:
        await talk.check_model()
    except (OllamaError, NoModel) as error:
        known = explain(error)
        terminal.warn(f"{known.message}. {known.hint}")
    ending = await _seen(talk)
    unanswered = "/undo" if talk.undoing else None
    while ending is None or ending.status != "left":
        _say_ending(ending, terminal)
        ending = None
        text, unanswered = unanswered or await person.message(f"{await _speaker(talk)}> "), None
        if text is None:
            break
        if not text.strip():
            continue
        try:
            said = message_of(text.strip())
            if said is not None:
                ending = await talk.say(said)
            elif not await obey(talk, text.strip()):
                break
        except _TAKEN as error:
            _not_taken(talk, error)
            if _is(error, SessionBusy):
                ending = await _seen(talk)
    if talk.session:
        left = "; its question stays open" if ending is not None and ending.status == "left" else ""
        terminal.say(f"session {talk.session}{left}. Come back: corral chat {talk.session}{asked.again}", "dim")
    return 0


async def _seen(talk: Chat) -> Ending | None:
    """The turn that is open, seen to its end or rest; None where none is, or it is not shown."""
    try:
        return await talk.see()
    except _TAKEN as error:
        _not_taken(talk, error)
        return None


async def _speaker(talk: Chat) -> str:
    """Who gets the next message; empty where that is not told."""
    try:
        return await talk.agent()
    except _TAKEN as error:
        _not_taken(talk, error)
    return "" if talk.session else await talk.agent()


def _not_taken(talk: Chat, error: Exception) -> None:
    """Say why; a session that was deleted elsewhere is left for a new one."""
    known = explain(error)
    talk.terminal.problem(known.message, known.hint)
    if _is(error, UnknownSession):
        talk.turn_to(None)


def _is(error: Exception, kind: type[Exception]) -> bool:
    """Whether it is one of these, here or at the holder."""
    return isinstance(error, kind) or getattr(error, "error_class", "") == kind.__name__


def _say_ending(ending: Ending | None, terminal: Terminal) -> None:
    if ending is not None and ending.status == "cancelled":
        terminal.say("stopped; what was said so far is kept", "yellow")
    elif ending is not None and ending.status == "failed":
        terminal.say(f"error: {ending.reason}", "red")


# ---------------------------------------------------------------------------------------------- without one
async def _once(talk: Chat, asked: Asked) -> int:
    """One message; its exit code says how the turn ended."""
    assert asked.once is not None
    before = await talk.see()
    if before is not None and before.status in ("waiting", "left"):
        return _conclude(talk, before, asked, "the session waits for an answer from before: nothing was said")
    await talk.check_model()
    ending = await talk.say(asked.once)
    if ending.status in ("waiting", "left"):
        return _conclude(talk, ending, asked, "a person is needed")
    return _conclude(talk, ending, asked)


async def _read_messages(talk: Chat, asked: Asked) -> int:
    """Each line of standard input as a message, until one goes wrong."""
    lines, terminal = InputLines(sys.stdin.fileno()), talk.terminal
    before = await talk.see()
    if before is not None and before.status == "waiting":
        return _conclude(talk, before, asked, "the session waits for an answer from before: nothing was said")
    terminal.say(
        "each line of standard input is a message; nobody can be asked, so what needs a yes is not done", "dim"
    )
    await talk.check_model()
    ending = Ending()
    while (text := await lines.message()) is not None:
        if not text.strip():
            continue
        said = message_of(text.strip())
        if said is None:
            if not await obey(talk, text.strip()):
                break
            continue
        ending = await talk.say(said)
        if asked.output != "text":
            terminal.data(_document(talk, ending))
        if ending.status != "done":
            break
    return _conclude(talk, ending, asked, told=True)


def _conclude(talk: Chat, ending: Ending, asked: Asked, waits: str = "", *, told: bool = False) -> int:
    """Say how it ended, and print the document where one is asked for and was not `told`; the exit code."""
    terminal = talk.terminal
    if asked.output != "text" and not told:
        terminal.data(_document(talk, ending))
    back = f"corral chat {talk.session}{asked.again}"
    if waits:
        for each in ending.waits:
            terminal.say(f"  {call_line(each.tool, each.arguments)} ({each.text or 'waits'})", "yellow")
        terminal.problem(waits, f"Answer at a terminal: {back}")
    elif ending.status in ("failed", "cancelled"):
        terminal.problem(ending.reason or ending.status, f"Go on: {back}")
    elif talk.session and not asked.quiet:
        terminal.say(f"session {talk.session}. Go on: {back}", "dim")
    return _CODES[ending.status]


def _document(talk: Chat, ending: Ending) -> dict[str, object]:
    """How a turn ended, for programs."""
    return {
        "kind": "result",
        "session": talk.session,
        "agent": ending.agent,
        "status": ending.status,
        "exit_code": _CODES[ending.status],
        "text": "\n\n".join(text for text in ending.text if text.strip()),
        "reason": ending.reason,
        "waits": [document_of(each, talk.session) for each in ending.waits],
    }


def _folder(repo: Path) -> Path:
    if not repo.is_dir():
        there = "is a file" if repo.exists() else "is not there"
        raise Refused(f"{repo} {there}", "Name an existing folder with --repo.")
    return repo.resolve()
