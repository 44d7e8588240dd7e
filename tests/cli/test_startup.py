"""What a command must not import before it needs it, and what the program says of itself."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from backend.cli.app import VERBS, run_command
from backend.cli.errors import RULES, cause_of
from infrastructure.tasks import EXIT_CODES
from tests.cli.conftest import untaken

HEAVY = (
    "langgraph",
    "langchain_core",
    "httpx",
    "pydantic",
    "pydantic_settings",
    "fastapi",
    "aiosqlite",
    "infrastructure",
)

pytestmark = pytest.mark.slow


def imported_by(code: str, cwd: Path) -> set[str]:
    """The top-level modules in memory after this code; what it prints goes to stderr."""
    program = f"import sys\nout, sys.stdout = sys.stdout, sys.stderr\n{code}\nprint(*sys.modules, file=out)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=cwd, check=True)
    return {name.partition(".")[0] for name in done.stdout.split()}


def run(*arguments: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "backend.cli", *arguments],
        capture_output=True, text=True, cwd=cwd, env={**os.environ, **environment}, check=False,
    )  # fmt: skip


def test_version_is_said_before_the_parser_is_imported(repository_root: Path) -> None:
    modules = imported_by("from backend.cli.__main__ import main\nassert main(['--version']) == 0", repository_root)
    assert not modules & {"cyclopts", "rich", *HEAVY}


def test_help_imports_nothing_heavy(repository_root: Path) -> None:
    modules = imported_by("from backend.cli.__main__ import main\nassert main(['--help']) == 0", repository_root)
    assert "cyclopts" in modules
    assert not modules & set(HEAVY)


def test_usage_error_imports_nothing_heavy(repository_root: Path) -> None:
    modules = imported_by("from backend.cli.__main__ import main\nassert main(['nonsense']) == 2", repository_root)
    assert not modules & set(HEAVY)


def test_verbs_that_only_read_or_ask_the_holder_import_no_engine(repository_root: Path) -> None:
    verbs = ("runs", "show", "follow", "cancel", "resume", "top", "models", "xray")
    modules = imported_by("\n".join(f"import backend.cli.{verb}" for verb in verbs), repository_root)
    assert "pydantic" in modules
    assert not modules & {"langgraph", "langchain_core", "langsmith", "fastapi"}


ALONE = """
import gc, importlib, os, sys, traceback
gc.disable()
def bring(verb):
    importlib.import_module("backend.cli." + verb)
for verb in sys.argv[1:]:
    bring(verb)
for name in [name for name in sys.modules if name.partition(".")[0] in ("agents", "infrastructure", "backend")]:
    del sys.modules[name]
for verb in sys.argv[1:]:
    if (child := os.fork()) == 0:
        try:
            bring(verb)
        except Exception:
            print(verb, traceback.format_exc(), flush=True)
        os._exit(0)
    os.waitpid(child, 0)
