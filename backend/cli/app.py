"""The verbs by name, and what becomes of whatever goes wrong in one.

Owns the table of verbs. A verb is named by a string, so that its module, and all that it needs, is imported when it is
the one that runs.
"""

from __future__ import annotations

import difflib
import os
import sys
import traceback
from collections.abc import Sequence
from contextlib import suppress

from cyclopts import App, CycloptsError, Group, Parameter

from backend.cli.console import Terminal, log_shown, open_terminal, silence_broken
from backend.cli.errors import Explained, Refused, cause_of, explain, failure_document, unknown_usage
from backend.cli.manual import below
from backend.cli.tokens import normal, output_of, verb_of

EXIT_USAGE = 2
EXIT_INTERRUPTED = 130
EXIT_PIPE_CLOSED = 141

_WORK = Group("Work", sort_key=1)
_RUNS = Group("Runs", sort_key=2)
_HOUSE = Group("House", sort_key=3)

VERBS: tuple[tuple[str, str, Group], ...] = (
    ("run", "Give a task, get a tested patch.", _WORK),
    ("chat", "Talk with agents that read, change and run a repository, and ask before they change it.", _WORK),
    ("batch", "Work through a file of jobs; killed, the same command goes on.", _WORK),
    ("eval", "Measure models and settings on a set of problems; killed, the same command goes on.", _WORK),
    ("map", "See what the model sees of a repository.", _WORK),
    ("demo", "Watch sample tasks being solved, without a model.", _WORK),
    ("runs", "List the runs.", _RUNS),
    ("audit", "List decisions: approvals, applied patches, changed settings.", _RUNS),
    ("show", "Show one run: its task, steps, tests and patch.", _RUNS),
    ("xray", "Show what the model got in each call of a run, and what was cut of it.", _RUNS),
    ("follow", "Follow a run's events, from the first or from a given one.", _RUNS),
    ("cancel", "Stop a run for good.", _RUNS),
    ("resume", "Go on with a run that was interrupted or waits for an answer.", _RUNS),
    ("replay", "Repeat a run from its recording, or go another way from one of its steps.", _RUNS),
    ("apply", "Put a run's patch into the folder it came from, or on a new branch.", _RUNS),
    ("serve", "Serve the page and the API.", _HOUSE),
    ("top", "Watch the pool: servers, lanes, queue, calls.", _HOUSE),
    ("models", "List, pull and check models, and see which lanes fit together.", _HOUSE),
    ("bench", "Measure a model, and say how many calls at once pay.", _HOUSE),
    ("doctor", "Check this machine, and say how to mend what is wrong.", _HOUSE),
    ("config", "Show or change the settings, and say where each comes from.", _HOUSE),
    ("clean", "Remove what old runs left behind.", _HOUSE),
    ("sim", "Run a simulated Ollama server.", _HOUSE),
)

_HELP = """Turns the Ollama servers you own into a code-generation engine.

`corral demo` shows it without a model, `corral doctor` says whether this machine is ready, and `corral run "…"` in a
repository gives it a task. `corral COMMAND --help` tells more of each, `corral --version` which this is.

Exit codes: 0 done or unverified, 1 the result failed, 2 usage or settings, 3 environment (no Ollama, no model, no
sandbox), 4 a budget ran out, 5 a person is needed, 6 some jobs of a batch failed, 130 interrupted.
"""
_NAMES = tuple(verb for verb, _, _ in VERBS)
_WITH_VERBS = frozenset({"config", "models"})
"""Verbs that have verbs of their own, and so a parser with a help page of its own."""


def build_app(asked: str = "") -> App:
    """The parser with all verbs; none of them imported.

    Args:
        asked: The verb that will run: its help page is its own docstring, since it is imported anyhow.
    """
    app = App(
        name="corral",
        help=_HELP,
        version_flags=(),
        default_parameter=Parameter(negative=(), show_default=False),
        exit_on_error=False,
        print_error=False,
        suppress_keyboard_interrupt=False,
        result_action="return_value",
    )
    app["--help"].group = _HOUSE
    for order, (verb, told, group) in enumerate(VERBS):
        said = None if verb == asked else told
        page = {} if verb in _WITH_VERBS else {"help_epilogue": below(verb)}
        app.command(f"backend.cli.{verb}:{verb}", name=verb, help=said, group=group, sort_key=order, **page)
    return app


def run_command(arguments: Sequence[str], terminal: Terminal | None = None) -> int:
    """Parse and run one command; whatever goes wrong becomes a message and an exit code.

    Args:
        arguments: What follows the program's name.
        terminal: Where output goes; the process's own when None.
    """
    tokens = normal(arguments)
    verb = verb_of(tokens)
    terminal = terminal or open_terminal()
    try:
        if verb and verb not in _NAMES:  # the parser would import every verb to look for a similar one
            raise _unknown(verb)
        with log_shown(terminal, debug=_debugging()):
            code = _exit_code(build_app(verb)(tokens, console=terminal.out, error_console=terminal.err))
        terminal.flush()
        return code
    except KeyboardInterrupt:
        return _tell(Explained("KeyboardInterrupt", "interrupted", "", EXIT_INTERRUPTED), tokens, terminal)
    except SystemExit as ending:
        return ending.code if isinstance(ending.code, int) else EXIT_USAGE
    except Exception as error:  # noqa: BLE001 - the outermost edge: a person never sees a traceback
        return report(error, tokens, terminal)


def _unknown(verb: str) -> Refused:
    near = difflib.get_close_matches(verb, _NAMES, n=1)
    meant = f"Did you mean `corral {near[0]}`? " if near else ""
    return Refused(f"there is no command {verb!r}", f"{meant}`corral --help` lists the commands.")


def _exit_code(returned: object) -> int:
    return returned if isinstance(returned, int) else 0


def _debugging() -> bool:
    return os.environ.get("CORRAL_DEBUG") == "1"


def report(error: Exception, tokens: Sequence[str], terminal: Terminal) -> int:
    """Tell what went wrong in a command; its exit code."""
    if isinstance(cause_of(error), BrokenPipeError):
        silence_broken()
        return EXIT_PIPE_CLOSED
    known = unknown_usage(error, tokens) if isinstance(error, CycloptsError) else explain(error)
    if _debugging():
        traceback.print_exception(error, file=sys.stderr)
    return _tell(known, tokens, terminal)


def _tell(known: Explained, tokens: Sequence[str], terminal: Terminal) -> int:
    document = failure_document(verb_of(tokens), known) if output_of(tokens) != "text" else None
    for told in (
        lambda: None if document is None else terminal.data(document),
        lambda: terminal.problem(known.message, known.hint),
    ):
        with suppress(OSError):  # that a stream takes nothing more may be what is told
            told()
    silence_broken()
    return known.exit_code
