"""What can go wrong in the agents layer.

Owns the tree under `AgentError`. The first line of a class's docstring is its default message; what happened is
in fields, so a caller can show, count or translate it. Errors of a `LanguageModel` are its adapter's, not ours.
"""

from __future__ import annotations


class AgentError(Exception):
    """An agent could not do its work."""

    def __str__(self) -> str:
        told = [str(part) for part in self.args if part]
        return ": ".join([_default_message(type(self)), *told])


class UnusableAnswer(AgentError):
    """The model's answer cannot be used.

    Attributes:
        reason: What is wrong, in one sentence without a full stop; safe to show to a person and to the model.
        hint: What would have been right; goes to the model when it is asked again. Empty: nothing to add.
    """

    def __init__(self, reason: str, hint: str = "") -> None:
        super().__init__(reason, hint)
        self.reason = reason
        self.hint = hint


class PromptError(AgentError):
    """A prompt file is missing, malformed, or asks for a variable it was not given.

    Attributes:
        prompt: Name of the prompt, `role/task`.
        reason: What is wrong with it.
    """

    def __init__(self, prompt: str, reason: str) -> None:
        super().__init__(prompt, reason)
        self.prompt = prompt
        self.reason = reason


class WindowTooSmall(AgentError):
    """The smallest form of a role's question does not fit the model's window.

    Attributes:
        role: Whose question.
        window: Tokens, prompt and answer together.
        need: Tokens that it takes at least, by our own count.
        largest: The section that takes most.
        hint: What a person can do.
    """

    def __init__(self, role: str, window: int, need: int, largest: str) -> None:
        super().__init__(
            f"the {role} needs {need:,} tokens at least, the window has {window:,}; most of it is: {largest}"
        )
        self.role = role
        self.window = window
        self.need = need
        self.largest = largest
        self.hint = (
            f"raise num_ctx of the lane to {wide_enough(need):,} or more, name a model with a larger window, or"
            " make the files that the plan changes smaller"
        )


def wide_enough(need: int) -> int:
    """The smallest usual window (a power of two) that holds so many tokens."""
    return 1 << max(0, need - 1).bit_length()


class ScriptEndedError(AgentError):
    """A scripted model was asked more often than its script has answers.

    Attributes:
        answers: How many answers the script had.
    """

    def __init__(self, answers: int) -> None:
        super().__init__(answers)
        self.answers = answers


def _default_message(error: type[AgentError]) -> str:
    return (error.__doc__ or error.__name__).partition("\n")[0].rstrip(".")
