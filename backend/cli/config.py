"""`corral config`: show, set, where."""

from typing import Annotated, cast

from cyclopts import App, Parameter
from pydantic import TypeAdapter

from backend.cli.console import open_terminal
from backend.cli.options import NO_OPTIONS, Common, Document, load
from infrastructure.config.edit import set_value
from infrastructure.config.fields import parse_name
from infrastructure.config.settings import Settings

config = App(name="config", help="Show or change the settings, and say where each comes from.")
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
        text = _written(_value(loaded.settings, name))
        terminal.raw(f"{name:{width}}  {text}" + (f"    # {where}" if origin else "") + "\n")
    return 0


@config.command(name="set")
def set_(name: str, value: str, /, *, common: Common = NO_OPTIONS) -> int:
    """Change one setting in the settings file; its comments stay.

    Args:
        name: The setting's dotted name, as `corral config` shows it.
        value: Its value; lists with commas.
        common: What every verb takes.
    """
    file = load(common).settings.paths.config
    set_value(file, name, value)
    open_terminal().say(f"{name} is now {value} in {file}")
    return 0


@config.command
def where(*, common: Common = NO_OPTIONS) -> int:
    """Say where the settings file and the data directory are."""
    paths = load(common).settings.paths
    terminal = open_terminal()
    there = "" if paths.config.exists() else "  (not made yet)"
    terminal.raw(f"settings  {paths.config}{there}\ndata      {paths.data}\n")
    return 0


def _value(settings: Settings, name: str) -> object:
    """What is found under a dotted name."""
    found: object = settings
    for key in parse_name(name):
        found = cast("dict[str, object]", found)[key] if isinstance(found, dict) else getattr(found, key)
    return found


def _written(value: object) -> str:
    """A value as JSON, which is how the environment may give it; secrets as stars."""
    return "-" if value is None else _JSON.dump_json(value).decode()
