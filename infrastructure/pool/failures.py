"""What follows a failed attempt.

Owns the decisions: does the error make the server down, may the call go elsewhere, which error does the caller get.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from infrastructure.transport.errors import (
    ModelNotFound,
    NotAuthorized,
    OllamaError,
    Phase,
    PhaseTimeout,
    ServerBusy,
    ServerFailed,
    ServerUnreachable,
    StreamBroken,
    UnreadableAnswer,
    may_move,
)

if TYPE_CHECKING:
    from infrastructure.pool.retries import RetryBudget

_GATEWAY_STATUS = frozenset({502, 503, 504})
"""A proxy's words for: there is no server behind me. A server's own 503 is `ServerBusy`."""


def is_unreached(error: BaseException) -> bool:
    """Whether the request did not get through to a server, so that trying the next one costs nothing."""
    if isinstance(error, PhaseTimeout):
        return error.phase is Phase.CONNECT
    if isinstance(error, ServerFailed):
        return error.status in _GATEWAY_STATUS
    return isinstance(error, ServerUnreachable)


def is_silent(error: BaseException) -> bool:
    """Whether a probe shows that nobody is there: any answer but a gateway's own is a sign of life, also a refusal."""
    return isinstance(error, PhaseTimeout) or is_unreached(error)


def is_down(error: BaseException, *, answering: bool = False) -> bool:
    """Whether the server is to be left alone for a while: a server that fails at once must not attract every call.

    One that was answering has not failed at once: what it said wrong in the end concerns that call alone. Nor is what a
    server says in JSON, only not as expected, a word about more than the model there.
    """
    if isinstance(error, UnreadableAnswer):
        return error.foreign and not answering
    if isinstance(error, NotAuthorized):
        return not answering
    return is_unreached(error)


def trips(error: BaseException) -> bool:
    """Whether a failure speaks against the model on that server, so that some in a row open its breaker."""
    if isinstance(error, PhaseTimeout):
        return error.phase in (Phase.FIRST_BYTE, Phase.BETWEEN_TOKENS)
    return isinstance(error, ServerFailed | StreamBroken | UnreadableAnswer)


def may_try_elsewhere(error: OllamaError, *, first_byte_seen: bool, moves: int, budget: RetryBudget) -> bool:
    """Whether a failed call goes back to the queue.

    Only before its first byte; an answer that broke off behind its head is none yet. As often as there are servers if
    nothing was done with it; else once, since what makes one server fail may do so to all, and only as long as the
    budget for such retries lasts.
    """
    if first_byte_seen or not (may_move(error) or isinstance(error, StreamBroken)):
        return False
    if is_unreached(error) or isinstance(error, ServerBusy | ModelNotFound):
        return True
    return moves == 0 and budget.spend()


def after_failure(last: OllamaError, refused: OllamaError) -> OllamaError:
    """The error of a call that failed on one server and found no other.

    That there is none says more than that the last one could not be reached; any other failure says more itself.
    """
    return refused if is_unreached(last) or type(last) in type(refused).__mro__ else last
