"""The pool's parts: who is asked next, where, and what became of it. `infrastructure.connection_pool` is its face."""
