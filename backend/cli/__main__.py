"""Where `corral` begins: the version at once, everything else through the parser."""

from __future__ import annotations

import sys
from collections.abc import Sequence

VERSION_FLAGS = frozenset({"--version", "-V"})


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        arguments: What follows the program's name; the process's own when None.

    Returns:
        The exit code.
    """
    tokens = list(sys.argv[1:] if arguments is None else arguments)
    if len(tokens) == 1 and tokens[0] in VERSION_FLAGS:
        sys.stdout.write(f"corral {version()}\n")
        return 0
    from backend.cli.app import run_command  # noqa: PLC0415 - the parser takes longer to import than a version to say

    return run_command(tokens)


def version() -> str:
    """The installed version; `0+unknown` for a tree that was never installed."""
    from importlib.metadata import PackageNotFoundError, version  # noqa: PLC0415 - not needed for any other command

    try:
        return version("corral")
    except PackageNotFoundError:
        return "0+unknown"


if __name__ == "__main__":
    sys.exit(main())
