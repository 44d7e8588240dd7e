"""The tools of a session by their names.

Owns the one way to a tool: what is offered to a model, what a call has to look like, and the doing of it. A registry
never changes; a session's view of it, with the tools of its client and of servers, is another registry.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from fnmatch import fnmatchcase
from types import MappingProxyType

from agents.model import JsonObject, Tool
from infrastructure.sandbox import NoSandbox, SandboxFault, UnsafeCommand
from infrastructure.storage.errors import StorageError
from infrastructure.tools.arguments import BadArguments, nearest
from infrastructure.tools.texts import bounded
from infrastructure.tools.tool import Checked, Refused, RegisteredTool, ToolError, ToolPlace, ToolResult, ToolSpec
from infrastructure.workspace import WorkspaceError

AT_MOST = 8
"""Tools in one prompt: with more, small models choose worse (facts/coding-agents.md §2.5)."""

_log = logging.getLogger(__name__)


class NameTaken(ValueError):
    """Two tools bear one name."""

    def __init__(self, name: str) -> None:
        super().__init__(f"there is a tool {name!r} already: choose another name")
        self.name = name


class ToolRegistry:
    """Tools by name, in the order they were given. Frozen."""

    def __init__(self, tools: Iterable[RegisteredTool] = ()) -> None:
        """Take the tools.

        Raises:
            NameTaken: Two of them bear one name, letter case aside.
        """
        kept: dict[str, RegisteredTool] = {}
        seen: set[str] = set()
        for tool in tools:
            if tool.spec.name.casefold() in seen:
                raise NameTaken(tool.spec.name)
            seen.add(tool.spec.name.casefold())
            kept[tool.spec.name] = tool
        self._tools: Mapping[str, RegisteredTool] = MappingProxyType(kept)

    def __iter__(self) -> Iterator[ToolSpec]:
        return (tool.spec for tool in self._tools.values())

    def __contains__(self, name: object) -> bool:
        return name in self._tools

    def __len__(self) -> int:
        return len(self._tools)

    @property
    def names(self) -> tuple[str, ...]:
        """Of all tools."""
        return tuple(self._tools)

    def find(self, name: str) -> ToolSpec | None:
        """The tool of exactly this name."""
        tool = self._tools.get(name)
        return None if tool is None else tool.spec

    def with_tools(self, tools: Iterable[RegisteredTool]) -> ToolRegistry:
        """A registry that has these besides.

        Raises:
            NameTaken: One of them bears the name of another.
        """
        return ToolRegistry((*self._tools.values(), *tools))

    def chosen(self, names: Sequence[str]) -> tuple[ToolSpec, ...]:
        """The tools that these names stand for, in their order; `github__*` stands for all that begin so.

        Names that no tool bears are passed over: a server's tools may be away.
        """
        found: dict[str, ToolSpec] = {}
        for name in names:
            if name in self._tools:
                found[name] = self._tools[name].spec
            elif "*" in name:
                found |= {each: self._tools[each].spec for each in self._tools if fnmatchcase(each, name)}
        return tuple(found.values())

    def offered(self, names: Sequence[str], at_most: int = AT_MOST) -> tuple[Tool, ...]:
        """The tools of these names as a model is shown them; the first `at_most`, so the order is what matters."""
        return tuple(Tool(each.name, each.description, each.parameters) for each in self.chosen(names)[:at_most])

    def check(self, name: str, arguments: object) -> Checked | Refused:
        """Read a call as it was meant, or say why it cannot be made and what would be right.

        Args:
            name: As the model wrote it.
            arguments: The same: an object, or the text of one.
        """
        tool = self._tools.get(name)
        if tool is None:
            hint = nearest(name, self.names) or f" There are {', '.join(self.names) or 'none'}."
            return Refused(f"there is no tool {name[:80]!r}.{hint}", "UnknownTool")
        try:
            return Checked(tool.read(arguments))  # pyright: ignore[reportArgumentType] - reading is what finds out
        except BadArguments as error:
            return Refused(f"{name}: {error}", "BadArguments")
        except Exception as error:  # noqa: BLE001 - a tool of one's own raises what it likes, and the turn goes on
            _log.exception("the arguments of %s could not be read", name)
            return Refused(f"{name}: its arguments cannot be read: {_told(error)}", "BadArguments")

    async def run(self, name: str, arguments: JsonObject, place: ToolPlace) -> ToolResult:
        """Do a call here. It is checked again first. What goes wrong is a result; only cancelling raises.

        A `client` tool is not done here: its result comes from the client (`client.client_result`).
        """
        checked = self.check(name, arguments)
        if isinstance(checked, Refused):
            return ToolResult(checked.text, ok=False, error_class=checked.error_class)
        do = self._tools[name].do
        if do is None:
            return ToolResult(f"{name} is done by the client, not here", ok=False, error_class="NotHere")
        try:
            return _bounded(await do(checked.arguments, place))
        except ToolError as error:
            result = ToolResult(error.text, ok=False, error_class=error.error_class)
        except WorkspaceError as error:
            result = ToolResult(_with_hint(str(error), error.hint), ok=False, error_class=type(error).__name__)
        except (NoSandbox, SandboxFault, UnsafeCommand, StorageError) as error:
            result = ToolResult(str(error), ok=False, error_class=type(error).__name__)
        except OSError as error:
            _log.exception("the tool %s failed", name)
            reason = error.strerror or type(error).__name__
            result = ToolResult(f"the system refused: {reason}", ok=False, error_class="SystemRefused")
        except Exception as error:  # noqa: BLE001 - as above
            _log.exception("the tool %s failed", name)
            result = ToolResult(f"{name} failed: {_told(error)}", ok=False, error_class=type(error).__name__)
        return _bounded(result)


def _bounded(result: ToolResult) -> ToolResult:
    return replace(result, text=bounded(result.text))


def _told(error: Exception) -> str:
    """What a model is told of an error that no tool here raises."""
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


def _with_hint(said: str, hint: str) -> str:
    return f"{said}. {hint}" if hint else said
