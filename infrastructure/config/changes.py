"""What is different between two settings, by dotted name.

Owns the comparison. Names only: a value may be a secret.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from pydantic import BaseModel

from infrastructure.config.fields import Name, dotted

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from infrastructure.config.settings import ServerSettings, Settings


def changed_names(before: Settings, after: Settings) -> tuple[str, ...]:
    """The names of the settings that differ, in the order of the settings.

    A server is the same as long as its address is: what changed of it is named by its place in the new list, such as
    `servers[1].token`. One that came or went is a change of `servers`.
    """
    return tuple(_differences((), before, after))


def _differences(name: Name, before: object, after: object) -> Iterator[str]:
    if before == after:
        return
    if name == ("servers",):
        yield from _servers(cast("Sequence[ServerSettings]", before), cast("Sequence[ServerSettings]", after))
    elif isinstance(before, BaseModel) and isinstance(after, BaseModel):
        for key in type(after).model_fields:
            yield from _differences((*name, key), getattr(before, key), getattr(after, key))
    elif isinstance(before, dict) and isinstance(after, dict):
        old, new = cast("dict[str, object]", before), cast("dict[str, object]", after)
        for key in dict.fromkeys((*new, *old)):
            yield from _differences((*name, key), old.get(key), new.get(key))
    else:
        yield dotted(name)


def _servers(before: Sequence[ServerSettings], after: Sequence[ServerSettings]) -> Iterator[str]:
    if [each.url for each in before] != [each.url for each in after]:
        yield "servers"
    old = {each.url: each for each in before}
    for number, each in enumerate(after):
        known = old.get(each.url)
        if known is not None:
            for key in type(each).model_fields:
                if getattr(known, key) != getattr(each, key):
                    yield f"servers[{number}].{key}"
