"""What can go wrong between Corral and one Ollama server.

Owns the error tree of the wire, and the rule which of the errors another server may make good. Fields instead of
formatted text; no error of the HTTP client ever leaves this package.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Phase(StrEnum):
    """The part of a call that a time limit belongs to."""

    CONNECT = "connect"
    FIRST_BYTE = "first_byte"
    BETWEEN_TOKENS = "between_tokens"
    TOTAL = "total"


@dataclass(frozen=True, slots=True)
class Partial:
    """What had arrived when a stream broke."""

    text: str = ""
    thinking: str = ""


class OllamaError(Exception):
    """The server could not answer."""

    default_hint = ""

    def __init__(self, *fields: object, server: str = "", hint: str | None = None) -> None:
        super().__init__(*fields)
        self.server = server
        """The server's label; empty when no server was asked."""
        self.hint = self.default_hint if hint is None else hint
        """What the person can do next."""

    def __str__(self) -> str:
        """One line: the server, what happened, the fields that say more."""
        said = (self.__doc__ or "").partition("\n")[0].rstrip(".")
        more = ", ".join(str(field) for field in self.args if field not in (None, ""))
        return ": ".join(part for part in (self.server, said, more) if part)


class ServerUnreachable(OllamaError):
    """The server cannot be reached."""

    default_hint = "check that Ollama runs there (ollama serve) and that the address is right"

    def __init__(self, message: str = "", *, server: str = "", hint: str | None = None) -> None:
        super().__init__(message, server=server, hint=hint)
        self.message = message


class PhaseTimeout(OllamaError):
    """A phase of the call took longer than its limit."""

    default_hint = "raise the limit of this phase under [pool.phases], or ask a faster server"

    def __init__(self, phase: Phase, *, server: str = "", hint: str | None = None) -> None:
        super().__init__(phase, server=server, hint=hint)
        self.phase = phase
        self.partial: Partial | None = None
        """What had come of a streamed answer by then; None before its first byte."""


class ServerBusy(OllamaError):
    """The server's queue is full."""

    default_hint = "wait a little, or raise OLLAMA_MAX_QUEUE on the server"


class ModelNotFound(OllamaError):
    """The server does not have this model."""

    def __init__(self, model: str, *, server: str = "", hint: str | None = None) -> None:
        super().__init__(model, server=server, hint=f"ollama pull {model}" if hint is None else hint)
        self.model = model


class CloudModelRefused(OllamaError):
    """This model runs in the cloud, and nothing may leave the machine."""

    default_hint = "choose a local model, or set pool.allow_cloud"

    def __init__(self, model: str, *, server: str = "", hint: str | None = None) -> None:
        super().__init__(model, server=server, hint=hint)
        self.model = model


class ContextExceeded(OllamaError):
    """The prompt is longer than the model's window on this server; nothing was generated."""

    default_hint = "send less, or raise num_ctx of the lane (OLLAMA_CONTEXT_LENGTH of the server sets it for all)"

    def __init__(
        self,
        prompt_tokens: int | None = None,
        window: int | None = None,
        *,
        server: str = "",
        hint: str | None = None,
    ) -> None:
        super().__init__(prompt_tokens, window, server=server, hint=hint)
        self.prompt_tokens = prompt_tokens
        """The exact count, where the server gave it (from 0.30 on)."""
        self.window = window

    def __str__(self) -> str:
        """As for every error, with a name for each number."""
        said = (self.__doc__ or "").rstrip(".")
        counts = (("prompt tokens", self.prompt_tokens), ("num_ctx", self.window))
        more = ", ".join(f"{name} {count:,}" for name, count in counts if count is not None)
        return ": ".join(part for part in (self.server, said, more) if part)


class RequestRefused(OllamaError):
    """The server refused the request."""

    default_hint = "the request is wrong for this model or server; its own words say how"

    def __init__(self, status: int, message: str = "", *, server: str = "", hint: str | None = None) -> None:
        super().__init__(status, message, server=server, hint=hint)
        self.status = status
        self.message = message


class NotJson(OllamaError):
    """What is to be sent cannot be said in JSON."""

    default_hint = "options, formats, tools and messages are made of text, numbers, true, false, None, lists and dicts"


