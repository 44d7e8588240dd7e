"""`corral config`: show, set, unset, where."""

import getpass
import sys
from collections.abc import Mapping
from typing import Annotated

from cyclopts import App, Parameter
from pydantic import TypeAdapter

from backend.cli.console import Terminal, open_terminal
from backend.cli.errors import Refused
from backend.cli.manual import below
from backend.cli.options import NO_OPTIONS, Common, Document, config_file, load
from infrastructure.config.edit import Written, set_value, unset_value
from infrastructure.config.errors import ConfigError
from infrastructure.config.fields import parse_name, parse_place, value_at

config = App(
    name="config",
    help="Show or change the settings, and say where each comes from.",
    help_epilogue=below("config"),
)
_JSON = TypeAdapter(object)


@config.default
@config.command
def show(
    *,
    origin: Annotated[bool, Parameter(help="Also say where each value comes from.")] = False,
    output: Document = "text",
    common: Common = NO_OPTIONS,
) -> int:
    """Show every setting as it is now; secrets as stars."""
    loaded = load(common)
    terminal = open_terminal()
    if output != "text":
        document: dict[str, object] = {"settings": loaded.settings.model_dump(mode="json")}
        terminal.data(document | ({"origins": dict(loaded.origins)} if origin else {}))
        return 0
    width = max(map(len, loaded.origins))
    for name, where in loaded.origins.items():
        text = _written(value_at(loaded.settings, parse_name(name)))
        terminal.raw(f"{name:{width}}  {text}" + (f"    # {where}" if origin else "") + "\n")
    return 0


@config.command(name="set")
def set_(name: str, value: str | None = None, /, *, common: Common = NO_OPTIONS) -> int:
    """Change one setting in the settings file, which is made where it is missing; its comments stay.

    A file that holds a secret can be read by its owner alone from then on.

    Args:
        name: The setting's dotted name, as `corral config` shows it; servers[0].token for one of the first server.
        value: Its value; lists with commas. Left out, it is asked for, or read from a pipe: a secret is then in no
            shell history.
        common: What every verb takes.
    """
    terminal = open_terminal()
    file = config_file(common)
    written = set_value(file, name, _asked(name, terminal) if value is None else value)
    shown = "set (it is not shown)" if written.secret else f"now {_written(written.value)}"
    _tell(f"{name} is {shown} in {file}", written, terminal)
    _warn(name, common, terminal)
    return 0


@config.command
def unset(name: str, /, *, common: Common = NO_OPTIONS) -> int:
    """Take one setting out of the settings file, so that its default rules again.

    Args:
        name: The setting's dotted name.
        common: What every verb takes.
    """
    file, terminal = config_file(common), open_terminal()
    _tell(f"{name} is no longer set in {file}", unset_value(file, name), terminal)
    _warn(name, common, terminal)
    return 0


@config.command
def where(*, common: Common = NO_OPTIONS) -> int:
    """Say where the settings file and the data directory are."""
    file, terminal = config_file(common), open_terminal()
    there = file.exists()
    terminal.raw(f"settings  {file}{'' if there else '  (not made yet)'}\n")
    terminal.raw(f"data      {load(common, file=there).settings.paths.data}\n")
    return 0


def _tell(said: str, written: Written, terminal: Terminal) -> None:
    terminal.say(said)
    if written.narrowed:
        terminal.say("others could read the file, which holds a secret; from now on only you can")


def _warn(name: str, common: Common, terminal: Terminal) -> None:
    """Say why the file does not rule, although it was changed."""
    try:
        origins = load(common).origins
    except ConfigError as error:
        return terminal.warn(f"there is more to mend before the settings can be used: {error}")
    for variable in variables_over(name, origins):
        terminal.warn(f"{variable} of the environment goes before the file: `unset {variable}` lets the file rule")
    return None


def variables_over(name: str, origins: Mapping[str, str]) -> tuple[str, ...]:
    """The environment variables that rule a setting, or a part of it, whatever the file says.

    Args:
        name: The setting's dotted name.
        origins: Where each setting comes from, as it was loaded.
    """
    place = tuple(key for key in parse_place(name) if isinstance(key, str))
    found: dict[str, None] = {}
    for setting, origin in origins.items():
        kind, _, variable = origin.partition(" ")
        other = parse_name(setting)
        shorter = min(len(place), len(other))
        if kind == "environment" and place[:shorter] == other[:shorter]:
            found[variable] = None
    return tuple(found)


def _asked(name: str, terminal: Terminal) -> str:
    """One line from standard input; at a terminal it is typed unseen."""
    if sys.stdin.isatty():
        said = getpass.getpass(f"{name} (not shown): ")
    else:
        terminal.say(f"reading {name} from standard input")
        said = sys.stdin.readline().rstrip("\r\n")
    if not said:
        raise Refused(f"no value was given for {name}", f"Type: corral config set {name} VALUE")
    return said


def _written(value: object) -> str:
    """A value as JSON, which is how the environment may give it; secrets as stars."""
    return "-" if value is None else _JSON.dump_json(value, exclude_none=True).decode()
