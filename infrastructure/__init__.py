"""ACT. Everything that touches the world, and the engine that runs the roles."""

from infrastructure.compiled import core as core  # before any module that may be compiled is imported
