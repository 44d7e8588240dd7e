"""Owns how a conversation becomes the prompt that a model reads: the chat templates of simulated models."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import orjson

from infrastructure.simulator.golang import Json, JsonObject, dump

CHATML = """{{- if or .System .Tools }}<|im_start|>system
{{ .System }}
{{- if .Tools }}
# Tools
{{- range .Tools }}
{{ .Function }}
{{- end }}
Answer with <tool_call>{"name": NAME, "arguments": OBJECT}</tool_call>
{{- end }}<|im_end|>
{{ end }}
{{- range .Messages }}
{{- if eq .Role "assistant" }}<|im_start|>assistant
{{ .Content }}
{{- if .ToolCalls }}{{ range .ToolCalls }}<tool_call>{"name": "{{ .Function.Name }}", "arguments": {{ .Function.Arguments }}}</tool_call>{{ end }}{{ end }}<|im_end|>
{{ else }}<|im_start|>{{ .Role }}
{{ .Content }}<|im_end|>
{{ end }}
{{- end }}<|im_start|>assistant
"""  # noqa: E501 - the text as it is in a Modelfile
THINKING = CHATML.replace(
    "{{ .Content }}\n{{- if .ToolCalls",
    "{{ if .Thinking }}<think>{{ .Thinking }}</think>{{ end }}{{ .Content }}\n{{- if .ToolCalls",
)
PLAIN = "{{ .Prompt }}"
_FIELD = re.compile(r"\{\{-?\s*\.(\w+)\s*-?\}\}")


@dataclass(frozen=True, slots=True)
class ToolUse:
    """A call to a tool in a message of the conversation."""

    name: str
    arguments: JsonObject


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a conversation."""

    role: str
    content: str
    thinking: str = ""
    tool_uses: tuple[ToolUse, ...] = ()
    tool_name: str = ""
    images: int = 0


@dataclass(frozen=True, slots=True)
class Conversation:
    """What is rendered: messages and the tools offered."""

    messages: tuple[Message, ...]
    tools: tuple[JsonObject, ...] = field(default=())

    @property
    def tool_names(self) -> tuple[str, ...]:
        """Those of the tools offered."""
        return tuple(_text(_object(tool.get("function")).get("name")) for tool in self.tools)


class TemplateError(Exception):
    """The template uses what the simulator cannot render."""


def render_chatml(conversation: Conversation, *, thinking: bool = False) -> str:
    """The prompt that the Go template `CHATML` makes, or `THINKING`."""
    system, messages = _collate(conversation.messages)
    out: list[str] = []
    if system or conversation.tools:
        out.append(f"<|im_start|>system\n{system}")
        if conversation.tools:
            functions = "".join(f"\n{_go_function(tool)}" for tool in conversation.tools)
            out.append(f"\n# Tools{functions}\nAnswer with ")
            out.append('<tool_call>{"name": NAME, "arguments": OBJECT}</tool_call>')
        out.append("<|im_end|>\n")
    for message in messages:
        out.append(f"<|im_start|>{message.role}\n")
        if message.role == "assistant" and thinking and message.thinking:
            out.append(f"<think>{message.thinking}</think>")
        out.append(message.content)
        if message.role == "assistant":
            out.extend(
                f'<tool_call>{{"name": "{use.name}", "arguments": {_sorted(use.arguments)}}}</tool_call>'
                for use in message.tool_uses
            )
        out.append("<|im_end|>\n")
    out.append("<|im_start|>assistant\n")
    return "".join(out)


def render_native(conversation: Conversation) -> str:
    """The prompt that the Jinja template inside the `native` models makes."""
    out: list[str] = []
    if conversation.tools:
        tools = "".join(_json_tool(tool) for tool in conversation.tools)
        out.append(f"<|im_start|>system\n# Tools\n<tools>{tools}</tools>\nFor each call answer <tool_call>\n")
        out.append('{"name": <name>, "arguments": <object>}\n</tool_call><|im_end|>\n')
    for message in conversation.messages:
        out.append(f"<|im_start|>{message.role}\n{message.content}")
        out.extend(
            f'<tool_call>\n{{"name": "{use.name}", "arguments": {_spaced(use.arguments)}}}\n</tool_call>'
            for use in message.tool_uses
        )
        out.append("<|im_end|>\n")
    out.append("<|im_start|>assistant\n")
    return "".join(out)


