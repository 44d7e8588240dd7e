"""Owns what the oracle knows of the small edits by which `corral models check` tries a model."""

from agents.codegen import EDIT_TRIALS
from infrastructure.simulator.brains.tasks import Task


def known_edits() -> tuple[Task, ...]:
    """A task each, right in every file."""
    return tuple(
        Task(id=f"edit/{trial.name}", prompt=trial.asked, files={trial.path: trial.after}) for trial in EDIT_TRIALS
    )
