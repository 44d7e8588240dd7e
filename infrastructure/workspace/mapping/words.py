"""Words: of a task, of a path, of a name in code.

Owns how they are cut and compared: `CookieJar.get_all` and "cookies" meet in `cookie`. Any human language is cut;
only English endings are taken off.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache

_NAME = re.compile(r"[^\W\d]\w*(?:[.:]{1,2}[^\W\d]\w*)*")
_WORD = re.compile(r"[^\W\d_]\w*")
_PARTS = re.compile(r"[^\W\d_]?[^\W\dA-Z_]+|[A-Z]+(?![^\W\dA-Z_])|\d+")
_ENDINGS = ("ations", "ation", "ings", "ing", "ies", "ie", "ers", "er", "ed", "es", "s", "e", "y")
_SHORTEST, _LONGEST = 3, 40
_STOP = (
    "a about add added adds after all allow allows also an and any are as at avoid be because been before being both "
    "bug but by can case cases change changed changes check code could correct correctly data def default do does "
    "doing done don ensure error errors etc even ever fail fails false file files find first fix fixed fixes fixing "
    "for from function get gets give has have how if implement improve in instead into is issue it its just keep let "
    "like line lines make makes making may merge method more most must need needed needs new no none not now of on "
    "one only or other our out over own please possible problem properly pull refactor remove removed removes rename "
    "request return returns same see self set sets should show simple so some still such support supported sure "
    "system test tests than that the their them then there these they this those to true type types under update "
    "updated updates upon use used user uses using value values version very via want was way we well were what when "
    "where which while who why will with within without work working works would you your"
)


def names_in(text: str) -> Iterator[str]:
    """What looks like names of code in a text: dotted ones by their parts, and those no prose word looks like."""
    for found in _NAME.findall(text):
        parts = re.split(r"[.:]+", found)
        if len(parts) > 1 or "_" in found or not (found.islower() or found.istitle()):
            yield from (part for part in parts if len(part) >= _SHORTEST)


def words_in(text: str) -> Iterator[str]:
    """The words of a task that can tell one file from another, as `parts_of` cuts them."""
    for found in _WORD.findall(text):
        yield from (part for part in parts_of(found) if part not in _STOPPED)


@lru_cache(maxsize=1 << 16)
def parts_of(name: str) -> tuple[str, ...]:
    """The words a name is made of, in lower case and without endings."""
    return tuple(_stem(part.lower()) for part in _PARTS.findall(name) if _SHORTEST <= len(part) <= _LONGEST)


def _stem(word: str) -> str:
    for ending in _ENDINGS:
        if word.endswith(ending) and len(word) - len(ending) >= _SHORTEST:
            return word.removesuffix(ending)
    return word


_STOPPED = frozenset(_stem(word) for word in _STOP.split())
