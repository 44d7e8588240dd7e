"""Copies of a chat model, and the end of the thread behind those without a pool."""

from __future__ import annotations

import copy

import pytest

from infrastructure.chat_model import close_chat_pool
from infrastructure.chat_model.thread import shared
from infrastructure.connection_pool import OllamaConnectionPool
from infrastructure.pool.loop_thread import WouldBlock
from tests.chat_model.models import asking


async def test_a_copied_model_shares_with_what_is_copied_with_it_what_it_shared_before():
    async with asking(tags=["mine"]) as model:
        copied = copy.deepcopy({"model": model, "tags": model.tags, "pool": model.pool})
        assert copied["model"].tags is copied["tags"]
        assert copied["model"].tags is not model.tags
        assert copied["model"].pool is copied["pool"] is model.pool


def test_the_shared_thread_stays_where_it_is_asked_to_close_itself(configured: None):
    async def closes_itself(_: OllamaConnectionPool) -> None:
        close_chat_pool()

    there = shared.get()
    with pytest.raises(WouldBlock):
        there.wait(there.submit(closes_itself))
    assert shared.get() is there
    close_chat_pool()
    assert shared.get() is not there
