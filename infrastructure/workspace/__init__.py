"""The user's files: a snapshot of them, trees made from it, the patch between the two, and its delivery.

Owns every read and write of a workspace. Nothing in a workspace is trusted: its files are data, and no program it
names is run.
"""

from infrastructure.workspace.beneath import sha_of
from infrastructure.workspace.choosing import DEPENDENCY_FOLDERS
from infrastructure.workspace.deliver import Applied, Conflict, ConflictingFile, apply_patch
from infrastructure.workspace.errors import WorkspaceError
from infrastructure.workspace.manifest import FileState, Skipped, Snapshot
from infrastructure.workspace.patch import FileChange, LeftOut, Patch, make_patch
from infrastructure.workspace.snapshot import SnapshotLimits, load_snapshot, take_snapshot
from infrastructure.workspace.trees import (
    Change,
    Entry,
    Tree,
    WriteLimits,
    changed,
    fork_tree,
    listing,
    read_bytes,
    read_text,
    write_files,
)

__all__ = [
    "DEPENDENCY_FOLDERS",
    "Applied",
    "Change",
    "Conflict",
    "ConflictingFile",
    "Entry",
    "FileChange",
    "FileState",
    "LeftOut",
    "Patch",
    "Skipped",
    "Snapshot",
    "SnapshotLimits",
    "Tree",
    "WorkspaceError",
    "WriteLimits",
    "apply_patch",
    "changed",
    "fork_tree",
    "listing",
    "load_snapshot",
    "make_patch",
    "read_bytes",
    "read_text",
    "sha_of",
    "take_snapshot",
    "write_files",
]
