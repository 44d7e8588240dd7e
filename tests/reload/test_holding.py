"""The table that says when a change holds has every setting, and agrees with what a reload leaves alone."""

from __future__ import annotations

from infrastructure.config.holding import HOLDS, KEPT_SECTIONS, Holds, wants_new_start
from tests.config.settings_page import rows


def test_every_setting_is_in_the_table_and_nothing_else():
    assert list(HOLDS) == sorted(HOLDS, key=[row.name for row in rows()].index)
    assert set(HOLDS) == {row.name for row in rows()}


def test_what_wants_a_new_start_is_what_a_reload_leaves_as_it_is():
    for name, holds in HOLDS.items():
        assert wants_new_start(name) == (holds is Holds.START) == (name.partition(".")[0] in KEPT_SECTIONS), name
