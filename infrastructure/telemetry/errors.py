"""What keeps telemetry from being opened."""

from __future__ import annotations


class TelemetryNotOpened(Exception):
    """Traces and metrics are to be sent, and cannot be."""

    def __init__(self, message: str, hint: str) -> None:
        self.hint = hint
        super().__init__(message)
