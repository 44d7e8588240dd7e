"""What a pattern covers, and which one is proposed."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import product

import pytest

from infrastructure.danger.judging import parts_of
from infrastructure.sessions.approvals import DecisionRefused
from infrastructure.sessions.rules import Rule, covering, proposed, read_pattern


def rule(shown: str) -> Rule:
    tool, pattern = read_pattern(shown)
    return Rule(id=shown, scope="always", owner="", tool=tool, pattern=pattern, made=datetime(2026, 7, 1, tzinfo=UTC))


def covered(workspace, tool, arguments, *patterns) -> bool:
    return bool(covering([rule(each) for each in patterns], tool, arguments, parts_of(tool, arguments, workspace)))


@pytest.mark.parametrize(
    ("command", "patterns", "expected"),
    [
        ("pytest -q", ["run_command: pytest *"], True),
        ("pytest", ["run_command: pytest *"], True),
        ("pytest", ["run_command: pytest"], True),
        ("pytest -q", ["run_command: pytest"], False),
        ("pytest-watch -q", ["run_command: pytest *"], False),
        ("'pytest' -q", ["run_command: pytest *"], True),
        ("./pytest -q", ["run_command: pytest *"], False),
        ("pytest -q | tail -3", ["run_command: pytest *"], True),
        ("pytest -q; make", ["run_command: pytest *"], False),
        ("pytest -q; make", ["run_command: pytest *", "run_command: make"], True),
        ("pytest -q && rm -rf build", ["run_command: pytest *", "run_command: rm *"], False),
        ("pytest -q & make", ["run_command: pytest *", "run_command: make"], False),
        ("pytest $(make)", ["run_command: pytest *", "run_command: make"], False),
        ("pytest `make`", ["run_command: pytest *", "run_command: make"], False),
        ("pytest *.py", ["run_command: pytest *"], False),
        ("A=1 pytest", ["run_command: pytest *"], False),
        ("pytest\nmake", ["run_command: pytest *"], False),
        ("pytest 'a;make'", ["run_command: pytest *"], True),
        ("pytest > out/log.txt", ["run_command: pytest *"], False),
        ("pytest > out/log.txt", ["run_command: pytest *", "write_file: out/**"], True),
        ("pytest > ../log.txt", ["run_command: pytest *", "write_file: **"], False),
        ("sh -c pytest", ["run_command: pytest *"], False),
        ("git fetch", ["run_command: git *"], True),
        ("git push", ["run_command: git *"], False),
        ("pytest", ["run_tests: pytest *"], False),
        ("tar xf a.tar", ["run_command: tar *"], True),
        ("tar xIf 'sh -c x' a.tar", ["run_command: tar *"], False),
        ("tar -xPf a.tar", ["run_command: tar *"], False),
        ("curl -sK options https://example.com", ["run_command: curl *"], False),
    ],
)
def test_commands(command, patterns, expected, workspace):
    assert covered(workspace, "run_command", {"command": command}, *patterns) is expected


@pytest.mark.parametrize(
    ("path", "pattern", "expected"),
    [
        ("docs/a.md", "write_file: docs/**", True),
        ("docs/deep/er/a.md", "write_file: docs/**", True),
        ("docs/../src/a.py", "write_file: docs/**", False),
        ("src/../docs/a.md", "write_file: docs/**", True),
        ("docsy/a.md", "write_file: docs/**", False),
        ("docs/a.md", "write_file: docs/*.md", True),
        ("docs/deep/a.md", "write_file: docs/*.md", False),
        ("a/b/c.md", "write_file: **/*.md", True),
        ("README.md", "write_file: README.md", True),
        (".git/config", "write_file: **", False),
        ("../x", "write_file: **", False),
        ("out/x", "write_file: **", False),
        ("docs/a.md", "apply_edit: docs/**", False),
    ],
)
def test_files(path, pattern, expected, workspace):
    (workspace / "out").symlink_to("..")
    assert covered(workspace, "write_file", {"path": path, "content": "x"}, pattern) is expected


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("tracker.add: *", True),
        ('tracker.add: {"a":1}', True),
        ('tracker.add: {"a":*', True),
        ('tracker.add: {"b":*', False),
    ],
)
def test_other_tools_by_their_arguments(pattern, expected, workspace):
    assert covered(workspace, "tracker.add", {"a": 1}, pattern) is expected


@pytest.mark.parametrize(
    ("tool", "arguments", "patterns"),
    [
        ("run_command", {"command": "pytest -q tests"}, ["run_command: pytest *"]),
        ("run_command", {"command": "python -m pytest -q"}, ["run_command: python -m pytest *"]),
        ("run_command", {"command": "python tool.py x"}, ["run_command: python tool.py *"]),
        ("run_command", {"command": "python -c 'print(1)'"}, ["run_command: python -c 'print(1)'"]),
        ("run_command", {"command": "npm run build -- x"}, ["run_command: npm run build *"]),
        ("run_command", {"command": "git commit -m 'x y'"}, ["run_command: git commit *"]),
        ("run_command", {"command": "make && pytest -q | tail -3"}, ["run_command: make", "run_command: pytest *"]),
        ("run_command", {"command": "ruff check > out/x.txt"}, ["run_command: ruff *", "write_file: out/**"]),
        ("run_command", {"command": "sh build.sh"}, ["run_command: sh build.sh"]),
        ("run_command", {"command": "xargs ls"}, ["run_command: xargs ls"]),
        ("run_command", {"command": "eval pytest"}, ["run_command: eval pytest"]),
        ("run_command", {"command": "source env.sh"}, ["run_command: source env.sh"]),
        ("run_command", {"command": ". env.sh"}, ["run_command: . env.sh"]),
        ("run_command", {"command": "git push"}, []),
        ("run_command", {"command": "make $X"}, []),
        ("write_file", {"path": "docs/a.md", "content": "x"}, ["write_file: docs/**"]),
        ("write_file", {"path": "README.md", "content": "x"}, ["write_file: README.md"]),
        ("write_file", {"path": "/etc/x", "content": "x"}, []),
        ("tracker.add", {"b": 2, "a": 1}, ['tracker.add: {"a":1,"b":2}']),
    ],
)
def test_proposal_is_narrow_and_covers_the_call(tool, arguments, patterns, workspace):
    parts = parts_of(tool, arguments, workspace)
    assert list(proposed(tool, arguments, parts)) == patterns
    assert bool(covering([rule(each) for each in patterns], tool, arguments, parts)) is bool(patterns)


@pytest.mark.parametrize(
    "shown",
    ["pytest *", "run_command:", ": x", "run_command: * x", "run_command: pytest * -q", "run_command: 'pytest",
     "write_file: /etc/**", "write_file: ../**", "run_command: a\nb", "run_command: " + "a" * 600],
)  # fmt: skip
def test_what_is_no_pattern_is_refused_with_what_to_write(shown):
    with pytest.raises(DecisionRefused) as refused:
        read_pattern(shown)
    assert refused.value.hint


def _by_hand(pattern: tuple[str, ...], path: tuple[str, ...]) -> bool:
    """What a pattern covers, as it is said: `**` is any number of segments, `*` is one."""
    if not pattern:
        return not path
    first, *rest = pattern
    if first == "**":
        return any(_by_hand(tuple(rest), path[at:]) for at in range(len(path) + 1))
    return bool(path) and first in ("*", path[0]) and _by_hand(tuple(rest), path[1:])


def test_every_short_pattern_covers_just_the_paths_that_it_says(workspace):
    paths = [path for many in (1, 2, 3) for path in product("ab", repeat=many)]
    for pattern in (each for many in (1, 2, 3) for each in product(("**", "*", "a", "b"), repeat=many)):
        for path in paths:
            files = {"path": "/".join(path), "content": ""}
            assert covered(workspace, "write_file", files, f"write_file: {'/'.join(pattern)}") == _by_hand(
                pattern, path
            )


def test_pattern_of_many_stars_is_tried_in_a_walk_and_not_in_every_way(workspace):
    pattern = "/".join(["**", "a"] * 30 + ["b"])
    assert not covered(workspace, "write_file", {"path": "/".join(["a"] * 60), "content": ""}, f"write_file: {pattern}")
