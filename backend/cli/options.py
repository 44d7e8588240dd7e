"""Options that every verb has, and the settings they make.

Owns `Common` and the step from it to settings: file, then environment, then these.
"""

import os
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from backend.cli.logs import write_log_as
from backend.cli.tokens import Output
from infrastructure.config.load import Loaded, default_config_file, load_settings
from infrastructure.config.settings import ServerSettings, Settings

DEBUG = "CORRAL_DEBUG"
"""Shows tracebacks; not a setting, since it must work where the settings cannot be read."""

OutputOption = Annotated[
    Output, Parameter(help="What stdout holds: text for people, one JSON document, or JSON lines.")
]
Document = Annotated[Output, Parameter(help="What stdout holds: text for people, or one JSON document.")]
RunArgument = Annotated[str, Parameter(help="The run's id, or as much of its beginning as names only one.")]


@Parameter(name="*", group="Common")
@dataclass(frozen=True, slots=True, kw_only=True)
class Common:
    """What every verb takes."""

    config: Annotated[Path | None, Parameter(help="Settings file instead of the usual one.")] = None
    data: Annotated[Path | None, Parameter(help="Data directory instead of the usual one.")] = None
    server: Annotated[
        tuple[str, ...], Parameter(help="Address of an Ollama server; again for another.", negative_iterable=())
    ] = ()
    quiet: Annotated[bool, Parameter(name=("--quiet", "-q"), help="No progress on stderr.")] = False


NO_OPTIONS = Common()


def load(common: Common, flags: Mapping[str, object] | None = None, *, file: bool = True) -> Loaded:
    """All settings, and where each comes from.

    Args:
        common: What was said on the command line.
        flags: Further settings said there, by dotted name.
        file: Whether the settings file is read.

    Raises:
        ConfigError: something is wrong with them.
    """
    environ = _environ()
    said: dict[str, object] = {
        "paths.data": None if common.data is None else str(common.data.absolute()),
        "servers": [{"url": url} for url in common.server] or None,
        **(flags or {}),
    }
    loaded = load_settings(config_file(common) if file else None, environ, said)
    write_log_as(loaded.settings.log)
    if loaded.settings.servers:
        return loaded
    # Nobody named a server: the one that Ollama starts by default.
    return Loaded(loaded.settings.model_copy(update={"servers": (ServerSettings(),)}), loaded.origins)


def config_file(common: Common) -> Path:
    """The settings file that is read, or would be if it were there. It need not be readable."""
    return common.config or default_config_file(_environ())


def again(common: Common) -> str:
    """The options that a command about the same runs needs as well, as they are typed; with a blank before each."""
    said = [("--config", common.config), ("--data", common.data)]
    return "".join(f" {name} {shlex.quote(str(path))}" for name, path in said if path is not None)


def settings_of(common: Common) -> Settings:
    """The settings alone."""
    return load(common).settings


def _environ() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name != DEBUG}