class NotAuthorized(OllamaError):
    """The server does not let us in."""

    default_hint = "set token, or username and password, of this server"

    def __init__(self, status: int, message: str = "", *, server: str = "", hint: str | None = None) -> None:
        super().__init__(status, message, server=server, hint=hint)
        self.status = status
        self.message = message


class ServerFailed(OllamaError):
    """The server failed before it answered."""

    default_hint = "the server's log says more; a model too large for its memory is the usual cause"

    def __init__(self, status: int, message: str = "", *, server: str = "", hint: str | None = None) -> None:
        super().__init__(status, message, server=server, hint=hint)
        self.status = status
        self.message = message


class StreamBroken(OllamaError):
    """The answer broke off in the middle."""

    default_hint = (
        "ask again; the server, or a proxy in front of it, closed the connection: it was stopped or it crashed, and its"
        " log says which"
    )

    def __init__(
        self,
        partial: Partial = Partial(),
        message: str = "",
        *,
        server: str = "",
        hint: str | None = None,
    ) -> None:
        super().__init__(partial, message, server=server, hint=hint)
        self.partial = partial
        self.message = message

    def __str__(self) -> str:
        """As for every error, but of the text that had arrived only how much it is."""
        said = (self.__doc__ or "").rstrip(".")
        characters = len(self.partial.text) + len(self.partial.thinking)
        counted = f"after {characters:,} characters" if characters else ""
        more = ", ".join(part for part in (self.message, counted) if part)
        return ": ".join(part for part in (self.server, said, more) if part)


class UnreadableAnswer(OllamaError):
    """The answer is not what an Ollama server says."""

    default_hint = "check that the address is Ollama's, and that no proxy changes its answers"

    def __init__(self, message: str = "", *, foreign: bool = False, server: str = "", hint: str | None = None) -> None:
        super().__init__(message, server=server, hint=hint)
        self.message = message
        self.foreign = foreign
        """Whether it is no JSON object at all, so that somebody else may have answered, as a proxy with a page."""


class WindowOverrun(OllamaError):
    """Prompt and answer together outgrew the window, so that the server dropped a part of the prompt."""

    def __init__(
        self,
        prompt_tokens: int,
        completion_tokens: int,
        window: int,
        estimated_tokens: int | None = None,
        num_predict: int | None = None,
        *,
        server: str = "",
        hint: str | None = None,
    ) -> None:
        super().__init__(
            prompt_tokens,
            completion_tokens,
            window,
            estimated_tokens,
            num_predict,
            server=server,
            hint=_what_fits(prompt_tokens, completion_tokens, window) if hint is None else hint,
        )
        self.prompt_tokens = prompt_tokens
        self.completion_tokens = completion_tokens
        self.window = window
        self.estimated_tokens = estimated_tokens
        """How long the prompt was thought to be before the server counted it."""
        self.num_predict = num_predict
        """The bound that was sent."""

    def __str__(self) -> str:
        """As for every error, with a name for each number."""
        counts = (
            ("prompt tokens", self.prompt_tokens),
            ("prompt tokens estimated", self.estimated_tokens),
            ("answer tokens", self.completion_tokens),
            ("num_predict", self.num_predict),
            ("num_ctx", self.window),
        )
        said = (self.__doc__ or "").rstrip(".")
        more = ", ".join(f"{name} {count:,}" for name, count in counts if count is not None)
        return ": ".join(part for part in (self.server, said, more) if part)


class PullFailed(OllamaError):
    """The server could not fetch the model."""

    default_hint = "check the model's name and the server's way to the registry"

    def __init__(self, model: str, message: str = "", *, server: str = "", hint: str | None = None) -> None:
        super().__init__(model, message, server=server, hint=hint)
        self.model = model
        self.message = message


class ClientClosed(OllamaError):
    """The client of this server has been closed."""

    default_hint = "open a new client"


def _what_fits(prompt: int, answer: int, window: int) -> str:
    enough = max(1, window)
    while enough < prompt + answer:
        enough *= 2
    fits = window - prompt
    return f"set num_ctx of the lane to {enough}" + (f", or num_predict to at most {fits}" if fits > 0 else "")


def may_move(error: BaseException) -> bool:
    """Whether another server may be asked instead: nothing of the answer had arrived, and it may do better there."""
    if isinstance(error, PhaseTimeout):
        return error.phase is Phase.CONNECT
    return isinstance(error, ServerUnreachable | ServerBusy | ModelNotFound | ServerFailed)
