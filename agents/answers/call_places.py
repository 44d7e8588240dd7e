"""Where in an answer a tool call can be the model's own, and where it is only spoken of.

Owns the signs of the second: thinking, quoted lines, inline code, blocks that are a file or a diff or a program, words
of an example or a quotation in the sentence before, results that the model made up itself.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING

from agents.answers.fences import blocks
from agents.answers.naming import bare_path, path_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agents.answers.fences import Block

_FENCE_LINES = 2
_LEAD = 400  # characters of the prose before a call that are looked at
_CALL_BLOCKS = frozenset({"", "json", "xml", "tool", "tool_call", "tool_calls", "tool_code", "function_call", "action"})
_TOOL_BLOCKS = _CALL_BLOCKS - {"", "json", "xml", "action"}

THINKING = re.compile(
    r"<(?P<tag>think|thinking|reasoning|thought)>|\[THINK\]|<\|START_THINKING\|>"
    r"|(?:<\|start\|>assistant)?<\|channel\|>analysis<\|message\|>|<\|channel>thought\b"
)
"""What opens thinking."""
_THINKING_END = re.compile(
    r"</(?:think|thinking|reasoning|thought)>|\[/THINK\]|<\|END_THINKING\|>|<channel\|>"
    r"|<\|end\|>|(?=<\|channel\|>(?:commentary|final))|(?=<\|start\|>)"
)
_ORPHAN = re.compile(r"<(/?)(?:think|thinking)>|\[(/?)THINK\]|<\|(?:START|(END))_THINKING\|>")
RESULT = re.compile(
    r"<tool_(?:response|result|output)s?>|(?m:^)[ \t]*\**Observation:|\[TOOL_RESULTS\]|<function_results?>"
    r"|<[|｜]tool[▁_]outputs?[▁_]begin[|｜]>|<\|start\|>functions\.|<\|START_TOOL_RESULT\|>"
    r"|<\|im_start\|>(?:user|tool)|<\|start_header_id\|>(?:ipython|user|tool)"
)
"""Where a model goes on as the tool or the person whose answer it should wait for."""

_EXAMPLE = re.compile(
    r"\b(?:examples?|e\.g|for instance|such as|could|would (?:be|look|call|use|write)|might|looks? like|like this"
    r"|like so|the (?:syntax|format|schema|template|notation)|placeholder|hypothetical\w*|suppose|imagine"
    r"|you (?:can|may|should)"
    r"|(?:do not|don't|never|avoid|must not|instead of)(?: \w+)? (?:call|run|us|execut|writ|send|emit|invok|do)\w*"
    r"|например|пример\w*|формат|мог(?:ли|ла)? бы|нельзя|ejemplo|exemple|beispiel)\b|例如|示例|比如|格式|可以",
    re.IGNORECASE,
)
_REPORT = re.compile(
    r"\b(?:as follows|this way|following|called|written"
    r"|contain\w*|says?|said|wrote|writes?|asked|reads|print\w*|show\w*|return\w*|output\w*|results?|respon\w+|quot\w+"
    r"|found|text|content\w*|user|human|system|tool|message|log|file|prompt|comment|instructions?|содержит|написан\w*"
    r"|пользователь|сказано)\b[^.!?\n]*:\s*$",
    re.IGNORECASE,
)
_INTENT = re.compile(
    r"\b(?:let me|let's|let us|i'll|i will|i'm going to|i am going to|i need to|i should|i must|going to|calling|now"
    r"|first|next|then|to do (?:this|that|so)|i'd like to|сначала|давайте|сейчас|вызываю|посмотрю)\b"
    r"|我来|让我|我将|首先",
    re.IGNORECASE,
)
_ROLE = re.compile(r"^\W*(?:user|human|system|tool|tool result|output|result|observation)\W*:", re.IGNORECASE)
_ENDS_SENTENCE = (".", ":", "!", "?", "…", "。", "\uff1a", "\uff01", "\uff1f", ">", "]", ")")  # the wide ones too
_NUMBERED = re.compile(r"\s*\d{1,3}[.)]\s*")
_ANNOUNCED = re.compile(
    r"\b(?:here is|here's|this is) (?:the|my|a) (?:\w+ )?call\b|\b(?:tool|function) call:", re.IGNORECASE
)
_AS_CODE = 4  # columns by which Markdown indents code


@dataclass(frozen=True, slots=True)
class Placed:
    """A block and where it stands, in characters; `inside` is what is between its fences."""

    block: Block
    start: int
    end: int
    inside: tuple[int, int]

    @property
    def is_file(self) -> bool:
        """Whether the block is, or may be, a file that the model writes, or a change of one."""
        if not self.block.fenced:
            return True
        if self.is_for_tools:
            return bool(self.block.info.partition(" ")[2].strip())
        path = path_of(self.block) or bare_path(self.block)
        return path is not None and not self._speaks_of(path)

    def _speaks_of(self, path: str) -> bool:
        """Whether the sentence before the block names a file that a call in the block is to work on."""
        before = self.block.before[-1] if self.block.before else ""
        unlike = self.block.info.lower() == "json" and not path.lower().endswith((".json", ".jsonc", ".json5"))
        return unlike and _INTENT.search(before) is not None

    @property
    def language(self) -> str:
        """The first word behind the opening fence, in lower case."""
        return self.block.info.partition(" ")[0].lower()

    @property
    def is_for_tools(self) -> bool:
        """Whether the block says of itself that it is a call."""
        return self.language in _TOOL_BLOCKS

    @property
    def may_hold_calls(self) -> bool:
        """Whether models print calls in blocks of this language."""
        doubled = len(self.block.span) - len(self.block.lines) > _FENCE_LINES
        return self.block.fenced and self.language in _CALL_BLOCKS and not doubled


def placed_blocks(text: str, start: int) -> Sequence[Placed]:
    """The blocks of the text from a position on, which begins a line or follows a call."""
    rest = text[start:]
    found = blocks(rest)
    if not found:
        return ()
    starts = [0, *accumulate(len(line) + 1 for line in rest.split("\n"))]
    placed: list[Placed] = []
    for block in found:
        first, stop = block.span.start, block.span.stop
        inside = starts[min(first + block.fenced, len(starts) - 1)]
        behind = starts[min(first + block.fenced + len(block.lines), len(starts) - 1)]
        bounds = (starts[first], starts[min(stop, len(starts) - 1)], inside, behind)
        begin, end, inside, behind = (min(start + bound, len(text)) for bound in bounds)
        placed.append(Placed(block, begin, end, (inside, behind)))
    return placed


def after_orphan_thinking(text: str) -> int:
    """Where the answer begins behind thinking whose opening tag stood in the prompt; 0 where there is none."""
    depth = position = 0
    for found in _ORPHAN.finditer(text):
        if not any(found.groups()):
            depth += 1
        elif depth:
            depth -= 1
        else:
            position = found.end()
    return position


def end_of_thinking(text: str, found: re.Match[str]) -> int | None:
    """Where thinking ends that opens at a match of `THINKING`; None where it never does."""
    closing = _THINKING_END.search(text, found.end())
    return closing.end() if closing else None


def line_before(text: str, position: int, after: int) -> str:
    """What stands on the line before a position, from `after` on."""
    return text[max(text.rfind("\n", after, position) + 1, after) : position]


def is_quoted(lead: str) -> bool:
    """Whether what comes behind `lead` on its line is quoted: inline code, quotation marks, a quoted line."""
    return lead.lstrip().startswith(">") or lead.count("`") % 2 == 1 or lead.endswith(("`", '"', "'", "«", "“", "‘"))


def is_mid_sentence(lead: str) -> bool:
    """Whether a line goes on behind `lead` in the middle of a sentence, or as an item of a list."""
    bare = lead.rstrip(" \t*")
    return bool(bare) and (not bare.endswith(_ENDS_SENTENCE) or _NUMBERED.fullmatch(lead) is not None)


def doubt_of(prose: str, *, sure: bool) -> str:
    """Why a call behind this prose may be none of the model's own; empty where nothing says so.

    A form that is used for more than calls needs words that say what it is meant for.
    """
    lines = [line.strip() for line in prose[-_LEAD:].split("\n") if line.strip()]
    if not lines:
        return ""
    lead, last = " ".join(lines[-2:]), lines[-1]
    if _EXAMPLE.search(lead):
        return "the text before it speaks of an example"
    meant = _INTENT.search(last) is not None
    if _ROLE.match(last) or (_REPORT.search(last) and not meant):
        return "the text before it says that somebody else wrote it"
    indent = prose.expandtabs(_AS_CODE).rpartition("\n")[2]
    if not indent.strip() and len(indent) >= _AS_CODE:
        return "it is indented as an example is"
    return "" if sure or meant or _ANNOUNCED.search(last) else "the text before it does not say that it is to be run"
