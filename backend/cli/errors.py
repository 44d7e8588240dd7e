"""What a person is told when something goes wrong: one table from errors to exit codes and hints.

Owns the table. It goes by class names, so that it needs none of the packages the errors come from, and reads a stored
run's error as well as a live one. A test holds it complete.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import cast

from backend.cli.tokens import verb_of

FAILED = 1
USAGE = 2
ENVIRONMENT = 3
BUDGET = 4
NEEDS_INPUT = 5
SOME_FAILED = 6
INTERRUPTED = 130

_UNEXPECTED = (
    "This is a bug in Corral. Run it again with CORRAL_DEBUG=1 in front, and report what it and `corral doctor` print."
)
_AGENTS = "`/agents` in `corral chat` lists the agents."
_SESSIONS = "`corral chat --list` lists the sessions."
_SYSTEM: Mapping[int, str] = {
    errno.ENOSPC: "Free some space, or run `corral clean`.",
    errno.EROFS: "The file system is mounted read-only: mount it otherwise, or work in another folder.",
    errno.EACCES: "Check the owner and the mode of the folder.",
}
_DOCTOR = "Run `corral doctor`; it says what to mend."


class Refused(Exception):
    """What was asked for cannot be done as it was asked."""

    def __init__(self, message: str, hint: str = "", exit_code: int = USAGE) -> None:
        super().__init__(message)
        self.hint = hint
        self.exit_code = exit_code


def no_patch(run: str, *, over: bool) -> Refused:
    """A patch was asked for, and there is none, or not yet."""
    if over:
        return Refused(f"run {run} has no patch", f"`corral show {run}` says how it ended.")
    return Refused(
        f"run {run} has no patch yet",
        f"`corral show {run}` says where it stands, `corral resume {run}` goes on with it.",
    )


@dataclass(frozen=True, slots=True)
class Rule:
    """The exit code of an error, and what to type next where the error itself does not say."""

    exit_code: int
    hint: str = ""


@dataclass(frozen=True, slots=True)
class Explained:
    """An error as a person, or a program, is told it."""

    error_class: str
    message: str
    hint: str
    exit_code: int


RULES: Mapping[str, Rule] = {
    # a server or the wire
    "OllamaError": Rule(ENVIRONMENT, _DOCTOR),
    "ServerUnreachable": Rule(ENVIRONMENT),
    "PhaseTimeout": Rule(ENVIRONMENT),
    "ServerBusy": Rule(ENVIRONMENT),
    "ModelNotFound": Rule(ENVIRONMENT),
    "CloudModelRefused": Rule(USAGE),
    "ContextExceeded": Rule(ENVIRONMENT),
    "RequestRefused": Rule(ENVIRONMENT),
    "NotAuthorized": Rule(ENVIRONMENT),
    "ServerFailed": Rule(ENVIRONMENT),
    "StreamBroken": Rule(ENVIRONMENT),
    "UnreadableAnswer": Rule(ENVIRONMENT),
    "WindowOverrun": Rule(ENVIRONMENT),
    "PullFailed": Rule(ENVIRONMENT),
    "ClientClosed": Rule(ENVIRONMENT, _UNEXPECTED),
    # the pool
    "PoolError": Rule(ENVIRONMENT, _DOCTOR),
    "PoolSaturated": Rule(ENVIRONMENT),
    "DeadlinePassed": Rule(ENVIRONMENT),
    "QueueTimeout": Rule(ENVIRONMENT),
    "NoServerAvailable": Rule(ENVIRONMENT),
    "ModelNowhere": Rule(ENVIRONMENT),
    "NoModel": Rule(ENVIRONMENT),
    "BadOption": Rule(USAGE, "Correct the options of the lane in the settings."),
    "BadMessage": Rule(ENVIRONMENT, _UNEXPECTED),
    "UnknownServer": Rule(USAGE, "`corral config show` lists the servers."),
    "BadTransition": Rule(ENVIRONMENT, _UNEXPECTED),
    "WouldBlock": Rule(ENVIRONMENT, _UNEXPECTED),
    "Preempted": Rule(ENVIRONMENT),
    "PoolDraining": Rule(ENVIRONMENT),
    "PoolClosed": Rule(ENVIRONMENT, _UNEXPECTED),
    "OtherLoop": Rule(ENVIRONMENT, _UNEXPECTED),
    "NotJson": Rule(ENVIRONMENT, _UNEXPECTED),
    "LoopEnded": Rule(ENVIRONMENT, _UNEXPECTED),
    "OtherProcess": Rule(ENVIRONMENT, _UNEXPECTED),
    # storage
    "WrongCore": Rule(ENVIRONMENT, "Without CORRAL_CORE the plain Python modules are used, which do the same."),
    "StorageError": Rule(ENVIRONMENT),
    "DiskFull": Rule(ENVIRONMENT),
    "ReadOnly": Rule(ENVIRONMENT),
    "CorruptDatabase": Rule(ENVIRONMENT),
    "NewerDatabase": Rule(ENVIRONMENT),
    "OlderDatabase": Rule(ENVIRONMENT),
    "MissingDatabase": Rule(USAGE),
    "StorageBusy": Rule(ENVIRONMENT),
    "StorageClosed": Rule(ENVIRONMENT, _UNEXPECTED),
    "MissingBlob": Rule(ENVIRONMENT),
    "CorruptBlob": Rule(ENVIRONMENT),
    "RunError": Rule(USAGE, "`corral runs` lists the runs."),
    "UnknownRun": Rule(USAGE, "`corral runs` lists the runs."),
    "AmbiguousRun": Rule(USAGE, "Give more of its id; `corral runs` lists the runs."),
    "RunExists": Rule(USAGE),
    "KeyReused": Rule(USAGE),
    "IllegalMove": Rule(USAGE, "`corral show RUN` says where it stands."),
    "AlreadyAnswered": Rule(USAGE, "`corral show RUN` says where it stands."),
    "EffectMismatch": Rule(ENVIRONMENT, _UNEXPECTED),
    "UnknownEffect": Rule(ENVIRONMENT, _UNEXPECTED),
    "UnreadableEvent": Rule(ENVIRONMENT, "Update Corral."),
    # the engine
    "NoStatus": Rule(ENVIRONMENT),
    "TaskRefused": Rule(USAGE),
    "RunNotWaiting": Rule(USAGE),
    "RunIsOver": Rule(USAGE),
    "NotReplayable": Rule(USAGE),
    "BadRecording": Rule(USAGE),
    "UnknownStep": Rule(USAGE),
    "BadPack": Rule(USAGE),
    "HolderGone": Rule(ENVIRONMENT, "Run it again."),
    "HolderRefused": Rule(ENVIRONMENT),
    "TestCommandNotStarted": Rule(USAGE),
    # conversations
    "ConversationError": Rule(USAGE),
    "NoSuchAgent": Rule(USAGE, _AGENTS),
    "SessionBusy": Rule(USAGE),
    "NothingToStop": Rule(USAGE),
    "EmptyMessage": Rule(USAGE),
    "BadImage": Rule(USAGE),
    "ImagesTooLarge": Rule(USAGE),
    "CannotSee": Rule(USAGE),
    "NoAnswer": Rule(ENVIRONMENT),
    "HistoryTooLong": Rule(ENVIRONMENT),
    "Draining": Rule(ENVIRONMENT),
    "SessionError": Rule(USAGE, _SESSIONS),
    "UnknownSession": Rule(USAGE, _SESSIONS),
    "SessionExists": Rule(USAGE, _SESSIONS),
    "SessionNotLoaded": Rule(ENVIRONMENT, _UNEXPECTED),
    "BadSessionId": Rule(USAGE, _SESSIONS),
    "MessageTooLong": Rule(USAGE, "Say less at once."),
    "BadChange": Rule(USAGE, "Say it in fewer words."),
    "BadCut": Rule(USAGE, "`/history` in `corral chat` has the numbers of messages."),
    "UnknownCall": Rule(USAGE),
    "CallReused": Rule(ENVIRONMENT, _UNEXPECTED),
    "OutOfOrder": Rule(ENVIRONMENT, "Say it again."),
    "ApprovalError": Rule(USAGE),
    "UnknownApproval": Rule(USAGE),
    "StaleApproval": Rule(USAGE),
    "AlreadyDecided": Rule(USAGE),
    "ApprovalExpired": Rule(USAGE),
    "DecisionRefused": Rule(USAGE),
    "UnknownRule": Rule(USAGE),
    "ApprovalsClosed": Rule(ENVIRONMENT),
    # what a model said
    "AgentError": Rule(ENVIRONMENT, "Try it again, or with another --model."),
    "UnusableAnswer": Rule(ENVIRONMENT, "Try it again, or with another --model."),
    "PromptError": Rule(ENVIRONMENT, _UNEXPECTED),
    "WindowTooSmall": Rule(ENVIRONMENT),
    "ScriptEndedError": Rule(ENVIRONMENT, _UNEXPECTED),
    # settings
    "ConfigError": Rule(USAGE),
    "BadAddress": Rule(USAGE),
    "ValidationError": Rule(USAGE, "`corral config show` prints every setting; `corral config where` the file."),
    "TelemetryNotOpened": Rule(USAGE),
    # the user's files
    "WorkspaceError": Rule(ENVIRONMENT),
    "NotADirectory": Rule(USAGE, "Name an existing folder with --repo."),
    "TooLarge": Rule(USAGE, "Name a smaller folder with --repo."),
    "PathRefused": Rule(USAGE),
    "PathMissing": Rule(USAGE, "Check the path."),
    "NotText": Rule(USAGE),
    "WriteFailed": Rule(ENVIRONMENT),
    "SnapshotUnfinished": Rule(ENVIRONMENT, "Start the task again."),
    "GitMissing": Rule(ENVIRONMENT),
    "GitFailed": Rule(ENVIRONMENT, "Try the same git command by hand; `git fsck` looks for damage."),
    "NotARepository": Rule(USAGE),
    "BranchExists": Rule(USAGE),
    "BranchRefused": Rule(USAGE),
    # where generated code runs
    "NoSandbox": Rule(ENVIRONMENT),
    "SandboxFault": Rule(ENVIRONMENT, _DOCTOR),
    "UnsafeCommand": Rule(USAGE, "Change `sandbox.read` or the test command."),
    "ProcessNotStarted": Rule(ENVIRONMENT, _DOCTOR),
    # this machine
    "OSError": Rule(ENVIRONMENT),
    "FileNotFoundError": Rule(USAGE, "Check the path."),
    "IsADirectoryError": Rule(USAGE, "Name a file."),
    "NotADirectoryError": Rule(USAGE, "Check the path."),
    "PermissionError": Rule(ENVIRONMENT, "Check the owner and the mode of the file."),
}


def explain(error: BaseException) -> Explained:
    """The error's own message; its exit code and hint by the nearest class in the table."""
    error = cause_of(error)
    if isinstance(error, Refused):
        return Explained("Refused", str(error), error.hint, error.exit_code)
    # What another command met, it tells by the name of its class.
    name = str(getattr(error, "error_class", "")) or type(error).__name__
    rule = rule_of(name, *(kind.__name__ for kind in type(error).__mro__))
    if rule is None:
        return Explained(name, f"unexpected {name}: {_one_line(str(error))}", _UNEXPECTED, ENVIRONMENT)
    if isinstance(error, OSError):
        return _of_system(error, rule)
    message = _message(error)
    hint = str(getattr(error, "hint", "") or getattr(error, "fix", "") or _of_git(name, message) or rule.hint)
    return Explained(name, message, hint, rule.exit_code)