"""
"""Imports each verb in a process with none of our modules in memory; those of others are, since they take longest."""


@pytest.mark.timeout(600)  # the longest of these, on a machine that does much else
@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
def test_each_verb_imports_all_that_it_needs(repository_root: Path) -> None:
    """Which a command that is forked does not show: there everything is imported already, in another order."""
    done = subprocess.run(
        [sys.executable, "-c", ALONE, *(verb for verb, _, _ in VERBS)],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=repository_root, check=False,
        env={**os.environ, "CORRAL_CORE": "interpreted"},
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (0, "")


def test_help_names_every_verb(repository_root: Path) -> None:
    done = run("--help", cwd=repository_root)
    assert done.returncode == 0
    for verb, told, _ in VERBS:
        assert verb in done.stdout
        assert told[:30] in done.stdout


@pytest.mark.parametrize("verb", [verb for verb, _, _ in VERBS])
def test_verb_can_be_imported_and_has_a_help_page(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command([verb, "--help"]) == 0
    assert f"corral {verb}" in capsys.readouterr().out


@pytest.mark.parametrize(("verb", "said"), [("serve", "served already"), ("clean", "can still go on loses nothing")])
def test_help_page_of_a_verb_tells_all_that_its_line_in_the_list_leaves_out(
    verb: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_command([verb, "--help"]) == 0
    assert said in " ".join(capsys.readouterr().out.split())


def test_help_tells_every_exit_code_there_is(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(["--help"]) == 0
    told = " ".join(capsys.readouterr().out.partition("Exit codes:")[2].partition("╭")[0].split())
    codes = {int(code) for code in re.findall(r"(?:^|, )(\d+) ", told)}
    assert codes == {*EXIT_CODES.values(), *(rule.exit_code for rule in RULES.values()), 6}


def test_unknown_option_exits_2_and_says_what_to_type(repository_root: Path) -> None:
    done = run("run", "--bogus", cwd=repository_root)
    assert done.returncode == 2
    assert done.stdout == ""
    assert "Unknown option: --bogus" in done.stderr
    assert "corral run --help" in done.stderr


def test_unexpected_error_shows_no_traceback_unless_debugging(repository_root: Path, tmp_path: Path) -> None:
    code = (
        "import sys, backend.cli.app as app\n"
        "def broken(): raise ZeroDivisionError('boom')\n"
        "app.build_app = lambda asked: (lambda *a, **k: broken())\n"
        "sys.exit(app.run_command(['runs']))\n"
    )
    for debug in ("", "1"):
        environment = {**os.environ, "CORRAL_DEBUG": debug}
        done = subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            text=True,
            cwd=repository_root,
            env=environment,
            check=False,
        )
        assert done.returncode == 3
        assert "error: unexpected ZeroDivisionError: boom" in done.stderr
        assert ("Traceback" in done.stderr) == bool(debug)


_PRINTS = (
    "--version", "--help", "run --help", "config", "config show --json", "config where", "config --help", "clean",
    "runs --json", "audit --json", "chat --list --json", "doctor", "top --once", "map --json", "sim --port 0",
)  # fmt: skip


@pytest.mark.parametrize("words", _PRINTS)
@pytest.mark.parametrize(("full", "code"), [(False, 141), (True, 3)], ids=["reader gone", "disk full"])
def test_what_nobody_takes_ends_a_command_with_one_code_and_no_traceback(
    words: str, full: bool, code: int, repository_root: Path, tmp_path: Path
) -> None:
    options = [] if words in ("--version", "--help", "sim --port 0") else ["--data", str(tmp_path)]
    done = untaken(words.split(), full=full, cwd=repository_root, options=options)
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    assert "ignored" not in done.stderr
    if full:
        assert "error: No space left on device\n  → Free some space" in done.stderr


@pytest.mark.parametrize("error", [BrokenPipeError(), ExceptionGroup("", [ValueError(), BrokenPipeError()])])
def test_a_group_in_which_the_reader_is_gone_is_that(error: Exception) -> None:
    assert isinstance(cause_of(ExceptionGroup("", [error])), BrokenPipeError)


def test_ctrl_c_while_the_program_is_being_imported_is_told_as_any_other(repository_root: Path) -> None:
    code = (
        "import sys\n"
        "from backend.cli.__main__ import main\n"
        "class Pressed:\n"
        "    def find_spec(self, name, path, target=None):\n"
        "        if name == 'backend.cli.manual': raise KeyboardInterrupt\n"
        "sys.meta_path.insert(0, Pressed())\n"
        "sys.exit(main(['runs']))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=repository_root, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "error: interrupted\n")


@pytest.mark.parametrize("closed", ["1", "2"])
def test_a_stream_that_is_closed_changes_no_exit_code_and_does_not_send_errors_elsewhere(
    closed: str, repository_root: Path
) -> None:
    shell = f"{sys.executable} -m backend.cli nosuch {closed}>&-"
    done = subprocess.run(["bash", "-c", shell], capture_output=True, text=True, cwd=repository_root, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert ("there is no command" in done.stderr) == (closed == "1")
