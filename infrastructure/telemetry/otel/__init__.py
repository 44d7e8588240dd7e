"""Traces and metrics for a collector. The only rooms that name OpenTelemetry's library, which is an extra."""
