"""How each dialect spells a tool call that is printed as text.

Owns the patterns: what opens a call, what stands between name and arguments, what closes it. What they are read to is
`call_forms`'.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_NAME = r"[A-Za-z_][\w.\-]{0,127}"

WRAPPERS = {
    "hermes": (r"<(?:tool_calls?|tools|toolcall|function_?call)>", r"</(?:tool_calls?|tools|toolcall|function_?call)>"),
    "nemotron": (r"<TOOLCALL>", r"</TOOLCALL>"),
    "granite": (r"<\|tool_call\|>", r"<\|/tool_call\|>"),
    "lfm": (r"<\|tool_call_start\|>", r"<\|tool_call_end\|>"),
    "mistral": (r"\[TOOL_CALLS\]", r"\[/TOOL_CALLS\]"),
    "llama": (r"<\|python_tag\|>", r"<\|e(?:om|ot)_id\|>"),
    "function_calls": (r"<(?:\w{1,20}:)?function_calls>", r"</(?:\w{1,20}:)?function_calls>"),
    "cohere": (r"<\|START_ACTION\|>|(?m:^)[ \t]*\**Action:\**\s*(?=```)", r"<\|END_ACTION\|>"),
    "phi": (r"functools(?=\s*\[\s*\{)", r"(?!)"),
}
OPENERS = {
    **{dialect: opener for dialect, (opener, _) in WRAPPERS.items()},
    "deepseek": (
        r"(?:<[|｜]tool[▁_]calls[▁_]begin[|｜]>\s*)?<[|｜]tool[▁_]call[▁_]begin[|｜]>"
        r"(?=[^<\n]{0,140}<[|｜]tool[▁_]sep)"
    ),
    "kimi": r"(?:<\|tool_calls_section_begin\|>\s*)?<\|tool_call_begin\|>",
    "harmony": (
        r"(?:(?:<\|start\|>)?assistant|\b)(?:<\|channel\|>)?(?:commentary|analysis) to=(?=functions\.)"
        r"|(?:<\|start\|>assistant)?<\|channel\|>\w{1,20} to=(?!user\b)|<\|start\|>assistant to="
    ),
    "function": rf"<function=(?={_NAME}>)",
    "invoke": r"<(?:\w{1,20}:)?invoke name=",
    "functionary": rf"(?m:^)>>>(?={_NAME}[ \t]*\n\s*\{{)",
    "react": rf"(?m:^)[ \t]*\**Action:\**[ \t]*(?=`?{_NAME}`?[ \t]*\n\s*\**Action Input:)",
    "args": rf"(?m:^)(?={_NAME}\[(?:ARGS|CALL_ID)\])",
}
OPENER = re.compile(
    r"(?=[<\[ \tAacf*]|(?m:^))(?:"  # looked at first: most characters open nothing
    + "|".join(f"(?P<{dialect}>{pattern})" for dialect, pattern in OPENERS.items())
    + ")"
)
"""Where a call in an explicit form begins; `lastgroup` is its dialect."""
CLOSERS = re.compile(
    "|".join(closer for _, closer in WRAPPERS.values())
    + r"|</function>|<\|call\|>|<\|(?:im_end|end|return|eot_id|eom_id|end_of_text|endoftext|END_OF_TURN_TOKEN)\|>|</s>"
    + r"|<end_of_turn>|<[|｜]end▁of▁sentence[|｜]>|<\|tool_calls_section_end\|>|<[|｜]tool[▁_]calls[▁_]end[|｜]>"
)
"""What may stand behind the last call without being text: ends of wrappers and of a turn."""

NAME = re.compile(_NAME)
FENCE = re.compile(r"```[ \t]*(?:json|tool_calls?|tool_code|xml)?[ \t]*\n?")
FENCE_END = re.compile(r"\s*```")
FUNCTION = re.compile(rf"<function=({_NAME})>")
INVOKE = re.compile(rf"<(?:\w{{1,20}}:)?invoke name=[\"']?({_NAME})[\"']?\s*>")
ARGS = re.compile(rf"({_NAME})(?:\[CALL_ID\]\w{{1,64}})?\[ARGS\]")
DEEPSEEK = re.compile(
    rf"\s*(?:function[ \t]*<[|｜]tool[▁_]sep[|｜]>\s*({_NAME})\s*\n|({_NAME})\s*<[|｜]tool[▁_]sep[|｜]>)\s*"
)
DEEPSEEK_NEXT = re.compile(r"(?:<[|｜]tool[▁_]call[▁_]end[|｜]>)?\s*<[|｜]tool[▁_]call[▁_]begin[|｜]>")
DEEPSEEK_END = re.compile(r"\s*(?:<[|｜]tool[▁_]call[▁_]end[|｜]>)?\s*(?:<[|｜]tool[▁_]calls[▁_]end[|｜]>)?")
KIMI = re.compile(rf"\s*(?:functions\.)?({_NAME})(?::\d{{1,6}})?\s*<\|tool_call_argument_begin\|>\s*")
KIMI_END = re.compile(r"\s*(?:<\|tool_call_end\|>)?\s*(?:<\|tool_calls_section_end\|>)?")
HARMONY = re.compile(
    rf"(?:functions\.)?({_NAME})[ \t]*(?:<\|channel\|>\w{{1,20}})?\s*(?:<\|constrain\|>)?\s*(?:json|code)?\s*"
    r"(?:<\|message\|>)?\s*"
)
HARMONY_END = re.compile(r"\s*(?:<\|call\|>|<\|end\|>)?")
REACT = re.compile(rf"`?({_NAME})`?[ \t]*\n\s*\**Action Input:\**\s*")
FUNCTIONARY = re.compile(rf"({_NAME})\s*")


@dataclass(frozen=True, slots=True)
class Tags:
    """How a form with one tag an argument spells it."""

    opening: re.Pattern[str]
    closing: re.Pattern[str]
    end: re.Pattern[str]
    inner: re.Pattern[str]


PARAMETERS = Tags(
    re.compile(rf"<parameter=({_NAME})>"),
    re.compile(r"</parameter>"),
    re.compile(r"</function>|(?=</tool_call>)"),
    re.compile(r"<parameter=|<function=|<tool_call>"),
)
INVOKED = Tags(
    re.compile(rf"<(?:\w{{1,20}}:)?parameter name=[\"']?({_NAME})[\"']?[^<>\n]{{0,80}}>"),
    re.compile(r"</(?:\w{1,20}:)?parameter>"),
    re.compile(r"</(?:\w{1,20}:)?invoke>"),
    re.compile(r"<(?:\w{1,20}:)?(?:parameter name=|invoke name=|function_calls>)"),
)
KEYS = Tags(
    re.compile(rf"<arg_key>\s*({_NAME})\s*</arg_key>\s*<arg_value>"),
    re.compile(r"</arg_value>"),
    re.compile(r"(?=</tool_call>)"),
    re.compile(r"<arg_key>|<arg_value>|<tool_call>"),
)
