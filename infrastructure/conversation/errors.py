"""What can go wrong with a conversation. Each error has a `hint`: what to do next."""

from __future__ import annotations


class ConversationError(Exception):
    """The conversation cannot do that."""

    hint = ""


class SessionBusy(ConversationError):
    """A turn of the session is not over yet."""

    def __init__(self, session: str, turn: str, waits_for: str = "") -> None:
        waits = f", it waits for {waits_for}" if waits_for else ""
        super().__init__(f"the session {session} is in the middle of a turn{waits}")
        self.session, self.turn, self.waits_for = session, turn, waits_for
        self.hint = "Wait until it is over, answer what it waits for, or cancel it."


class BadImage(ConversationError):
    """An image cannot be taken; the text says why."""

    hint = "Send PNG or JPEG, in base64."


class ImagesTooLarge(BadImage):
    """The images of a message have more bytes than they may have together."""

    hint = "Send fewer, or smaller ones."

    def __init__(self, size: int, most: int) -> None:
        super().__init__(f"the images of the message have {size:,} bytes, and {most:,} are allowed")
        self.size, self.most = size, most


class CannotSee(ConversationError):
    """The agent's model takes no images."""

    def __init__(self, agent: str) -> None:
        super().__init__(f"the model that answers for {agent} cannot see images")
        self.agent = agent
        self.hint = f"Name a model with vision for {agent} under `roles`, or ask another agent, or send no image."


class KeyReused(ConversationError):
    """The request's key stands for another message."""

    hint = "Use a new key for a new message."

    def __init__(self, key: str, turn: str) -> None:
        super().__init__(f"the key {key!r} was used for another message: turn {turn}")
        self.key, self.turn = key, turn


class NothingToStop(ConversationError):
    """No turn of the session is under way."""

    hint = "Send a message to begin one."

    def __init__(self, session: str) -> None:
        super().__init__(f"no turn of the session {session} is under way")
        self.session = session


class UnknownCall(ConversationError):
    """The session has no such call for its client."""

    hint = "Take the id from the `client_call` that the session told of."

    def __init__(self, session: str, call: str) -> None:
        super().__init__(f"the session {session} has no call {call[:80]!r} that a client is to do")
        self.session, self.call = session, call


class EmptyMessage(ConversationError):
    """There is nothing in the message."""

    hint = "Say what you want."

    def __init__(self) -> None:
        super().__init__("the message is empty")


class NoAnswer(ConversationError):
    """The model came to no answer, twice."""

    hint = "Say it in other words, or name another model for this agent under `roles`."

    def __init__(self, agent: str, why: str) -> None:
        super().__init__(f"the model of {agent} came to no answer: {why}")
        self.agent, self.why = agent, why


class HistoryTooLong(ConversationError):
    """What an agent would be shown does not fit into its model's window."""

    def __init__(self, agent: str, window: int, tokens: int) -> None:
        super().__init__(f"{agent} would be shown {tokens:,} tokens, its model's window has {window:,}")
        self.agent, self.window, self.tokens = agent, window, tokens
        self.hint = "Raise num_ctx of its lane, or name a model with a larger window under `roles`."


class ApprovalRefused(ConversationError):
    """A yes cannot be used for this call: it was for another, or was used, or is too old."""


class Draining(ConversationError):
    """The conversations are being stopped; nothing new is begun."""

    hint = "Try again in a moment."

    def __init__(self) -> None:
        super().__init__("Corral is stopping")
