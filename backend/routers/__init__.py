"""The routes, a file a noun: each reads the request, asks once, and answers."""
