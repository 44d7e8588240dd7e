"""What a command's help page says below its options: what its exit codes mean.

Owns the table, which `docs/cli.md` shows as well; a test holds the two equal. Nothing heavy is imported: help is quick.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

Exits = Sequence[tuple[int, str]]

EVERY: Exits = (
    (2, "the command line, a setting or a file of yours is wrong; the message says how to say it otherwise"),
    (3, "the environment lacks something: no Ollama, no model, no sandbox, no room on the disk"),
    (130, "Ctrl-C"),
    (141, "whoever read stdout went away"),
)
"""Of every command, besides its own."""

_RUN: Exits = (
    (0, "done, or unverified: no given test shows that the patch is right"),
    (1, "failed: no candidate passed; or --apply met files that have changed since"),
    (2, "usage, a setting, a test command that does not start, a cloud model"),
    (3, "error: no server, no model, no sandbox, a server that broke off"),
    (4, "budget: calls, tokens, seconds or GPU seconds ran out; the best so far is kept"),
    (5, "needs_input: a person is asked and nobody can be; `corral resume RUN --yes` or `--no` answers"),
    (130, "interrupted by Ctrl-C, so that `corral resume RUN` goes on; or cancelled, or answered no"),
)
_READ: Exits = ((0, "it was found and printed"), (2, "there is no such run, or nothing of that kind in it"))

EXITS: Mapping[str, Exits] = {
    "run": _RUN,
    "resume": (*_RUN[:2], (2, "as for run; or it is over, or waits for no answer"), *_RUN[3:]),
    "chat": (
        (0, "left; with --once, or messages from a pipe: answered"),
        (1, "--once or a pipe: the turn failed"),
        (2, "usage, settings; no such session or agent"),
        (3, "no server, no model; or another process holds the data directory"),
        (5, "--once or a pipe: a person is asked and nobody can be; `corral chat SESSION` asks again"),
        (130, "--once or a pipe: stopped by Ctrl-C"),
    ),
    "batch": (
        (0, "every run passed or is unverified"),
        (2, "usage, settings, or jobs that cannot be read: nothing was begun"),
        (3, "the environment: no model, no sandbox; the same command goes on when it is mended"),
        (6, "it came to its end, and some runs failed or have no verdict"),
        (130, "interrupted by Ctrl-C; the same command goes on"),
    ),
    "eval": (
        (0, "every sample has a verdict, whatever it is; or a report was made"),
        (2, "usage, settings, or a set that cannot be read: nothing was begun"),
        (3, "the environment: no model, no sandbox; the same command goes on when it is mended"),
        (6, "it came to its end, and some samples have no verdict"),
        (130, "interrupted by Ctrl-C; the same command goes on"),
    ),
    "map": (
        (0, "drawn, also where nothing fits"),
        (2, "there is no such folder, or a map of that length shows nothing"),
    ),
    "demo": ((0, "every task is done"), (1, "one is not"), (3, "no sandbox")),
    "runs": ((0, "listed, also where there are none"),),
    "audit": ((0, "listed, also where there are none"),),
    "show": _READ,
    "xray": _READ,
    "follow": (
        (0, "the run is over or rests, however it ended; `corral show` tells how"),
        (2, "there is no such run"),
        (130, "Ctrl-C: no longer followed; the run itself goes on"),
    ),
    "cancel": ((0, "cancelled, or the process that runs it was asked to"), (2, "there is no such run, or it is over")),
    "replay": (
        (0, "equal to the last byte; or exported; with --from as for run"),
        (1, "it differs, and the first difference was said; with --from as for run"),
        (2, "no such run, file, step or key; a run that cannot be replayed; a recording of another version"),
        *_RUN[3:],
    ),
    "apply": (
        (0, "applied, or as wanted before; or no hunk was taken"),
        (1, "nothing was changed: files are not as they were when the run began"),
        (2, "there is no patch, or no such run or hunk; the branch exists; the run has not ended"),
    ),
    "serve": ((0, "it was told to end; or this data directory is served already, and where was said"),),
    "top": ((0, "shown; or ended by q or Ctrl-C"),),
    "models": (
        (0, "listed, pulled or answered; fit: nothing is known to speak against it"),
        (1, "fit: lanes do not fit together on a server"),
        (2, "check --show: there is no profile of that model"),
        (3, "no server, no such model, a download that failed, a model that does not answer"),
    ),
    "bench": ((0, "measured"), (3, "no server, no such model, a call that failed")),
    "doctor": ((0, "ready"), (3, "something is missing that a run needs")),
    "config": ((0, "shown or changed"), (2, "there is no such setting, or it cannot have that value")),
    "clean": (
        (0, "removed, or nothing was old enough"),
        (3, "whoever holds the engine cannot clean now, or does not answer; or the disk is full of what is not old"),
    ),
    "sim": ((0, "ended by Ctrl-C"), (3, "it cannot listen there")),
}
"""What each command's own codes mean, in their order."""


def exits_of(verb: str) -> Exits:
    """All exit codes of a command: its own words, and those of every command where it has none."""
    own = dict(EXITS[verb])
    return tuple(sorted({**dict(EVERY), **own}.items()))


def below(verb: str) -> str:
    """What stands below the options of a command's help page, as Markdown."""
    return "\n".join(["Exit codes:", "", *(f"- {code}: {meaning}" for code, meaning in exits_of(verb))])
