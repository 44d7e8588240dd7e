"""Where a path that somebody wrote leads: inside the workspace, out of it, or nobody can say.

Owns the walk along symbolic links. Nothing outside the workspace is looked at: a path that leaves it is outside,
wherever it might lead from there. Blocking.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from infrastructure.danger.levels import SAFE, Judgement, asks, dangerous
from infrastructure.danger.looks import hidden, mistakable

_MOST_LINKS = 40
HARMLESS_DEVICES = frozenset({"/dev/null", "/dev/stdout", "/dev/stderr", "/dev/stdin", "/dev/tty"})
LINKED_FOLDERS = frozenset({".venv", "venv", "node_modules"})
"""What the copy of the workspace that a command gets has only as links to the workspace itself."""
_SECRET_FILES = re.compile(
    r"(^|/)(\.env(rc|[.~_-][^/]*)?|[._]netrc|\.npmrc|\.pypirc|\.pgpass|\.my\.cnf|\.htpasswd|\.git-credentials"
    r"|id_(rsa|dsa|ecdsa|ed25519)[^/]*|[^/]*\.(pem|key|p12|pfx)|credentials(\.json)?|secrets?(\.[^/]*)?)~?$",
    re.IGNORECASE,
)
_SECRET_FOLDERS = re.compile(
    r"(^|/)(\.ssh|\.aws|\.gnupg|\.kube|\.docker|\.azure|\.config/gcloud|\.password-store)(/|$)"
)
_SECRET_SYSTEM = re.compile(r"^/(etc/(shadow|sudoers)|proc/[^/]+/(environ|mem)|root)(/|$|[^/]*$)")


@dataclass(frozen=True, slots=True)
class Place:
    """Where a path leads.

    Attributes:
        written: As somebody wrote it.
        inside: Below the workspace, relative to it, with no link left; None where it leads out.
        absolute: Where it leads, as far as that was followed.
        beyond_copy: Whether a command that is given a copy of the workspace comes to the workspace itself by it.
    """

    written: str
    inside: PurePosixPath | None
    absolute: str
    beyond_copy: bool = False


class Workspace:
    """The folder that paths are resolved against.

    Args:
        root: It. Its own links are resolved once.
        home: The user's, for `~`.
        copied: Whether the paths are a command's, which has a copy of the folder.
    """

    def __init__(self, root: str | Path, home: str | Path | None = None, *, copied: bool = False) -> None:
        self.copied = copied
        self.given = os.path.abspath(root)  # noqa: PTH100 - as it was written: links are resolved in `root`
        self.root = os.path.realpath(root)
        self.home = str(home) if home is not None else os.path.expanduser("~")  # noqa: PTH111 - text, not a path

    def place(self, written: str, base: str = "") -> Place:
        """Where `written` leads from `base`, a folder below the workspace; empty is the workspace itself."""
        path = self._expanded(written)
        if path.startswith("/"):
            parts = self._below(path)
            if parts is None:
                return Place(written, None, os.path.normpath(path))
        else:
            parts = [*filter(None, base.split("/")), *path.split("/")]
        return self._walk(written, parts, real=path.startswith("/"))

    def _expanded(self, written: str) -> str:
        if written == "~" or written.startswith("~/"):
            return self.home + written[1:]
        if written.startswith("~"):
            return "/" + written  # another user's home: nowhere that we know, and outside
        return written

    def _below(self, path: str) -> list[str] | None:
        """The parts below the workspace of an absolute path, `..` and all; None where it begins elsewhere."""
        parts = [part for part in path.split("/") if part not in {"", "."}]
        for root in dict.fromkeys((self.root, self.given)):
            top = [part for part in root.split("/") if part]
            if parts[: len(top)] == top:
                return parts[len(top) :]
        return None

    def _walk(self, written: str, parts: list[str], *, real: bool) -> Place:
        """Follow the parts from the root, link by link, until they end or lead out.

        What goes by the workspace's own address, or through a linked folder, is `real`: no longer in a copy.
        """
        todo = list(reversed(parts))
        done: list[str] = []
        links = 0
        while todo:
            part = todo.pop()
            if part in {"", "."}:
                continue
            if part == "..":
                if not done:
                    return Place(written, None, os.path.dirname(self.root))  # noqa: PTH120 - text
                done.pop()
                continue
            done.append(part)
            real = real or (len(done) == 1 and part in LINKED_FOLDERS)
            target = self._link("/".join(done))
            if target is None:
                continue
            links += 1
            done.pop()
            if links > _MOST_LINKS:
                return Place(written, None, f"{self.root}/{part}")
            if target.startswith("/"):
                below = self._below(target)
                if below is None:
                    return Place(written, None, os.path.normpath(target))
                done, target, real = [], "/".join(below), True
            todo.extend(reversed(target.split("/")))
        beyond = real and LINKED_FOLDERS.isdisjoint(done[:1])
        return Place(written, PurePosixPath(*done), "/".join([self.root, *done]), beyond)

    def _link(self, relative: str) -> str | None:
        try:
            return os.readlink(f"{self.root}/{relative}")  # noqa: PTH115 - text, which need not be a path
        except (OSError, ValueError):
            return None  # no link, or nothing there yet


def may_hold_secrets(path: str) -> bool:
    """Whether a file of this name may hold secrets; known by its name alone."""
    return bool(_SECRET_FILES.search(path) or _SECRET_FOLDERS.search(path))


def reading(place: Place, workspace: Workspace) -> Judgement:
    """Whether this may be read."""
    if place.absolute in HARMLESS_DEVICES:
        return SAFE
    if place.inside is None:
        if _is_secret(place.absolute, workspace):
            return dangerous(f"{place.written} holds secrets outside the workspace")
        return asks(f"{place.written} lies outside the workspace")
    if may_hold_secrets(str(place.inside)):
        return asks(f"{place.written} may hold secrets")
    if workspace.copied and place.beyond_copy:
        return asks(f"{place.written} leads to the workspace itself, not to the copy that a command gets")
    return SAFE


def writing(place: Place, workspace: Workspace) -> Judgement:
    """Whether this may be written: never without asking, but to where nothing is kept."""
    if place.absolute in HARMLESS_DEVICES:
        return SAFE
    if place.inside is None:
        if place.absolute == workspace.home or place.absolute.startswith(f"{workspace.home}/."):
            return dangerous(f"{place.written} is a file of the user's own settings")
        return dangerous(f"{place.written} lies outside the workspace")
    parts = [part.casefold() for part in place.inside.parts]
    if ".git" in parts:
        return dangerous(f"{place.written} lies in .git, whose hooks and settings run programs")
    if not parts:
        return dangerous("the whole workspace would be written")
    if odd := hidden(place.written) or mistakable(place.written):
        return asks(f"writes {place.written}, a name with characters that are not seen or look like others ({odd})")
    return asks(f"writes {place.written}")


def _is_secret(absolute: str, workspace: Workspace) -> bool:
    return bool(
        _SECRET_SYSTEM.search(absolute)
        or _SECRET_FOLDERS.search(absolute)
        or (absolute.startswith(f"{workspace.home}/") and _SECRET_FILES.search(absolute))
    )
