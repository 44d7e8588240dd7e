"""Reading a shell command into its simple commands. Pure.

Owns the parse: every command of a pipe, list, subshell, substitution, loop, function or heredoc is found, with its
words as the shell would hand them over, and whatever cannot be known before it runs is told as a doubt. The parser's
words are compared with those of a second, simpler reader; where the two do not agree, that is a doubt too.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache

import tree_sitter_bash
from tree_sitter import Language, Node, Parser

from infrastructure.danger.looks import hidden, mistakable

MOST_CHARACTERS = 20_000
MOST_DEPTH = 60

_GLOB = re.compile(r"[*?\[\]{}]")
_REDIRECTS = frozenset({">", ">>", "<", ">&", "<&", "&>", "&>>", ">|"})
_PLAIN = frozenset({"program", "list", "pipeline", "subshell", "redirected_statement", "command", "command_name"})
"""Nodes that say nothing but in which order commands are run."""
_WORDS = frozenset(
    {"word", "number", "string", "raw_string", "concatenation", "ansi_c_string", "translated_string", "expansion"}
    | {"simple_expansion", "command_substitution", "process_substitution", "arithmetic_expansion", "brace_expression"}
    | {"extglob_pattern", "regex", "test_operator"}
)
_DOUBTS = {
    "function_definition": "it defines a function",
    "while_statement": "it has a loop",
    "for_statement": "it has a loop",
    "c_style_for_statement": "it has a loop",
    "declaration_command": "it sets variables",
    "variable_assignment": "it sets variables",
    "unset_command": "it unsets variables",
    "heredoc_redirect": "it has a text in it",
    "herestring_redirect": "it has a text in it",
    "test_command": "it tests a condition",
}


@dataclass(frozen=True, slots=True)
class Word:
    """A word as the shell would hand it over; where it is not `known`, as it was written."""

    text: str
    known: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class SimpleCommand:
    """A program and its arguments.

    Attributes:
        words: The name first.
        assignments: Variables that are set for it alone, as `NAME=value`.
        piped: Whether it reads what another command writes.
        given: Texts that stand in the command for it to read: heredocs.
    """

    words: tuple[Word, ...]
    assignments: tuple[str, ...] = ()
    piped: bool = False
    given: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """Its words, quoted where they must be."""
        return " ".join(shlex.quote(word.text) if word.known else word.text for word in self.words)


@dataclass(frozen=True, slots=True)
class Redirect:
    """A file that is read or written."""

    writes: bool
    target: Word


@dataclass(frozen=True, slots=True)
class Script:
    """All that a command line would run."""

    commands: tuple[SimpleCommand, ...] = ()
    redirects: tuple[Redirect, ...] = ()
    doubts: tuple[str, ...] = ()
    """Why it is not known what it would do; empty where it is."""


@dataclass(slots=True)
class _Reading:
    """What was found so far."""

    commands: list[SimpleCommand] = field(default_factory=list[SimpleCommand])
    redirects: list[Redirect] = field(default_factory=list[Redirect])
    doubts: dict[str, None] = field(default_factory=dict[str, None])
    order: list[tuple[int, str | None]] = field(default_factory=list[tuple[int, str | None]])
    """Words and signs by where they stand; None begins a command."""

    def doubt(self, why: str) -> None:
        self.doubts[why] = None


@cache
def _language() -> Language:
    return Language(tree_sitter_bash.language())


def read_script(text: str) -> Script:
    """All commands and redirections in a command line. Never fails: what cannot be read is a doubt."""
    if len(text) > MOST_CHARACTERS:
        return Script(doubts=(f"it is too long to be read ({len(text)} characters)",))
    reading = _Reading()
    if unseen := hidden(text):
        reading.doubt(f"it has characters that cannot be seen ({unseen})")
    if alike := mistakable(text):
        reading.doubt(f"it has characters that look like others ({alike})")
    source = text.encode("utf-8", "replace")
    root = Parser(_language()).parse(source).root_node
    if root.has_error:
        reading.doubt("it cannot be read as a shell command")
    _walk(root, reading, piped=False, depth=0)
    first, second = _segments(reading), _second_reading(text)
    if not reading.doubts and first != second:
        reading.doubt("it can be read in more than one way")
    if reading.doubts and second is not None and "<<" not in text:
        # What is not certain is judged in both readings: the more dangerous one counts.
        others = [segment for segment in second if segment not in first]
        reading.commands += [SimpleCommand(words=tuple(map(Word, segment))) for segment in others]
    return Script(tuple(reading.commands), tuple(reading.redirects), tuple(reading.doubts))


def _walk(node: Node, reading: _Reading, *, piped: bool, depth: int) -> None:
    if depth > MOST_DEPTH:
        reading.doubt("it is nested too deeply")
        return
    if node.type == "command":
        _command(node, reading, piped=piped, depth=depth)
        return
    if node.type in _WORDS:
        _nested(node, reading, depth)
        return
    if node.type in _REDIRECTING:
        _redirect(node, reading, depth)
        return
    if node.type == "variable_assignment":
        reading.doubt(_DOUBTS[node.type])
        reading.commands.append(SimpleCommand(words=(), assignments=(_text(node),)))
        _nested(node, reading, depth)
        return
    if node.is_named and node.type not in _PLAIN:
        reading.doubt(_DOUBTS.get(node.type, f"it has a part that is not judged ({node.type.replace('_', ' ')})"))
    after_pipe = False
    for child in node.children:
        if child.type == "&":
            reading.doubt("it goes on in the background")
        _walk(child, reading, piped=piped or after_pipe, depth=depth + 1)
        after_pipe = after_pipe or child.type in {"|", "|&"}


def _command(node: Node, reading: _Reading, *, piped: bool, depth: int) -> None:
    reading.order.append((node.start_byte, None))
    words: list[Word] = []
    assignments: list[str] = []
    given: list[str] = []
    for child in node.children:
        if child.type == "variable_assignment":
            reading.doubt("it sets variables")
            assignments.append(_text(child))
            _nested(child, reading, depth)
        elif child.type in _REDIRECTING:
            given += _redirect(child, reading, depth)
        else:
            part = child.children[0] if child.type == "command_name" and child.children else child
            words.append(_word(part, reading, depth))
            reading.order.append((part.start_byte, words[-1].text))
    given += _given_to(node, reading)
    reading.commands.append(
        SimpleCommand(words=tuple(words), assignments=tuple(assignments), piped=piped, given=tuple(given))
    )


def _given_to(node: Node, reading: _Reading) -> list[str]:
    """The heredocs of the statement that the command is in. One for another command is counted too: no harm."""
    above, texts = node.parent, list[str]()
    for _ in range(4):
        if above is None or above.type == "program":
            break
        for body in _all(above, "heredoc_body"):
            reading.doubt(_DOUBTS["heredoc_redirect"])
            texts.append(_text(body))
        above = above.parent
    return texts


def _redirect(node: Node, reading: _Reading, depth: int) -> list[str]:
    """Keep what is read or written; returns texts that are given in the command."""
    if node.type == "heredoc_redirect":
        reading.doubt(_DOUBTS[node.type])
        for child in node.children:
            _walk_heredoc(child, reading, depth)
        return []
    if node.type == "herestring_redirect":
        reading.doubt(_DOUBTS[node.type])
        return [_word(child, reading, depth).text for child in node.named_children]
    _file_redirect(node, reading, depth)
    return []


def _file_redirect(node: Node, reading: _Reading, depth: int) -> None:
    operator = next((child for child in node.children if not child.is_named), node)
    sign = operator.type
    if sign not in _REDIRECTS:
        reading.doubt(f"it has a redirection that is not judged ({sign})")
    reading.order.append((operator.start_byte, sign))
    numbers = [child for child in node.named_children if child.type == "file_descriptor"]
    reading.order += [(child.start_byte, _text(child)) for child in numbers]
    targets = [child for child in node.named_children if child.type != "file_descriptor"]
    for target in targets:
        word = _word(target, reading, depth)
        reading.order.append((target.start_byte, word.text))
        if not (sign in {">&", "<&"} and word.known and re.fullmatch(r"\d+-?|-", word.text)):
            reading.redirects.append(Redirect("<" not in sign, word))
    if len(targets) != 1:
        reading.doubt("it has words after a redirection")


def _walk_heredoc(node: Node, reading: _Reading, depth: int) -> None:
    if node.type == "heredoc_body":
        _nested(node, reading, depth)
    elif node.type not in {"heredoc_start", "heredoc_end", "file_descriptor"}:
        _walk(node, reading, piped=node.type == "pipeline", depth=depth + 1)


def _nested(node: Node, reading: _Reading, depth: int) -> None:
    """The commands within a word."""
    for child in node.children:
        if child.type in {"command_substitution", "process_substitution"}:
            reading.doubt("part of it is the output of another command")
            for inner in child.children:
                if inner.is_named:
                    _walk(inner, reading, piped=False, depth=depth + 1)
        elif depth <= MOST_DEPTH:
            _nested(child, reading, depth + 1)
        else:
            reading.doubt("it is nested too deeply")


def _word(node: Node, reading: _Reading, depth: int) -> Word:
    """A word as the shell would hand it over."""
    text = _literal(node, depth)
    if text is not None:
        return Word(text)
    reading.doubt(f"what {_shortened(_text(node))} stands for is only known when it runs")
    if node.type in {"command_substitution", "process_substitution"}:
        for inner in node.children:
            if inner.is_named:
                _walk(inner, reading, piped=False, depth=depth + 1)
    else:
        _nested(node, reading, depth)
    return Word(_text(node), known=False)


def _literal(node: Node, depth: int) -> str | None:
    """The text that a word stands for whatever happens; None where that is not known."""
    text = _text(node)
    if text == "{}":
        return text  # what `find` and `xargs` put a name for
    match node.type:
        case "word" | "number":
            bare = re.sub(r"\\.", "", text, flags=re.DOTALL)
            if _GLOB.search(bare) or "$" in bare or "`" in bare or text.startswith(("~+", "~-")):
                return None
            return re.sub(r"\\(.)", lambda found: "" if found[1] == "\n" else found[1], text, flags=re.DOTALL)
        case "raw_string":
            return text[1:-1]
        case "string":
            return _quoted(node, text[1:-1])
        case "concatenation" if depth <= MOST_DEPTH:
            parts = [_literal(child, depth + 1) for child in node.children]
            return None if None in parts else "".join(part for part in parts if part is not None)
        case _:
            return None


def _quoted(node: Node, inner: str) -> str | None:
    if any(child.is_named and child.type != "string_content" for child in node.children):
        return None
    bare = re.sub(r"\\.", "", inner, flags=re.DOTALL)
    if "$" in bare or "`" in bare:
        return None
    return re.sub(r'\\([\\"$`\n])', lambda found: "" if found[1] == "\n" else found[1], inner)


def _segments(reading: _Reading) -> list[list[str]]:
    """The words and signs of each command, in the order they stand there."""
    segments: list[list[str]] = []
    for _, text in sorted(reading.order, key=lambda item: item[0]):
        if text is None:
            segments.append([])
        elif not segments:
            segments.append([text])  # a redirection before its command: the two readings will differ
        else:
            segments[-1].append(text)
    return segments


def _second_reading(text: str) -> list[list[str]] | None:
    """The same by a plain reader of words that knows quotes and operators and nothing else; None where it fails."""
    reader = shlex.shlex(text, posix=True, punctuation_chars=";&|()<>\n")
    reader.whitespace, reader.commenters, reader.whitespace_split = " \t", "", True
    segments: list[list[str]] = [[]]
    try:
        for token in reader:
            if token in _REDIRECTS:
                segments[-1].append(token)
            elif ";;" not in token and token and not token.strip(";&|()\n"):
                segments.append([])
            elif token and not token.strip(";&|()<>\n"):
                return None
            else:
                segments[-1].append(token)
    except ValueError:
        return None
    return [segment for segment in segments if segment]


def _all(node: Node, kind: str) -> Iterator[Node]:
    for child in node.children:
        if child.type == kind:
            yield child
        elif child.type == "heredoc_redirect":
            yield from _all(child, kind)


def _text(node: Node) -> str:
    return node.text.decode("utf-8", "replace") if node.text is not None else ""


def _shortened(text: str) -> str:
    return text if len(text) <= 40 else f"{text[:39]}…"


_REDIRECTING = frozenset({"file_redirect", "heredoc_redirect", "herestring_redirect"})
