"""Tools that agents may call: which there are, what they may do, and how they are done."""
