"""What must not be shown: which settings are secret, by their type."""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast, get_args, get_origin

from pydantic import BaseModel, SecretStr

from infrastructure.config.fields import Name, child, members
from infrastructure.config.settings import Settings


def is_secret(name: Name) -> bool:
    """Whether the setting, or one within it, is a secret: a wrong value there may be one as well."""
    annotation: object = Settings
    for key in name:
        annotation = child(annotation, key) or child(child(annotation, 0), key)
    return _may_hold_secret(annotation)


def holds_secret(value: object) -> bool:
    """Whether there is a secret in settings, or in a part of them."""
    if isinstance(value, SecretStr):
        return True
    return any(map(holds_secret, _parts(value)))


def _may_hold_secret(annotation: object) -> bool:
    return any(map(_member_may, members(annotation)))


def _member_may(member: object) -> bool:
    if isinstance(member, type) and issubclass(member, BaseModel):
        return any(_may_hold_secret(field.annotation) for field in member.model_fields.values())
    if get_origin(member) in (dict, tuple):
        return any(map(_may_hold_secret, get_args(member)))
    return member is SecretStr


def _parts(value: object) -> Iterator[object]:
    if isinstance(value, BaseModel):
        for key in type(value).model_fields:
            yield getattr(value, key)
    elif isinstance(value, dict):
        yield from cast("dict[str, object]", value).values()
    elif isinstance(value, tuple):
        yield from cast("tuple[object, ...]", value)
