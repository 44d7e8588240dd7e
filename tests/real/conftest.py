"""A test of a real server wants models that only some servers have: it skips where they are not, and says which."""

from __future__ import annotations

import functools
import json
import os
import urllib.request

import pytest

ADDRESS = os.environ.get("CORRAL_TEST_OLLAMA", "")


@functools.cache
def held() -> frozenset[str]:
    """The models that the server has."""
    with urllib.request.urlopen(f"{ADDRESS}/api/tags") as answer:
        return frozenset(model["name"].removesuffix(":latest") for model in json.load(answer)["models"])


def pytest_runtest_setup(item: pytest.Item) -> None:
    wanted = {name for mark in item.iter_markers("models") for name in mark.args}
    callspec = getattr(item, "callspec", None)
    wanted |= {callspec.params[mark.kwargs["by"]] for mark in item.iter_markers("models") if "by" in mark.kwargs}
    if ADDRESS and (missing := sorted(wanted - held())):
        pytest.skip(f"the server has no {' and no '.join(missing)} (docs/real-server.md)")
