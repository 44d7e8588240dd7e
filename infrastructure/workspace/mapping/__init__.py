"""The map of a repository: what its files define, who uses it, and what of it matters for a task.

Owns the way from a snapshot to a few hundred tokens of text. `mapper.Mapper` is its face; the rest is in the order of
work: `languages`, `parsing`, `worker`, `parsers`, `cache`, `indexing`, `graph`, `ranking`, `rendering`. Nothing is
imported here: the worker is a small process.
"""
