"""Prompts are files: `prompts/<role>/<task>.md`.

Owns reading them (front matter, a `# system` and a `# user` section), rendering them with strict variables, and
their hash. A section may consist of named blocks (`{% block files %}`): parts of a prompt that are measured and cut
one by one. Files come through `importlib.resources`, so a wheel works. Values are inserted as they are and never
rendered again: `{{` in a workspace file stays text.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Literal, TypeAlias, get_args

import jinja2
from jinja2 import meta, nodes

from agents.errors import PromptError

if TYPE_CHECKING:
    from collections.abc import Mapping

SectionName: TypeAlias = Literal["system", "user"]
SECTIONS: tuple[SectionName, ...] = get_args(SectionName)

_FRONT_MATTER_KEYS = frozenset({"role", "about"})
LEFT_OUT = "left_out"
"""The one variable that is no field of a question: how many pieces of which field are missing for want of room."""
_BACKTICKS = re.compile("`+")


@dataclass(frozen=True, slots=True)
class Prompt:
    r"""A prompt as its file says it.

    Attributes:
        name: `role/task`, the path of the file without its suffix.
        about: One line for people.
        sha: SHA-256 of the file's text with `\\n` line ends, in hex: another text is another prompt.
        sections: Template sources by section, in the order of the file.
        variables: Every variable the sections ask for, without `left_out`.
    """

    name: str
    about: str
    sha: str
    sections: Mapping[SectionName, str]
    variables: frozenset[str]

    def render(self, section: SectionName, values: Mapping[str, object]) -> str:
        """Return the text of a section, without blank lines at its ends.

        Raises:
            PromptError: The section is not in the file, or a variable has no value.
        """
        return "".join(text for _, text in self.render_blocks(section, values)).strip("\n")

    def render_blocks(self, section: SectionName, values: Mapping[str, object]) -> tuple[tuple[str, str], ...]:
        """Return the texts of a section's blocks by name, in their order; of one without blocks all, by its own name.

        Raises:
            PromptError: As `render`.
        """
        if section not in self.sections:
            raise PromptError(self.name, f"no section `# {section}`")
        template = _compiled(self.sections[section])
        try:
            if not template.blocks:
                return ((section, template.render(values)),)
            context = template.new_context(dict(values))
            return tuple((name, "".join(block(context))) for name, block in template.blocks.items())
        except jinja2.TemplateError as error:
            raise PromptError(self.name, str(error)) from error

    def blocks(self, section: SectionName) -> tuple[str, ...]:
        """Return the names of a section's blocks, in their order."""
        return tuple(_compiled(self.sections[section]).blocks)


@cache
def load_prompt(name: str) -> Prompt:
    """Read `prompts/<name>.md`, once. Roles do it when they are made, at import: no event loop waits for a disk.

    Raises:
        PromptError: No such file, or its shape is not the one described in `parse_prompt`.
    """
    resource = files("agents").joinpath("prompts", *f"{name}.md".split("/"))
    try:
        source = resource.read_text(encoding="utf-8")
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError) as error:
        raise PromptError(name, "no such prompt") from error
    return parse_prompt(name, source)


def parse_prompt(name: str, source: str) -> Prompt:
    """Read a prompt out of the text of its file.

    The text opens with front matter: a line `---`, `key: value` lines (`role`, `about`), a line `---`. Then come
    the sections, each opened by a line that is exactly `# system` or `# user`; headings inside use `##`. A section has
    no blocks, or consists of them.

    Raises:
        PromptError: Anything else.
    """
    source = source.replace("\r\n", "\n")
    front, body = _split_front_matter(name, source)
    if front.get("role") != name.partition("/")[0]:
        raise PromptError(name, f"front matter says role {front.get('role')!r}")
    sections = _split_sections(name, body)
    for text in sections.values():
        _check_blocks(name, text)
    return Prompt(
        name=name,
        about=front.get("about", ""),
        sha=hashlib.sha256(source.encode()).hexdigest(),
        sections=sections,
        variables=frozenset(found for text in sections.values() for found in _variables(name, text)) - {LEFT_OUT},
    )


def quoted(text: str, language: str = "") -> str:
    """Return the text as a fenced block, with a fence longer than any inside: content cannot close it."""
    longest = max(map(len, _BACKTICKS.findall(text)), default=0)
    fence = "`" * max(3, longest + 1)
    end = "" if not text or text.endswith("\n") else "\n"
    return f"{fence}{language}\n{text}{end}{fence}"


def excerpt(text: str, keep: int = 2_000) -> str:
    """Return the first and last `keep` characters of a text, and how many were left out between them."""
    left_out = len(text) - 2 * keep
    if left_out <= 0:
        return text
    return f"{text[:keep]}\n[… {left_out} characters left out …]\n{text[len(text) - keep :]}"


def _split_front_matter(name: str, source: str) -> tuple[dict[str, str], str]:
    opening, _, rest = source.partition("---\n")
    block, divider, body = rest.partition("\n---\n")
    if opening or not divider:
        raise PromptError(name, "no front matter between two `---` lines at the top")
    front: dict[str, str] = {}
    for line in block.split("\n"):
        key, colon, value = line.partition(":")
        if not colon or key not in _FRONT_MATTER_KEYS or key in front:
            raise PromptError(name, f"front matter line {line!r}")
        front[key] = value.strip()
    return front, body


def _split_sections(name: str, body: str) -> Mapping[SectionName, str]:
    found: dict[SectionName, list[str]] = {}
    current: list[str] | None = None
    for line in body.split("\n"):
        section = line.removeprefix("# ")
        if line.startswith("# ") and section in SECTIONS:
            if section in found:
                raise PromptError(name, f"section `# {section}` comes twice")
            current = found.setdefault(section, [])
        elif current is not None:
            current.append(line)
        elif line.strip():
            raise PromptError(name, f"text before the first section: {line!r}")
    if not found:
        raise PromptError(name, "no section")
    return {section: "\n".join(lines) for section, lines in found.items()}


def _variables(name: str, source: str) -> set[str]:
    try:
        return meta.find_undeclared_variables(_environment().parse(source))
    except jinja2.TemplateError as error:
        raise PromptError(name, str(error)) from error


def _check_blocks(name: str, source: str) -> None:
    """In a section with blocks every word stands in one: what stands outside would be measured nowhere."""
    try:
        parsed = _environment().parse(source)
    except jinja2.TemplateError as error:
        raise PromptError(name, str(error)) from error
    outside = [node for node in parsed.body if not isinstance(node, nodes.Block) and not _is_blank(node)]
    if outside and any(True for _ in parsed.find_all(nodes.Block)):
        raise PromptError(name, f"line {outside[0].lineno} of a section with blocks stands in none of them")


def _is_blank(node: nodes.Node) -> bool:
    return isinstance(node, nodes.Output) and all(
        isinstance(part, nodes.TemplateData) and not part.data.strip() for part in node.nodes
    )


@cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        undefined=jinja2.StrictUndefined,
        autoescape=False,  # the reader is a model: escaping would change the code it sees
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters.update(quoted=quoted, excerpt=excerpt)
    return environment


@cache
def _compiled(source: str) -> jinja2.Template:
    return _environment().from_string(source)