def render_plain(conversation: Conversation) -> str:
    """The prompt of a model without a chat template: the messages' text, nothing else."""
    return "".join(message.content for message in conversation.messages)


def render_custom(template: str, *, system: str, prompt: str) -> str:
    """A request's own template, of plain fields only.

    Raises:
        TemplateError: the template has actions other than `{{ .System }}`, `{{ .Prompt }}` and the like.
    """
    values = {"System": system, "Prompt": prompt, "Response": "", "Suffix": ""}
    unknown = [name for name in _FIELD.findall(template) if name not in values]
    rest = _FIELD.sub("", template)
    if unknown or "{{" in rest:
        raise TemplateError("the simulator renders only .System, .Prompt, .Response and .Suffix")
    return _FIELD.sub(lambda match: values[match[1]], template)


def _collate(messages: Sequence[Message]) -> tuple[str, list[Message]]:
    """All system texts in one, and neighbours of one role merged, as the server does before rendering."""
    system = "\n\n".join(message.content for message in messages if message.role == "system")
    merged: list[Message] = []
    for message in messages:
        if merged and merged[-1].role == message.role and message.role != "tool":
            if message.content:
                merged[-1] = replace(merged[-1], content=f"{merged[-1].content}\n\n{message.content}")
        else:
            merged.append(message)
    return system, merged


def _sorted(arguments: JsonObject) -> str:
    """Arguments as the template prints them: a Go map, by name."""
    return dump(dict(sorted(arguments.items()))).decode()


def _go_function(tool: JsonObject) -> str:
    """A tool's function as the template prints it: a Go struct, only its properties as JSON."""
    function = _object(tool.get("function"))
    parameters = _object(function.get("parameters"))
    required = parameters.get("required")
    names = " ".join(str(name) for name in required) if isinstance(required, list) else ""
    inner = " ".join(
        (
            _text(parameters.get("type")),
            _go_value(parameters.get("$defs")),
            _go_value(parameters.get("items")),
            f"[{names}]",
            dump(parameters.get("properties", {})).decode(),
        )
    )
    return f"{{{_text(function.get('name'))} {_text(function.get('description'))} {{{inner}}}}}"


def _go_value(value: Json) -> str:
    if value is None:
        return "<nil>"
    if isinstance(value, dict):
        return "map[" + " ".join(f"{name}:{_go_value(item)}" for name, item in sorted(value.items())) + "]"
    if isinstance(value, list):
        return "[" + " ".join(_go_value(item) for item in value) + "]"
    return str(value).lower() if isinstance(value, bool) else str(value)


def _json_tool(tool: JsonObject) -> str:
    """A tool as the server hands it to a native template: its own order of fields, a description always."""
    function = _object(tool.get("function"))
    parameters = _object(function.get("parameters"))
    ordered: JsonObject = {
        name: parameters[name] for name in ("type", "$defs", "items", "required", "properties") if name in parameters
    }
    inner: JsonObject = {
        "name": _text(function.get("name")),
        "description": _text(function.get("description")),
        "parameters": ordered,
    }
    return _spaced({"type": tool.get("type", "function"), "function": inner})


def _object(value: Json) -> JsonObject:
    return value if isinstance(value, dict) else {}


def _text(value: Json) -> str:
    return value if isinstance(value, str) else ""


def _spaced(value: Json) -> str:
    """JSON with a space after each comma and colon, as Jinja's `tojson` writes it."""
    text = orjson.dumps(value, option=orjson.OPT_INDENT_2).decode()
    return re.sub(r",\n\s*", ", ", re.sub(r"(?<=[\[{])\n\s*|\n\s*(?=[\]}])", "", text))
