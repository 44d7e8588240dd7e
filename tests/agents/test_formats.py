"""In which form changes are asked for."""

from __future__ import annotations

import pytest

from agents.codegen import FormatCount, Measured, SourceFile, choose_format
from agents.codegen.formats import WHOLE_LINES

SHORT = SourceFile("a.py", "x\n" * WHOLE_LINES)
LONG = SourceFile("b.py", "x\n" * (WHOLE_LINES + 1))
LONG_JS = SourceFile("b.js", LONG.content)
POOR = FormatCount(well=2, malformed=8)
POORER = FormatCount(well=0, malformed=9)
GOOD = FormatCount(well=9, malformed=1)
FEW = FormatCount(well=0, malformed=4)


@pytest.mark.parametrize(
    ("files", "counts", "malformed", "expected"),
    [
        ((), {}, (), "whole"),
        ((SHORT,), {}, (), "whole"),
        ((SHORT, LONG), {}, (), "search_replace"),
        ((LONG_JS,), {}, (), "search_replace"),
        ((SHORT,), {"whole": POOR}, (), "search_replace"),
        ((SHORT,), {"whole": FEW}, (), "whole"),
        ((SHORT,), {"whole": POOR, "search_replace": POORER}, (), "whole"),
        ((LONG,), {"search_replace": POOR}, (), "function"),
        ((LONG,), {"search_replace": POOR, "function": POORER, "whole": GOOD}, (), "whole"),
        ((LONG_JS,), {"search_replace": POOR, "function": GOOD}, (), "whole"),
        ((SHORT,), {}, ("whole",), "search_replace"),
        ((LONG,), {}, ("search_replace",), "function"),
        ((LONG,), {}, ("search_replace", "function"), "whole"),
        ((SHORT,), {}, ("whole", "search_replace"), "whole"),
        ((SHORT,), {}, ("whole", "search_replace", "whole"), "search_replace"),
        ((SHORT,), {"search_replace": POORER}, ("whole",), "search_replace"),
    ],
)
def test_form_follows_size_then_measurement_then_what_just_failed(files, counts, malformed, expected):
    assert choose_format(files, Measured(counts), malformed=malformed) == expected


def test_too_few_answers_say_nothing():
    assert FEW.share == 1.0
    assert POOR.share == 0.2
