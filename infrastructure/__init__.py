"""ACT. Everything that touches the world, and the engine that runs the roles."""
