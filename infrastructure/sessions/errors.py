"""What can be wrong with what is asked of a session.

Owns the tree under `SessionError`. Each says what to do next; nothing was written when one is raised.
"""

from __future__ import annotations


class SessionError(Exception):
    """A session cannot do what it was asked for."""


class UnknownSession(SessionError):
    """No session has this id."""

    def __init__(self, session: str) -> None:
        self.session = session
        super().__init__(f"there is no session {session!r}; list them, or create it first")


class SessionExists(SessionError):
    """The id is taken."""

    def __init__(self, session: str) -> None:
        self.session = session
        super().__init__(f"session {session!r} exists already; get it, or create one with another id")


class KeyReused(SessionError):
    """The request's key stands for another session."""

    def __init__(self, key: str, session: str) -> None:
        self.key, self.session = key, session
        super().__init__(
            f"the key {key!r} began another session: {session!r}; use a new key, or ask for the same as then"
        )


class SessionNotLoaded(SessionError):
    """It is stored, and not in memory: what only reads memory cannot answer."""

    def __init__(self, session: str) -> None:
        self.session = session
        super().__init__(f"session {session!r} is not in memory; await load({session!r}) first")


class BadSessionId(SessionError):
    """It cannot be an id."""

    def __init__(self, session: str) -> None:
        self.session = session
        super().__init__(f"{session[:80]!r} cannot be a session's id: 1 to 64 letters, digits, '.', '_' or '-'")


class BadMessage(SessionError):
    """The message cannot be kept as it is; the text says what is wrong with it."""


class MessageTooLong(BadMessage):
    """The message has more bytes than one may have."""

    def __init__(self, size: int, most: int) -> None:
        self.size, self.most = size, most
        super().__init__(
            f"the message has {size} bytes, and {most} are allowed; send less, or set sessions.message_bytes"
        )


class BadChange(SessionError):
    """A title, setting or list of things to do that cannot be kept; the text says why."""


class UnknownCall(SessionError):
    """A result for a call that nobody asked for."""

    def __init__(self, session: str, call: str) -> None:
        self.session, self.call = session, call
        super().__init__(
            f"session {session!r} has not asked for the call {call!r}; append the assistant's message that asks first"
        )


class CallReused(SessionError):
    """A message asks under an id that an earlier call of the session has."""

    def __init__(self, session: str, call: str) -> None:
        self.session, self.call = session, call
        super().__init__(f"session {session!r} has a call {call!r} already; give each call an id of its own")


class BadCut(SessionError):
    """A session cannot be cut after this message; the text says why."""


class OutOfOrder(SessionError):
    """An earlier message of the session was not stored, so this one was not either."""

    def __init__(self, session: str) -> None:
        self.session = session
        super().__init__(f"a message of session {session!r} before this one could not be stored; append both again")
