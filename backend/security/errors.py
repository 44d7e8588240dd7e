"""Why somebody may not enter.

Owns the refusals of the door. Each changes nothing; statuses are in `backend.problems`.
"""

from __future__ import annotations


class EntryRefused(Exception):
    """The request is not let in; nothing was done."""

    default_hint = ""
    retry_after: int | None = None
    """Seconds after which it is worth trying again."""
    closes = False
    """Whether the connection ends with the answer, since the rest of the request is not read."""

    def __init__(self, message: str = "", hint: str = "") -> None:
        super().__init__(message or (type(self).__doc__ or "").strip())
        self.hint = hint or self.default_hint


class NoToken(EntryRefused):
    """The request carries no token, or a wrong one."""

    default_hint = (
        "Send `Authorization: Bearer TOKEN`; the token is the file `token` in the data directory. "
        "In a browser, open the address that `corral serve` prints."
    )


class ForeignHost(EntryRefused):
    """The `Host` header names another machine than this one."""

    default_hint = "Use a loopback address, or add the name, also that of a proxy, to `serve.hosts` in the settings."


class ForeignOrigin(EntryRefused):
    """The request comes from a page of another origin."""

    default_hint = (
        "Only the page of this server may call it from a browser. If this is that page, behind a proxy, have the proxy "
        "pass the browser's `Host` on (nginx: `proxy_set_header Host $http_host;`), and add that name to `serve.hosts`."
    )


class BodyTooLarge(EntryRefused):
    """The body is larger than is taken."""

    default_hint = "Put large material into a file of the repository."
    closes = True


class HeadersTooLarge(EntryRefused):
    """The headers are larger than are taken."""

    default_hint = "A browser sends every cookie of this host; delete those of other programs."
    closes = True


class Crowded(EntryRefused):
    """Too many connections are open."""

    retry_after = 5
    closes = True


class SlowForm(EntryRefused):
    """The form did not come in time."""

    closes = True


class BadForm(EntryRefused):
    """The form has other fields than its page gives it."""


class NotJson(EntryRefused):
    """The body is not declared to be what this route takes."""

    default_hint = "Send `Content-Type: application/json`."


class WrongPassword(EntryRefused):
    """The password is wrong."""


class TooManyAttempts(EntryRefused):
    """Too many wrong passwords; wait a little."""

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self.retry_after = max(1, round(seconds))


class NotOpenYet(EntryRefused):
    """The server is starting."""

    retry_after = 1
