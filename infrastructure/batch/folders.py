"""What a job works on: its repository, or a folder made for it; and the solution that came of it.

Owns the folders under `work/`. Each is looked at once a command and made anew where it is not as the job has it, so a
job that changed never sees what it was before. One that is as it should be is left alone: after a batch was killed as a
guest, runs that it began may still read it.
"""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

from infrastructure.batch.jobs import Entry
from infrastructure.batch.place import BatchPlace
from infrastructure.processes import scratch
from infrastructure.workspace.errors import GitFailed
from infrastructure.workspace.git import plain_git
from infrastructure.workspace.threads import in_thread

_HEAD = {".git/HEAD": "ref: refs/heads/main\n"}
"""With two folders all that git takes for a repository (gitrepository-layout(5)), without starting a program for each
job. Inside another repository that one's ignored files would hide a job's."""
_GITS_FOLDERS = (".git/objects", ".git/refs")


class Folders:
    """Makes the folder of each job once, however many of its samples ask for it."""

    def __init__(self, place: BatchPlace) -> None:
        self._place = place
        self._made: dict[str, asyncio.Task[tuple[Path, tuple[Path, ...]]]] = {}

    async def of(self, entry: Entry) -> tuple[Path, tuple[Path, ...]]:
        """The folder that a job works on, and its test files.

        Raises:
            OSError: the folder cannot be made.
        """
        name = entry.file
        if name not in self._made:
            work = in_thread(lambda _: _make(entry, self._place.work / name))
            self._made[name] = asyncio.create_task(work, name=f"make the folder of {name}")
        return await asyncio.shield(self._made[name])

    async def aclose(self) -> None:
        """Wait for folders that are being made, so that nothing writes when the folder is given up."""
        if self._made:
            await asyncio.wait(self._made.values())


async def solution_of(entry: Entry, patch: str) -> str | None:
    """The solution's file as it is with the patch; as it was where there is none.

    None for a job without one, and where the patch cannot be applied to it, removes it, or makes no text of it: one
    odd answer of a model must not end a batch.
    """
    if not entry.solution:
        return None
    if not patch:
        return entry.job.files[entry.solution]
    async with scratch("batch") as place:
        try:
            await in_thread(lambda _: _write(place / "tree", entry.job.files))
            env = {"GIT_DIR": str(place / "repository"), "GIT_WORK_TREE": str(place / "tree")}
            await plain_git(place / "tree", "init", "--quiet", "--template=", env=env)
            only = f"--include={entry.solution}"
            await plain_git(place / "tree", "apply", "--whitespace=nowarn", only, "-", stdin=patch.encode(), env=env)
            return await asyncio.to_thread((place / "tree" / entry.solution).read_text, encoding="utf-8")
        except (GitFailed, FileNotFoundError, UnicodeDecodeError):
            return None


def _make(entry: Entry, folder: Path) -> tuple[Path, tuple[Path, ...]]:
    given = entry.job.tests if isinstance(entry.job.tests, dict) else {}
    if entry.repo is not None:
        names = {path.rpartition("/")[2]: text for path, text in given.items()}
        _make_anew(folder, names)
        return entry.repo, (*entry.tests, *(folder / name for name in names))
    _make_anew(folder, {**entry.job.files, **given, **_HEAD}, _GITS_FOLDERS)
    return folder, (*entry.tests, *(folder / path for path in given))


def _make_anew(folder: Path, contents: dict[str, str], empty: tuple[str, ...] = ()) -> None:
    if folder.exists():
        if _holds(folder, contents) and all((folder / each).is_dir() for each in empty):
            return
        shutil.rmtree(folder)
    _write(folder, contents)
    for each in empty:
        (folder / each).mkdir(parents=True)


def _holds(folder: Path, contents: dict[str, str]) -> bool:
    """Whether a folder has these files, their text as it is written, and no others."""
    files = [each for each in folder.rglob("*") if each.is_symlink() or not each.is_dir()]
    if any(each.is_symlink() for each in files) or {str(each.relative_to(folder)) for each in files} != set(contents):
        return False
    return all((folder / path).read_bytes() == text.encode("utf-8") for path, text in contents.items())


def _write(folder: Path, contents: dict[str, str]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for path, text in contents.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text, encoding="utf-8", newline="")
