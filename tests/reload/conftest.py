from __future__ import annotations

from tests.backend.conftest import site

__all__ = ["site"]
