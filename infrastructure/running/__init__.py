"""What the engine runs a graph with: models over the pool, recorded calls, results, resources."""
