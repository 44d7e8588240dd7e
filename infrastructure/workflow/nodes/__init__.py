"""The steps of the graphs, a file each: read a part of the state, ask a role or act, return what is written."""
