"""Files that decide how tests are run, as against what they test. Pure.

Owns the list of them, and which files of a snapshot belong to the judge. A patch may carry such files, but the judge
runs with those of the snapshot: otherwise a new `conftest.py`, or package metadata that names a plugin, could turn any
red test green.
"""

import configparser
import json
import re
import shlex
import tomllib
from pathlib import PurePosixPath
from typing import cast

_ALWAYS = frozenset({"conftest.py", "pytest.ini", ".pytest.ini", "pytest.toml", ".pytest.toml"})
_AT_START = frozenset({"sitecustomize.py", "usercustomize.py"})
_IN_PART = frozenset({"pyproject.toml", "setup.cfg", "tox.ini"})
_RUNNERS = re.compile(
    r"(^|/)(jest\.(config|setup)|vitest\.(config|setup|workspace)|setupTests|karma\.conf|babel\.config)\.[cm]?[jt]sx?(on)?$"
    r"|(^|/)(\.mocharc(\.\w+)?|\.babelrc|\.npmrc|build\.rs|\.cargo/config(\.toml)?|\.config/nextest\.toml|go\.work)$"
)
"""What steers a runner of another language, or is run before its tests are built."""
_MANIFESTS = re.compile(r"(^|/)(package\.json|Cargo\.toml|vite\.config\.[cm]?[jt]s)$")
_METADATA = (".dist-info", ".egg-info")  # in any case: so does `importlib.metadata` read the names
_OF_NPM = ("scripts", "jest", "vitest", "mocha", "ava", "babel", "c8", "nyc", "workspaces", "imports")
_OF_CARGO = ("lib", "test", "bench", "profile", "workspace", "patch", "replace")
TEST_FOLDERS = frozenset({"tests", "test", "testdata"})
_OTHER_TESTS = re.compile(r"(_test\.go|_spec\.rb|\.(test|spec)\.[cm]?[jt]sx?)$|(^|/)__tests__/")
_BY_NAME = re.compile(r"(^|/)(test_[^/]*|[^/]*_test|tests?)\.py$")
_COMMENT = re.compile(r"[#;]")
_PACKAGE = frozenset({"package.json"})
_READ_BY = {
    "make": frozenset({"Makefile", "makefile", "GNUmakefile"}),
    "npm": _PACKAGE,
    "npx": _PACKAGE,
    "jest": _PACKAGE,
    "yarn": _PACKAGE,
    "pnpm": _PACKAGE,
    "nox": frozenset({"noxfile.py"}),
    "just": frozenset({"justfile", "Justfile"}),
}


def is_test_file(path: str) -> bool:
    """Whether a runner would look for tests in it, by its name."""
    name = PurePosixPath(path).name
    return name.endswith(".py") and (name.startswith("test") or name.endswith("_test.py"))


def is_test_by_name(path: str) -> bool:
    """Whether a file of a patch is a test and nothing else, by the customs of its language.

    Narrower than `is_test_file`: `testing.py` may be code that others need.
    """
    return _BY_NAME.search(path) is not None or _OTHER_TESTS.search(path) is not None


def belongs_to_judge(path: str) -> bool:
    """Whether a file of the snapshot is the judge's: a test, what lies beside tests, or what steers the runner."""
    parts = PurePosixPath(path).parts
    return (
        is_test_file(path)
        or steers(path)
        or bool(TEST_FOLDERS.intersection(parts[:-1]))
        or _OTHER_TESTS.search(path) is not None
    )


def named_by(command: str) -> frozenset[str]:
    """The files by which a test command does what it does: those it names, and those its runner reads.

    A patch may not change them: `make test` is green at once where the Makefile says so.
    """
    try:
        words = shlex.split(command)
    except ValueError:
        words = command.split()
    runner = PurePosixPath(words[0]).name if words else ""
    # `python -m doctest calc.py` names what is tested, not what tests.
    tested = "-m" in words or any(word.startswith("--doctest") for word in words)
    named = () if tested else words
    return frozenset(word.removeprefix("./") for word in named) | _READ_BY.get(runner, frozenset())


def steers(path: str) -> bool:
    """Whether a file can change how tests are run."""
    *folders, name = PurePosixPath(path).parts
    if name in _ALWAYS | _AT_START | _IN_PART or _RUNNERS.search(path) is not None:
        return True
    return any(part.lower().endswith(_METADATA) or part.lower() == "egg-info" for part in (*folders, name))


def is_manifest(path: str) -> bool:
    """Whether a part of a file says how tests are run, and the rest is the project's own affair."""
    return _MANIFESTS.search(path) is not None


def returns_in_part(path: str) -> bool:
    """Whether a file is a project's general configuration, of which only pytest's part is the judge's."""
    return PurePosixPath(path).name in _IN_PART


def must_return(path: str, now: bytes | None, judge: bytes | None) -> bool:
    """Whether a steering file has to be put back as the judge has it, or taken away where the judge has none.

    A project's general configuration may be part of a good patch: it is put back only where its pytest part differs.
    """
    if is_manifest(path):
        return _manifest_part(path, now) != _manifest_part(path, judge)
    if not returns_in_part(path):
        return now != judge
    return _pytest_part(path, now) != _pytest_part(path, judge)


def names_pytest(path: str, content: bytes) -> bool:
    """Whether a configuration file sets pytest up."""
    name = PurePosixPath(path).name
    return name in _ALWAYS - {"conftest.py"} or (name in _IN_PART and bool(_pytest_part(path, content)))


def _manifest_part(path: str, content: bytes | None) -> str:
    """What of a manifest decides how tests are run; all of what cannot be read."""
    if content is None:
        return ""
    text = content.decode("utf-8", "replace")
    if "vite.config" in path:
        return text if "test" in text else ""
    cargo = path.endswith(".toml")
    try:
        whole: object = tomllib.loads(text) if cargo else json.loads(text)
    except (ValueError, RecursionError):
        return text
    if not isinstance(whole, dict):
        return text
    table = cast("dict[str, object]", whole)
    part = {name: table[name] for name in (_OF_CARGO if cargo else _OF_NPM) if name in table}
    package = table.get("package") if cargo else None
    if isinstance(package, dict):
        own = cast("dict[str, object]", package)
        part["package"] = {name: own[name] for name in ("build", "autotests") if name in own}
    return repr(part)


def _pytest_part(path: str, content: bytes | None) -> str:
    if content is None:
        return ""
    text = content.decode("utf-8", "replace")
    if path.endswith(".toml"):
        try:
            tool = tomllib.loads(text).get("tool", {})
        except (ValueError, RecursionError):
            return text  # unreadable is different from everything readable
        part: object = tool.get("pytest") if isinstance(tool, dict) else None  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
        return repr(part) if part else ""  # pyright: ignore[reportUnknownArgumentType]
    parser = configparser.RawConfigParser(strict=False)
    try:
        parser.read_string(text)
    except configparser.Error:
        return text
    return "\n".join(_pytest_lines(text))


def _pytest_lines(text: str) -> list[str]:
    """The lines of pytest's sections, told apart as pytest's own reader does, which is no `configparser`.

    That takes `[tool:pytest]#]` for pytest's section: a comment goes first.
    """
    kept: list[str] = []
    inside = False
    for line in text.splitlines():
        head = _COMMENT.split(line)[0].rstrip()
        if line.startswith("[") and head.endswith("]"):
            inside = head[1:-1].strip() in {"pytest", "tool:pytest"}
        if inside and line.strip():
            kept.append(line.rstrip())
    return kept
