"""What of a snapshot is the judge's, where a name does not tell. Blocking.

Owns how tests are known by their text, and what an answer may not change. A name is not enough: `tester.py` may be a
program, and `app/test/` a part of one. What holds no test and bears such a name is lent to the patch; whether it is
a helper of the tests cannot be told, so a patch that changes it is `unverified` (`infrastructure/workflow/doubts.py`).
"""

import re
from collections.abc import Collection, Mapping
from pathlib import PurePosixPath

from infrastructure.judge.steering import (
    TEST_FOLDERS,
    belongs_to_judge,
    is_test_by_name,
    is_test_file,
    must_return,
    returns_in_part,
    steers,
)
from infrastructure.workspace import Snapshot
from infrastructure.workspace.beneath import LINK, read_file

_FOR_PYTEST = re.compile(
    rb"^(?:import pytest|from pytest|(?:async )?def test"
    rb"|class Test\w*(?:\(\s*(?:object)?\s*\))?:.*\n(?:(?:[ \t].*)?\n)*?[ \t]+(?:async )?def test)",
    re.MULTILINE,
)
_WITH_A_BASE = re.compile(rb"^class Test\w*\(\s*(?!object\b)\w", re.MULTILINE)
_FOR_UNITTEST = re.compile(rb"^\s*(?:import .*\bunittest\b(?!\.mock)|from unittest import (?!mock\b))", re.MULTILINE)
_MOST_BYTES = 1 << 20


def wants_pytest(content: bytes) -> bool:
    """Whether a file has tests that unittest would pass over: functions, and classes that are no test cases."""
    if _FOR_PYTEST.search(content) is not None:
        return True
    return b"TestCase" not in content and _WITH_A_BASE.search(content) is not None


def is_unittest(content: bytes) -> bool:
    """Whether a file is one of unittest's: who only mocks with it is not."""
    return b"unittest" in content and (b"TestCase" in content or _FOR_UNITTEST.search(content) is not None)


def lent(snapshot: Snapshot) -> frozenset[str]:
    """The Python files that bear a test's name, or lie in a package of such a name, and hold no test.

    Only a package inside another one is lent, and only as a whole: beside one test, or a file that is no Python, all
    of it is the tests'. A folder of tests at the root is theirs whatever is in it.
    """
    found: set[str] = set()
    packages: dict[str, list[str]] = {}
    for path in snapshot.files:
        folder = _test_folder(path)
        if folder:
            packages.setdefault(folder, []).append(path)
        elif is_test_file(path) and not is_test_by_name(path) and _holds_none(snapshot, path):
            found.add(path)
    for folder, paths in packages.items():
        inits = (f"{PurePosixPath(folder).parent}/__init__.py", f"{folder}/__init__.py")
        if all(each in snapshot.files for each in inits) and all(_holds_none(snapshot, path) for path in paths):
            found.update(paths)
    return frozenset(found)


def frozen(snapshot: Snapshot, contents: Mapping[str, str | None], named: Collection[str]) -> tuple[str, ...]:
    """Those of an answer's files that judge it, so that their change is left out, in the answer's order.

    Args:
        snapshot: The files before; a file that is not there is the answer's own.
        contents: The files after, None for one that is deleted.
        named: Files that the user gave, and those that the test command names.
    """
    there = [path for path in contents if path in snapshot.files]
    free = lent(snapshot) if any(map(belongs_to_judge, there)) else frozenset[str]()
    return tuple(
        path
        for path in there
        if path in named or (belongs_to_judge(path) and path not in free and _says_how(snapshot, path, contents[path]))
    )


def _says_how(snapshot: Snapshot, path: str, text: str | None) -> bool:
    """Whether a change of a judge's file is one of how tests are run: a version in `pyproject.toml` is not."""
    if not returns_in_part(path) or snapshot.files[path].mode == LINK:
        return True
    return must_return(path, None if text is None else text.encode(), read_file(snapshot.root, path))


def _test_folder(path: str) -> str:
    """The outermost folder that bears the name of tests."""
    folders = PurePosixPath(path).parts[:-1]
    at = next((index for index, name in enumerate(folders) if name in TEST_FOLDERS), None)
    return "" if at is None else "/".join(folders[: at + 1])


def _holds_none(snapshot: Snapshot, path: str) -> bool:
    state = snapshot.files[path]
    if not path.endswith(".py") or is_test_by_name(path) or steers(path):
        return False
    if state.mode == LINK or state.size > _MOST_BYTES:
        return False
    content = read_file(snapshot.root, path)
    return not (wants_pytest(content) or is_unittest(content) or b"TestCase" in content)
