"""The log as the settings want it, on stderr.

Owns the step from `log.format` and `log.level` to the handler that a command's log goes through. Apart from it, since
it imports what a command that has no settings does not need.
"""

from __future__ import annotations

import logging

from backend.cli.console import LogHandler
from infrastructure.config.settings import LogSettings
from infrastructure.telemetry.logs import CorrelationFilter, JsonLines, levels, set_level


def write_log_as(settings: LogSettings) -> None:
    """Write the log as these settings say, while `log_shown`."""
    for handler in logging.getLogger().handlers:
        if isinstance(handler, LogHandler):
            handler.levels = {**levels(), **handler.levels}
            set_level(settings.level)
            handler.setLevel(settings.level.upper())
            handler.lines = JsonLines() if settings.format == "json" else None
            if not handler.filters:
                handler.addFilter(CorrelationFilter())
