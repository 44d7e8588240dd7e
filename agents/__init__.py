"""DECIDE. Roles: a typed question in, a language model asked, a typed answer out. No I/O of its own."""
