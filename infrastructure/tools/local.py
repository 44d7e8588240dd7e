"""The tools that Corral brings itself: which there are, what they take, what they may do.

Owns the table. A tool's description is the docstring of its arguments.
"""

from __future__ import annotations

import inspect

from infrastructure.tools.arguments import Arguments, by_model, schema_of
from infrastructure.tools.comparing import GitDiff, git_diff
from infrastructure.tools.reading import ListFiles, ReadFile, list_files, read_file
from infrastructure.tools.registry import ToolRegistry
from infrastructure.tools.running import RunCommand, RunTests, run_command, run_workspace_tests
from infrastructure.tools.searching import Search, search
from infrastructure.tools.small import (
    Calculator,
    Echo,
    SwitchMode,
    TodoWrite,
    calculator,
    echo,
    switch_mode,
    todo_write,
)
from infrastructure.tools.tool import Doing, RegisteredTool, Risk, ToolSpec
from infrastructure.tools.writing import ApplyEdit, WriteFile, apply_edit, write_file

_TABLE: tuple[tuple[str, Risk, type[Arguments], Doing], ...] = (
    ("read_file", "reads", ReadFile, read_file),
    ("list_files", "reads", ListFiles, list_files),
    ("search", "reads", Search, search),
    ("git_diff", "reads", GitDiff, git_diff),
    ("apply_edit", "writes", ApplyEdit, apply_edit),
    ("write_file", "writes", WriteFile, write_file),
    ("run_tests", "runs", RunTests, run_workspace_tests),
    ("run_command", "runs", RunCommand, run_command),
    ("switch_mode", "reads", SwitchMode, switch_mode),
    ("todo_write", "reads", TodoWrite, todo_write),
    ("calculator", "reads", Calculator, calculator),
    ("echo", "reads", Echo, echo),
)


def local_tools() -> ToolRegistry:
    """Corral's own tools."""
    return ToolRegistry(_registered(*row) for row in _TABLE)


def _registered(name: str, risk: Risk, arguments: type[Arguments], do: Doing) -> RegisteredTool:
    spec = ToolSpec(name=name, description=inspect.getdoc(arguments) or "", parameters=schema_of(arguments), risk=risk)
    return RegisteredTool(spec=spec, read=by_model(arguments), do=do)
