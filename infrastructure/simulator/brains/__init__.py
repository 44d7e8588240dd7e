"""Owns which brain answers for which model."""

from infrastructure.simulator.brains.choice import Brains
from infrastructure.simulator.brains.pattern import SchemaError
from infrastructure.simulator.brains.question import Question

__all__ = ["Brains", "Question", "SchemaError"]
