"""Tools that agents may call: which there are, what they may do, and how they are done.

`registry` is the first file to read, `local` the table of what Corral brings itself. Nothing here asks anybody: whether
a call may be done is decided before it comes here.
"""