def rule_of(*names: str) -> Rule | None:
    """The rule of the first class that has one."""
    return next((RULES[name] for name in names if name in RULES), None)


def unknown_usage(error: Exception, tokens: Sequence[str]) -> Explained:
    """A command line that the parser refuses."""
    verb = verb_of(tokens)
    said = " ".join(str(error).split())
    hint = f"`corral {verb} --help` lists its options." if verb else "`corral --help` lists the commands."
    if type(error).__name__ == "UnusedCliTokensError":
        hint = f"Put a text of several words in quotes. {hint}"
    return Explained("UsageError", said, hint, USAGE)


def failure_document(verb: str, known: Explained) -> dict[str, object]:
    """The one JSON document of a command that failed; a run's has every field that a run's result has."""
    told = {"class": known.error_class, "message": known.message, "hint": known.hint}
    if verb not in ("run", "resume"):
        return {"exit_code": known.exit_code, "error": told}
    from infrastructure.tasks import ErrorInfo, RunResult  # noqa: PLC0415 - a usage error must not wait for it

    failed = RunResult(
        run="",
        status="error",
        judge="none",
        exit_code=known.exit_code,
        reason=known.message,
        error=ErrorInfo.model_validate(told),
    )
    return failed.model_dump(mode="json", by_alias=True)


