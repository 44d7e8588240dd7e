"""What a run is given, checked before it begins: whoever runs the graph without the engine gives any dictionary.

Owns the bounds, which are those of a task for the engine, and the error that says which of them was missed.
"""

from __future__ import annotations

import reprlib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, InstanceOf, ValidationError

from infrastructure.config.settings import Candidates
from infrastructure.workflow.values import Gate

Text = InstanceOf[str]
"""Any text: that of a path may hold what is no Unicode."""


class BadInput(ValueError):
    """A run cannot begin with what it was given."""

    hint = "on a thread, what an input does not say stays as the one before said it: say it anew"


def _not_empty(text: str) -> str:
    if not text:
        raise ValueError("it is empty")
    return text


class Given(BaseModel):
    """A run's input; see `CodegenInput`."""

    model_config = ConfigDict(frozen=True)

    task: Annotated[Text, AfterValidator(_not_empty)]
    repo: Text | InstanceOf[Path] = ""
    run: Text = ""
    candidates: Candidates = 1
    at_once: int = Field(default=0, ge=0)
    repairs: int = Field(default=2, ge=0, le=10)
    rounds: int = Field(default=2, ge=1, le=10)
    approve: list[Gate] = []
    test_command: Text = ""
    tests: list[Text] = []


def given_of(state: Mapping[str, object]) -> Given:
    """The input of a run.

    Raises:
        BadInput: Something of it is of no use.
    """
    try:
        return Given.model_validate(dict(state))
    except ValidationError as problems:
        said: dict[str, list[str]] = {}
        for each in problems.errors():
            name = str(each["loc"][0])
            said.setdefault(f"{name}={reprlib.repr(state.get(name))}", []).append(each["msg"])
        raise BadInput("; ".join(f"{what}: {', or: '.join(why)}" for what, why in said.items())) from None
