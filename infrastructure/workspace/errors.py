"""How work on the user's files can fail.

Owns one small tree, `WorkspaceError`: each error says what happened in its message and what to do in `hint`.
A conflict with the user's own edits is not an error but a value (`deliver.Conflict`).
"""

from pathlib import Path


class WorkspaceError(Exception):
    """Something about the files stands in the way. `hint` says what to do; it may be empty."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class NotADirectory(WorkspaceError):
    """The folder to work on is missing, or is no folder."""

    def __init__(self, path: Path) -> None:
        super().__init__(f"{path} is not a folder", "Name an existing folder.")
        self.path = path


class TooLarge(WorkspaceError):
    """There is more than a run may copy or read."""

    def __init__(self, what: str, limit: str, hint: str = "") -> None:
        super().__init__(f"{what}, more than the {limit} allowed", hint)


class PathRefused(WorkspaceError):
    """A path that must not be read or written."""

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(f"{path!r} is refused: {reason}")
        self.path = path
        self.reason = reason


class PathMissing(WorkspaceError):
    """There is no such file."""

    def __init__(self, path: str) -> None:
        super().__init__(f"there is no file {path!r}")
        self.path = path


class NotText(WorkspaceError):
    """The file is not UTF-8 text."""

    def __init__(self, path: str) -> None:
        super().__init__(f"{path!r} is not UTF-8 text")
        self.path = path


class NotCarried(WorkspaceError):
    """A changed file that a text patch cannot hold."""

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(f"{path!r} was changed, and a patch cannot carry it: {reason}", "Leave the file as it is.")
        self.path = path
        self.reason = reason


class WriteFailed(WorkspaceError):
    """The files could not be replaced. Everything is as it was before, except `lost`, which could not be put back."""

    def __init__(self, path: str, reason: str, lost: tuple[str, ...] = ()) -> None:
        hint = f"Look at {', '.join(lost)}: the old content could not be put back." if lost else "Nothing was changed."
        super().__init__(f"{path!r} could not be written: {reason}", hint)
        self.path = path
        self.reason = reason
        self.lost = lost


class SnapshotUnfinished(WorkspaceError):
    """There is no finished snapshot in that place."""

    def __init__(self, place: Path) -> None:
        super().__init__(f"{place} holds no finished snapshot", "Take it again.")
        self.place = place


class GitMissing(WorkspaceError):
    """The git program is not installed."""

    def __init__(self) -> None:
        super().__init__("git was not found", "Install git, or work on a folder that is no repository.")


class GitFailed(WorkspaceError):
    """A git command ended badly."""

    def __init__(self, arguments: tuple[str, ...], reason: str) -> None:
        super().__init__(f"git {' '.join(arguments)}: {reason}")
        self.arguments = arguments
        self.reason = reason


class NotARepository(WorkspaceError):
    """A branch was asked for in a folder that is no git repository."""

    def __init__(self, path: Path) -> None:
        super().__init__(f"{path} is no git repository", "Apply to the folder itself, without a branch.")
        self.path = path


class BranchExists(WorkspaceError):
    """The branch is there already and holds something else."""

    def __init__(self, branch: str) -> None:
        super().__init__(f"the branch {branch!r} exists already", "Choose another name.")
        self.branch = branch


class BranchRefused(WorkspaceError):
    """Not a name that git allows for a branch."""

    def __init__(self, branch: str) -> None:
        super().__init__(f"{branch!r} is not a valid branch name", "Choose another name.")
        self.branch = branch