def cause_of(error: BaseException) -> BaseException:
    """The first error of a group, as a task group raises it; that a reader has gone goes before all others."""
    if isinstance(error, BaseExceptionGroup):
        causes = [cause_of(each) for each in cast("BaseExceptionGroup[BaseException]", error).exceptions]
        return next((each for each in causes if isinstance(each, BrokenPipeError)), causes[0])
    if isinstance(error, ImportError) and error.__cause__ is not None:  # the parser's, about a verb's module
        return error.__cause__
    return error


def _message(error: BaseException) -> str:
    problems = getattr(error, "errors", None)
    if type(error).__name__ == "ValidationError" and callable(problems):
        return "; ".join(_problem(each) for each in problems())  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType, reportGeneralTypeIssues]
    return _one_line(str(error)) or type(error).__name__


def _problem(problem: Mapping[str, object]) -> str:
    where = ".".join(str(part) for part in problem.get("loc", ()))  # pyright: ignore[reportGeneralTypeIssues, reportUnknownVariableType, reportUnknownArgumentType]
    return f"{where}: {problem.get('msg')}" if where else str(problem.get("msg"))


def _of_git(name: str, message: str) -> str:
    """What to do where git was refused something by the system; empty where that is not what it said."""
    refused = _SYSTEM.items() if name == "GitFailed" else ()
    return next((hint for number, hint in refused if os.strerror(number) in message), "")


def _of_system(error: OSError, rule: Rule) -> Explained:
    name = type(error).__name__
    said = ": ".join(str(part) for part in (error.filename, error.strerror or str(error)) if part)
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return Explained(name, said, _SYSTEM[errno.ENOSPC], ENVIRONMENT)
    return Explained(name, said, rule.hint, rule.exit_code)


def _one_line(text: str) -> str:
    return " ".join(text.split())
