"""Values of the state that belong to one run, on a thread that may see several.

Owns the channel that they live in. LangGraph keeps what is in a state when a thread gets another input, and knows no
way to take a key out of it; a plan, a winner or a spent budget of the run before would count in the next.
"""

# LangGraph's own types are partly unknown to a strict checker.
# pyright: reportUnknownMemberType=false

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, TypeAlias, TypeVar

from langgraph.channels import LastValue

Value = TypeVar("Value")


class Forgettable(LastValue[Any]):
    """The last value that was written; None, which none of them is, takes it away, as if nothing ever had been."""

    __slots__ = ()

    def update(self, values: Sequence[Any]) -> bool:
        """Take what was written in a step; whether anything was."""
        changed = super().update(values)
        if changed and self.value is None:
            self.value = type(self)(self.typ, self.key).value
        return changed


OfRun: TypeAlias = Annotated[Value, Forgettable]
"""A key that an update of None takes out of the state."""
