"""One engine a data directory: a command holds it, or is the guest of whoever does."""
