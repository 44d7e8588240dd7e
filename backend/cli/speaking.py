"""A turn as a person sees it: words as they come, a line for each call and for what came of it.

Owns what goes where. Words of an agent are data and go to stdout; thinking, calls and who speaks go to stderr. Where
stdout is no terminal a message is written when it is whole, since what was streamed may be taken back.
"""

from __future__ import annotations

from rich.text import Text

from agents.conversation.chunks import StreamChunk
from backend.cli.brief import call_line, result_line
from backend.cli.console import Terminal, visible
from backend.cli.tokens import Output


class Spoken:
    """Shows the chunks of one turn after the other. `quiet` leaves out everything but the words."""

    def __init__(self, terminal: Terminal, output: Output = "text", *, quiet: bool = False) -> None:
        self._terminal, self._output = terminal, output
        self._quiet = quiet
        self._live = output == "text" and terminal.out.is_terminal
        self._agent = ""
        self._pieces: list[str] = []
        self._open: str = ""  # what the line holds that is not ended yet: `text`, `thinking`, or nothing

    def show(self, chunk: StreamChunk, session: str = "") -> None:
        """Take a chunk in."""
        if self._output == "ndjson":
            self._terminal.data(document_of(chunk, session))
        match chunk.kind:
            case "text":
                self._text(chunk)
            case "thinking":
                self._thinking(chunk)
            case "restarted":
                self._restarted(chunk)
            case _:
                self._event(chunk)

    def close(self) -> None:
        """End whatever line is open. Idempotent; pieces of a message that was never whole are dropped."""
        self._pieces.clear()
        self._end_line()
        self._agent = ""

    def line(self, text: str, style: str = "") -> None:
        """A line beside the words."""
        self._end_line()
        if not self._quiet:
            self._terminal.say(text, style)

    # ------------------------------------------------------------------------------------ pieces
    def _text(self, chunk: StreamChunk) -> None:
        if chunk.text:
            self._pieces.append(chunk.text)
            if self._live:
                self._speaks(chunk.agent)
                if self._open != "text":
                    self._end_line()
                self._terminal.raw(chunk.text)
                self._open = "" if chunk.text.endswith("\n") else "text"
        if chunk.message:
            self._whole(chunk)

    def _whole(self, chunk: StreamChunk) -> None:
        """The message is complete, and in the session."""
        text = "".join(self._pieces)
        self._pieces.clear()
        if self._live or self._output != "text":
            self._end_line()
        elif text.strip():
            self._speaks(chunk.agent)
            self._terminal.raw(text if text.endswith("\n") else f"{text}\n")

    def _thinking(self, chunk: StreamChunk) -> None:
        if self._quiet or not chunk.text or not self._terminal.err.is_terminal:
            return
        self._speaks(chunk.agent)
        if self._open != "thinking":
            self._end_line()
        self._terminal.err.print(Text(visible(chunk.text), style="dim"), end="", soft_wrap=True)
        self._open = "" if chunk.text.endswith("\n") else "thinking"

    def _restarted(self, chunk: StreamChunk) -> None:
        said = bool(self._pieces)
        self._pieces.clear()
        if said and self._live:
            why = f" ({chunk.text})" if chunk.text else ""
            self.line(f"  ↺ that is taken back{why}", "yellow")

    # ------------------------------------------------------------------------------------ lines
    def _event(self, chunk: StreamChunk) -> None:
        match chunk.kind:
            case "tool_call":
                self._speaks(chunk.agent)
                self.line(f"  → {call_line(chunk.tool, chunk.arguments)}", "cyan")
            case "tool_result":
                mark, style = ("✓", "green") if chunk.ok else ("✗", "red")
                self.line(f"  {mark} {result_line(chunk.tool, chunk.text, ok=chunk.ok)}", style)
            case "switch":
                why = f": {chunk.text}" if chunk.text else ""
                self.line(f"  ⇄ over to {chunk.agent}{why}", "magenta")
            case "client_call":
                self.line(f"  … {call_line(chunk.tool, chunk.arguments)} waits for the session's client", "yellow")
            case _:
                self._end_line()

    def _speaks(self, agent: str) -> None:
        """Say who speaks, when that changes."""
        if agent and agent != self._agent:
            self._agent = agent
            if not self._quiet:
                self.line(f"{agent}:", "bold")

    def _end_line(self) -> None:
        if self._open == "text":
            self._terminal.raw("\n")
        elif self._open == "thinking":
            self._terminal.err.print()
        self._open = ""


def document_of(chunk: StreamChunk, session: str) -> dict[str, object]:
    """A chunk in one JSON object: its kind, and what it has."""
    told: dict[str, object] = {"kind": chunk.kind, "session": session, "agent": chunk.agent}
    for name in ("text", "call", "tool", "arguments", "approval", "message"):
        value = getattr(chunk, name)
        if value or (name == "arguments" and value is not None):
            told[name] = value
    if chunk.kind in ("tool_result", "done", "failed"):
        told["ok"] = chunk.ok
    return told
