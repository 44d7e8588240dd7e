"""A new branch that holds a change, made without touching the working tree or the index.

Owns the plumbing: blobs without filters, an index file of its own, a tree, a commit on the commit the snapshot was
taken at, and a reference that must not exist yet.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from infrastructure.processes import scratch
from infrastructure.workspace.beneath import EXECUTABLE, REGULAR, read_file
from infrastructure.workspace.errors import BranchExists, BranchRefused, NotADirectory, NotARepository
from infrastructure.workspace.git import Repository, find_repository, git, git_setting
from infrastructure.workspace.manifest import Snapshot
from infrastructure.workspace.threads import in_thread


@dataclass(frozen=True, slots=True)
class Branch:
    """A branch that holds the change.

    Attributes:
        commit: Its tip.
        fresh: False when it was there already, holding exactly this change.
        carried: Files whose changes from before the run were not committed and are on the branch now.
    """

    commit: str
    fresh: bool
    carried: tuple[str, ...]


async def write_branch(
    repo: Path,
    snapshot: Snapshot,
    changes: Mapping[str, bytes | None],
    branch: str,
    message: str,
    executable: frozenset[str],
) -> Branch:
    """Make the branch. Arguments and errors as in `deliver.apply_patch`."""
    repository = await in_thread(lambda _: _find(repo))
    code, _ = await git(repository, "check-ref-format", f"refs/heads/{branch}", allowed=(0, 1, 128))
    if code != 0 or branch.startswith("-") or branch == "HEAD":
        raise BranchRefused(branch)
    committed = await _committed(repository, snapshot.head, changes)
    befores = await in_thread(lambda _: _befores(snapshot, changes))
    async with scratch("index") as place:
        tree = await _write_tree(repository, place, snapshot, changes, executable, committed, befores)
    carried = tuple(path for path in sorted(changes) if _is_carried(committed.get(path), befores.get(path)))
    known = await _resolve(repository, f"refs/heads/{branch}")
    if known is not None:
        if await _holds(repository, known, tree, snapshot.head):
            return Branch(known, False, carried)
        raise BranchExists(branch)
    commit = await _commit(repository, tree, snapshot.head, message)
    # The empty old value means: only if there is no such reference.
    code, _ = await git(
        repository, "update-ref", "-m", "corral: change delivered", f"refs/heads/{branch}", commit, "",
        allowed=(0, 1, 128),
    )  # fmt: skip
    if code != 0:
        raise BranchExists(branch)
    return Branch(commit, True, carried)


def _find(repo: Path) -> Repository:
    if not repo.is_dir():
        raise NotADirectory(repo)
    repository = find_repository(repo)
    if repository is None:
        raise NotARepository(repo)
    return repository


def _befores(snapshot: Snapshot, changes: Mapping[str, bytes | None]) -> dict[str, bytes]:
    return {path: read_file(snapshot.root, path) for path in changes if path in snapshot.files}


async def _committed(repository: Repository, head: str | None, changes: Mapping[str, bytes | None]) -> dict[str, bytes]:
    """The content of each changed file in the commit the run began at."""
    if head is None:
        return {}
    paths = sorted(changes)
    asked = "".join(f"{head}:{repository.prefix}{path}\n" for path in paths).encode("utf-8")
    _, output = await git(repository, "cat-file", "--batch", stdin=asked)
    contents: dict[str, bytes] = {}
    for path in paths:
        header, _, output = output.partition(b"\n")
        if header.endswith(b" missing"):
            continue
        size = int(header.rsplit(b" ", 1)[1])
        contents[path], output = output[:size], output[size + 1 :]
    return contents


def _is_carried(committed: bytes | None, before: bytes | None) -> bool:
    if before is None:
        return False
    return committed is None or _line_feeds(committed) != _line_feeds(before)


def _line_feeds(content: bytes) -> bytes:
    return content.replace(b"\r\n", b"\n")


def _as_committed(content: bytes, committed: bytes | None, before: bytes | None) -> bytes:
    """Undo what git did to line ends at checkout (autocrlf, eol=crlf), seen by comparing; no filter runs."""
    if committed is None or before is None or b"\r\n" in committed or b"\r\n" not in before:
        return content
    return _line_feeds(content)


async def _write_tree(
    repository: Repository,
    place: Path,
    snapshot: Snapshot,
    changes: Mapping[str, bytes | None],
    executable: frozenset[str],
    committed: Mapping[str, bytes],
    befores: Mapping[str, bytes],
) -> str:
    env = {"GIT_INDEX_FILE": str(place / "index")}
    start = ("--empty",) if snapshot.head is None else (snapshot.head,)
    await git(repository, "read-tree", *start, env=env)
    records: list[bytes] = []
    for path, content in changes.items():
        name = (repository.prefix + path).encode("utf-8")
        if content is None:
            if snapshot.head is not None:  # whose length is that of the repository's object names
                records.append(b"0 %b\t%b\0" % (b"0" * len(snapshot.head), name))
            continue
        stored = _as_committed(content, committed.get(path), befores.get(path))
        _, output = await git(repository, "hash-object", "-w", "--no-filters", "--stdin", stdin=stored)
        state = snapshot.files.get(path)
        mode = state.mode if state is not None else EXECUTABLE if path in executable else REGULAR
        records.append(b"%o %b\t%b\0" % (mode, output.strip(), name))
    await git(repository, "update-index", "-z", "--index-info", stdin=b"".join(records), env=env)
    _, tree = await git(repository, "write-tree", env=env)
    return tree.decode("ascii").strip()


async def _commit(repository: Repository, tree: str, parent: str | None, message: str) -> str:
    name = await git_setting(repository, "user.name") or "Corral"
    email = await git_setting(repository, "user.email") or "corral@localhost"
    env = {
        "GIT_AUTHOR_NAME": name, "GIT_AUTHOR_EMAIL": email, "GIT_COMMITTER_NAME": name, "GIT_COMMITTER_EMAIL": email,
    }  # fmt: skip
    parents = () if parent is None else ("-p", parent)
    text = message.encode("utf-8", "replace")
    _, output = await git(repository, "commit-tree", "--no-gpg-sign", *parents, "-F", "-", tree, stdin=text, env=env)
    return output.decode("ascii").strip()


async def _resolve(repository: Repository, name: str) -> str | None:
    code, output = await git(repository, "rev-parse", "--verify", "--quiet", name, allowed=(0, 1, 128))
    return output.decode("ascii").strip() if code == 0 else None


async def _holds(repository: Repository, commit: str, tree: str, parent: str | None) -> bool:
    same_tree = await _resolve(repository, f"{commit}^{{tree}}") == tree
    return same_tree and await _resolve(repository, f"{commit}^1") == parent
