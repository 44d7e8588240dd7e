"""Log lines: as text for people, or as JSON, each with what began the work that it is about.

Owns the filter that puts the correlation on every record, and the JSON form. Where lines go is for whoever opens the
stream to say.
"""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime

from infrastructure.events.causes import correlation

OURS = ("agents", "backend", "infrastructure")
"""The loggers that a level is set for; what libraries say below a warning is their own business."""


class CorrelationFilter(logging.Filter):
    """Puts `correlation` on every record: of the context in which it was made. Lets everything pass."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Mark a record."""
        if not hasattr(record, "correlation"):
            record.correlation = correlation()
        return True


class JsonLines(logging.Formatter):
    """One JSON object a record, on one line."""

    def format(self, record: logging.LogRecord) -> str:
        """A record as JSON; ASCII, since a message may hold anything."""
        at = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        fields: dict[str, str] = {
            "at": at.replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            "correlation": getattr(record, "correlation", "") or correlation(),
        }
        if record.exc_info and record.exc_info[1] is not None:
            fields["error"] = type(record.exc_info[1]).__name__
            fields["trace"] = self.formatException(record.exc_info)
        return json.dumps(fields)


def levels() -> dict[str, int]:
    """The levels of our own loggers as they are set."""
    return {name: logging.getLogger(name).level for name in OURS}


def set_level(level: str) -> None:
    """Let records of our own loggers pass from this level on: "debug", "info", "warning" or "error"."""
    for name in OURS:
        logging.getLogger(name).setLevel(level.upper())
