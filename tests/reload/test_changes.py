"""What is told of the difference between two settings."""

from __future__ import annotations

import pytest

from infrastructure.config.changes import changed_names
from infrastructure.config.load import load_settings

HOME = {"HOME": "/home/ada"}
GPU1, GPU2 = {"url": "http://gpu1", "token": "one"}, {"url": "http://gpu2"}


@pytest.mark.parametrize(
    ("before", "after", "names"),
    [
        ({}, {}, ()),
        ({}, {"pool.queue_length": 5, "model": "m"}, ("model", "pool.queue_length")),
        ({"servers": [GPU1]}, {"servers": [GPU1, GPU2]}, ("servers",)),
        ({"servers": [GPU1, GPU2]}, {"servers": [GPU2, {**GPU1, "token": "two"}]}, ("servers", "servers[1].token")),
        ({"servers": [GPU1]}, {"servers": [{**GPU1, "slots": 4, "token": "two"}]},
         ("servers[0].token", "servers[0].slots")),
        ({}, {'lanes."qwen2.5:7b".model': "q"}, ('lanes."qwen2.5:7b"',)),
        ({"lanes.a.model": "q", "lanes.b.model": "q"}, {"lanes.a.model": "q", "lanes.a.num_ctx": 8192},
         ("lanes.a.num_ctx", "lanes.b")),
        ({"roles.coder": "m"}, {"roles.planner": "m"}, ("roles.planner", "roles.coder")),
    ],
)  # fmt: skip
def test_names_of_what_is_different(before: dict[str, object], after: dict[str, object], names: tuple[str, ...]):
    one, other = (load_settings(None, HOME, flags).settings for flags in (before, after))
    assert changed_names(one, other) == names
