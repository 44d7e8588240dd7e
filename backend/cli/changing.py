"""What `corral replay --from STEP --set KEY=VALUE` may change, and the task that comes of it.

Owns the keys. Each becomes a field of the new run's task; what it may be is checked where tasks are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pydantic import ValidationError

from backend.cli.errors import Refused
from infrastructure.config.settings import BudgetSettings
from infrastructure.tasks import TaskSpec

KEYS: Mapping[str, str] = {
    "model": "model, or lane of the settings, for every role",
    "task": "what to do",
    "temperature": "of every role, 0 to 2",
    "candidates": "solutions side by side",
    "repairs": "tries after the first",
    "rounds": "plans",
    "calls": "budget of model calls",
    "tokens": "budget of tokens",
    "seconds": "budget of time",
    "gpu_seconds": "budget of the time in which servers work",
}
_BUDGET = ("calls", "tokens", "seconds", "gpu_seconds")


def read_changes(said: Sequence[str]) -> Mapping[str, str]:
    """The changes of `--set`, by key.

    Raises:
        Refused: one is no KEY=VALUE, has an unknown key, or comes twice.
    """
    changes: dict[str, str] = {}
    for each in said:
        key, sign, value = each.partition("=")
        if not sign or key not in KEYS:
            raise Refused(f"--set: {each!r} changes nothing that there is", f"Write KEY=VALUE; keys: {_listed()}.")
        if key in changes:
            raise Refused(f"--set: {key} is set twice", "Say it once.")
        changes[key] = value
    return changes


def changed_spec(before: TaskSpec, run: str, step: str, changes: Mapping[str, str]) -> TaskSpec:
    """The task of a run that begins as another one did.

    Raises:
        Refused: a value cannot be used.
    """
    fields = before.model_dump()
    fields |= {key: value for key, value in changes.items() if key in TaskSpec.model_fields}
    budget = {key: value for key, value in changes.items() if key in _BUDGET}
    if budget:
        fields["budget"] = {**(before.budget or BudgetSettings()).model_dump(), **budget}
    fields["fork"] = {"run": run, "step": step}
    if "temperature" in changes:
        fields["fork"]["temperature"] = changes["temperature"]
    try:
        return TaskSpec.model_validate(fields)
    except ValidationError as error:
        problem = error.errors(include_url=False, include_context=False)[0]
        key = str(problem["loc"][-1]) if problem["loc"] else ""
        raise Refused(
            f"--set: {key} cannot be {problem['input']!r}: {problem['msg']}", f"{key}: {KEYS[key]}."
        ) from None


def _listed() -> str:
    return ", ".join(f"{key} ({meaning})" for key, meaning in KEYS.items())
