"""Where `corral` begins: the version at once, everything else through the parser."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence

VERSION_FLAGS = frozenset({"--version", "-V"})
EXIT_INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        arguments: What follows the program's name; the process's own when None.

    Returns:
        The exit code.
    """
    fill_closed()
    hear_of_children()
    tokens = list(sys.argv[1:] if arguments is None else arguments)
    try:
        if len(tokens) == 1 and tokens[0] in VERSION_FLAGS:
            return _say_version(tokens)
        # The parser takes longer to import than a version to say.
        from backend.cli.app import run_command  # noqa: PLC0415

        return run_command(tokens)
    except KeyboardInterrupt:  # while it was being imported: what is being imported cannot say it
        sys.stderr.write("error: interrupted\n")
        return EXIT_INTERRUPTED


def fill_closed() -> None:
    """Open the standard streams that were closed before we began: a socket or file in their place would be written to.

    Python's own stay None. Child processes write to these numbers too, and get them.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # the least number that is free, so this one


def hear_of_children() -> None:
    """Be told how our programs end. Who was started with SIGCHLD ignored is not: the system reaps them itself."""
    if signal.getsignal(signal.SIGCHLD) is signal.SIG_IGN:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)


def _say_version(tokens: Sequence[str]) -> int:
    try:
        sys.stdout.write(f"corral {version()}\n")
        sys.stdout.flush()
    except OSError as error:
        from backend.cli.app import report  # noqa: PLC0415 - only where nobody takes the version
        from backend.cli.console import open_terminal, silence_broken  # noqa: PLC0415

        silence_broken()
        return report(error, tokens, open_terminal())
    return 0


def version() -> str:
    """The installed version; `0+unknown` for a tree that was never installed."""
    from importlib.metadata import PackageNotFoundError, version  # noqa: PLC0415 - not needed for any other command

    try:
        return version("corral")
    except PackageNotFoundError:
        return "0+unknown"


if __name__ == "__main__":
    sys.exit(main())
