"""The one table from errors to exit codes: complete, and with something to do next for each."""

from __future__ import annotations

import errno
import importlib
import pkgutil
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from backend.cli.errors import RULES, Refused, explain, failure_document, rule_of, unknown_usage
from infrastructure.config.settings import Settings
from infrastructure.storage.errors import DiskFull
from infrastructure.tasks import RunResult
from infrastructure.transport.errors import ModelNotFound
from infrastructure.workspace.errors import GitFailed

PACKAGES = (
    "agents",
    "backend.attach",
    "infrastructure.compiled",
    "infrastructure.config",
    "infrastructure.conversation",
    "infrastructure.events",
    "infrastructure.judge",
    "infrastructure.pool",
    "infrastructure.processes",
    "infrastructure.replaying",
    "infrastructure.running",
    "infrastructure.sandbox",
    "infrastructure.sessions",
    "infrastructure.storage",
    "infrastructure.telemetry",
    "infrastructure.transport",
    "infrastructure.workflow",
    "infrastructure.workspace",
)
PROGRAMS = {"infrastructure.judge.harness", "infrastructure.sandbox.probe"}
"""Run inside a sandbox, never imported."""
NEVER_LEAVE = {
    "NoHttp2": "the transport goes on over HTTP/1.1, or says that it cannot connect",
    "Diverged": "becomes the difference of a replay",
    "RecordedFailure": "becomes the result of a replay, as it was of the run",
    "UnknownName": "becomes a ConfigError",
    "BadText": "becomes a ConfigError",
    "UnscriptedRole": "only with scripted roles, in tests and benchmarks",
    "AnswerStopped": "becomes an answer that a role asks for again",
    "UnusableReport": "becomes a report that says so",
    "NoSuchHunk": "becomes a Refused",
    "NotCarried": "becomes why the coder's answer is refused",
    "SlotTaken": "has the call asked anew, or becomes a Preempted",
    "UnreadablePatch": "becomes a Refused",
    "ParseTooLong": "leaves a file out of the map",
    "BudgetExhausted": "ends a run with the best so far, as a value",
    "BadShape": "becomes an UnreadableAnswer",
    "BadFrame": "becomes a StreamBroken",
    "LineTooLong": "becomes an UnreadableAnswer",
    "StaleConnection": "is asked once more, then becomes a ServerUnreachable",
    "StreamRefused": "becomes a StreamBroken",
    "StreamFailed": "becomes a ServerUnreachable or a StreamBroken",
    "BadAgentFile": "leaves a custom agent out",
    "NameTaken": "leaves a custom agent out",
    "Malformed": "leaves a printed call in the text, or refuses it",
    "NoCall": "leaves a printed call in the text, or refuses it",
    "Fixed": "answers a request to reload, of a server that has no settings file",
    "ApprovalRefused": "becomes the result of a call",
    "ApprovalMismatch": "only where Corral asks two things under one key: ends the turn, as its reason",
    "NotApproved": "becomes an ApprovalRefused",
    "AlreadyUsed": "becomes an ApprovalRefused",
    "BadInput": "only of a graph without the engine, in a program of one's own",
    "Abandoned": "only in a thread whose work nobody waits for",
}
BUILT_IN = {"OSError", "FileNotFoundError", "IsADirectoryError", "NotADirectoryError", "PermissionError"}
FOREIGN = {"ValidationError"}
"""Pydantic's."""


def modules_of(package: str) -> Iterator[ModuleType]:
    root = importlib.import_module(package)
    yield root
    for found in pkgutil.walk_packages(getattr(root, "__path__", ()), f"{package}."):
        if found.name not in PROGRAMS:
            yield importlib.import_module(found.name)


def public_errors() -> dict[str, type[Exception]]:
    return {
        value.__name__: value
        for package in PACKAGES
        for module in modules_of(package)
        for value in vars(module).values()
        if isinstance(value, type)
        and issubclass(value, Exception)
        and value.__module__ == module.__name__
        and not value.__name__.startswith("_")
    }


def test_every_error_class_has_its_own_rule_and_none_is_only_inherited() -> None:
    assert sorted(set(public_errors()) - set(RULES) - set(NEVER_LEAVE)) == []


def test_no_rule_is_for_an_error_that_no_longer_exists() -> None:
    known = set(public_errors()) | BUILT_IN | FOREIGN
    assert sorted((set(RULES) | set(NEVER_LEAVE)) - known) == []


@pytest.mark.parametrize("name", sorted(RULES))
def test_every_rule_has_an_exit_code_of_the_contract(name: str) -> None:
    assert RULES[name].exit_code in (1, 2, 3, 4, 5)


def test_message_hint_and_code_come_from_error_and_table() -> None:
    known = explain(ModelNotFound("qwen2.5-coder:7b", server="gpu"))
    assert known.exit_code == 3
    assert "qwen2.5-coder:7b" in known.message
    assert known.hint == "ollama pull qwen2.5-coder:7b"


def test_error_of_a_task_group_is_taken_out_of_it() -> None:
    group = ExceptionGroup("unhandled", [ExceptionGroup("inner", [DiskFull(Path("/data"))])])
    assert explain(group).error_class == "DiskFull"


def test_unexpected_error_is_one_line_and_says_how_to_report_it() -> None:
    known = explain(ZeroDivisionError("division\nby zero"))
    assert known.exit_code == 3
    assert known.message == "unexpected ZeroDivisionError: division by zero"
    assert "CORRAL_DEBUG=1" in known.hint


def test_full_disk_is_told_from_other_system_errors() -> None:
    full = explain(OSError(errno.ENOSPC, "No space left on device", "/data/x"))
    assert (full.exit_code, full.message) == (3, "/data/x: No space left on device")
    assert "corral clean" in full.hint
    assert explain(FileNotFoundError(errno.ENOENT, "No such file", "/x")).exit_code == 2


def test_refusal_keeps_its_own_code_and_hint() -> None:
    known = explain(Refused("no", "do this", exit_code=1))
    assert (known.exit_code, known.message, known.hint) == (1, "no", "do this")


def test_wrong_settings_value_is_named_by_its_place() -> None:
    with pytest.raises(ValueError, match="queue_length") as raised:
        Settings.model_validate({"pool": {"queue_length": 0}})
    known = explain(raised.value)
    assert known.message.startswith("pool.queue_length: ")
    assert known.exit_code == 2


def test_failed_run_is_one_document_with_every_field_of_a_result() -> None:
    document = failure_document("run", explain(Refused("no", "do this")))
    assert RunResult.model_validate(document).exit_code == 2
    assert document["error"] == {"class": "Refused", "message": "no", "hint": "do this"}
    assert failure_document("show", explain(Refused("no")))["exit_code"] == 2


def test_usage_error_names_the_help_of_its_verb() -> None:
    assert "corral run --help" in unknown_usage(ValueError("Unknown option"), ["run", "--x"]).hint
    assert "`corral --help`" in unknown_usage(ValueError("?"), []).hint
    assert unknown_usage(ValueError("?"), []).exit_code == 2


def test_nearest_class_rules() -> None:
    rule = rule_of("Unknown", "ServerBusy", "OllamaError")
    assert rule == RULES["ServerBusy"]
    assert rule_of("Unknown") is None


@pytest.mark.parametrize(
    ("reason", "hint"),
    [
        ("error: unable to create temporary file: Read-only file system", "mounted read-only"),
        ("fatal: cannot mkdir x: Permission denied", "owner and the mode"),
        ("fatal: write error: No space left on device", "Free some space"),
        ("fatal: bad object HEAD", "git fsck"),
    ],
)
def test_what_the_system_refused_git_is_not_called_damage(reason: str, hint: str) -> None:
    assert hint in explain(GitFailed(("commit-tree",), reason)).hint
