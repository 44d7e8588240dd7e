"""Builds tests/agents/data/edits.jsonl anew: `python -m tests.agents.answers.corpus`.

Each case is files, an answer as a small model writes it, and what a person would accept. What is expected is made by
construction from changes that were written by hand (`shapes.py`), never by running the code under test.
"""

from __future__ import annotations

import html
import json
import textwrap
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from tests.agents.answers.corpus_definitions import DEFINITIONS
from tests.agents.answers.corpus_single import SINGLE
from tests.agents.answers.corpus_whole import WHOLE
from tests.agents.answers.shapes import SHAPES, Shape

PLACE = Path(__file__).parent.parent / "data" / "edits.jsonl"
SEARCH, DIVIDER, REPLACE = "<<<<<<< SEARCH", "=======", ">>>>>>> REPLACE"
SLASHED = ("javascript", "typescript", "go", "rust", "java", "c")
HASHED = ("python", "method", "crlf", "unended", "cyrillic", "yaml", "ruby", "shell")
TABBED = ("go", "makefile")
INDENTED = ("method", "javascript", "typescript", "rust", "java", "c", "sql", "unended", "cyrillic", "python", "html")
COMMENT = {"javascript": "// ", "python": "# ", "crlf": "# "}


@dataclass(frozen=True)
class Case:
    """One answer.

    Attributes:
        name: Unique.
        files: Texts of the files before.
        answer: What the model wrote.
        result: New texts by path, None for a deleted file; or None: it must be refused.
        word: What the reason or the hint of the refusal must contain.
        default: The file that a sole block without a name is.
        functions: Whether definitions were asked for.
    """

    name: str
    files: dict[str, str]
    answer: str
    result: dict[str, str | None] | None = None
    word: str = ""
    default: str | None = None
    functions: bool = False


def lf(text: str) -> str:
    return text.replace("\r\n", "\n")


def block(search: str, new: str, marks: tuple[str, str, str] = (SEARCH, DIVIDER, REPLACE)) -> str:
    return f"{marks[0]}\n{search}{marks[1]}\n{new}{marks[2]}"


def fenced(body: str, language: str = "") -> str:
    return f"```{language}\n{body.rstrip(chr(10))}\n```"


def named(shape: Shape, body: str, language: str = "") -> str:
    return f"File: `{shape.path}`\n{fenced(body, language)}\n"


def each_line(text: str, change) -> str:
    return "".join(f"{change(line)}\n" for line in text.removesuffix("\n").split("\n"))


def numbered(text: str, start: int, sign: str = " | ") -> str:
    lines = text.removesuffix("\n").split("\n") if text else []
    return "".join(f"{number}{sign}{line}\n" for number, line in enumerate(lines, start))


def hunk(search: str, new: str, *, blank: str = " ") -> str:
    """A hunk as `diff` makes it for lines that begin and end alike."""
    old, fresh = search.removesuffix("\n").split("\n"), new.removesuffix("\n").split("\n")
    head = 0
    while head < min(len(old), len(fresh)) and old[head] == fresh[head]:
        head += 1
    tail = 0
    while tail < min(len(old), len(fresh)) - head and old[-1 - tail] == fresh[-1 - tail]:
        tail += 1
    kept = [f"{blank}{line}" for line in old[:head]]
    gone = [f"-{line}" for line in old[head : len(old) - tail]]
    came = [f"+{line}" for line in fresh[head : len(fresh) - tail]]
    after = [f"{blank}{line}" for line in old[len(old) - tail :]] if tail else []
    return "\n".join([*kept, *gone, *came, *after]) + "\n"


def accepted(key: str, shape: Shape) -> Iterator[tuple[str, str]]:
    """Every way in which this change is written badly and still means one thing only: a word for it, and the answer."""
    search, new = lf(shape.search), lf(shape.replace)
    path = shape.path
    yield "plain", named(shape, block(search, new))
    yield "bare", f"{path}\n{block(search, new)}\n"
    yield "updated-words", named(shape, block(search, new, ("<<<<<<< ORIGINAL", DIVIDER, ">>>>>>> UPDATED")))
    yield "five-signs", named(shape, block(search, new, ("<<<<< SEARCH", "=====", ">>>>> REPLACE")))
    yield "nine-signs", named(shape, block(search, new, ("<<<<<<<<< SEARCH", "=========", ">>>>>>>>> REPLACE")))
    yield "dashes-and-plus", named(shape, block(search, new, ("------- SEARCH", DIVIDER, "+++++++ REPLACE")))
    yield "sign-behind", named(shape, block(search, new, ("<<<<<<< SEARCH>", DIVIDER, ">>>>>>> REPLACE>")))
    yield "lower-case", named(shape, block(search, new, ("<<<<<<< search", DIVIDER, ">>>>>>> replace")))
    yield "in-diff-fence", named(shape, block(search, new), "diff")
    yield "carriage-returns", named(shape, block(search, new)).replace("\n", "\r\n")
    yield "path-behind-mark", fenced(block(search, new, (f"{SEARCH} {path}", DIVIDER, REPLACE)))
    yield "path-in-fence", fenced(f"{path}\n{block(search, new)}")
    yield "path-in-info", f"```text {path}\n{block(search, new)}\n```\n"
    yield "path-in-comment", fenced(f"# {path}\n{block(search, new)}")
    yield "start-line", named(shape, block(f":start_line:3\n-------\n{search}", new))
    yield "no-end-mark", f"File: `{path}`\n```\n{SEARCH}\n{search}{DIVIDER}\n{new}```\n"
    yield "explained-inside", named(shape, block(search, new) + "\n\nThis changes the lines as asked.")
    yield "blanks-at-ends", named(shape, block(each_line(search, lambda line: line + "  "), new))
    yield "blank-lines-around", named(shape, block(f"\n{search}\n", f"\n{new}\n"))
    yield "numbered", named(shape, block(numbered(search, 4), numbered(new, 4)))
    yield "numbered-search-only", named(shape, block(numbered(search, 11), new))
    yield (
        "signs-inside",
        named(shape, block(each_line(search, lambda line: "-" + line), each_line(new, lambda line: "+" + line))),
    )
    yield "diff", named(shape, f"--- a/{path}\n+++ b/{path}\n@@ -99,9 +1,2 @@\n{hunk(search, new)}", "diff")
    yield "diff-without-prefix", named(shape, f"--- {path}\n+++ {path}\n@@ -1 +1 @@\n{hunk(search, new)}", "diff")
    yield "diff-named-before", named(shape, f"@@ ... @@\n{hunk(search, new)}", "diff")
    yield "diff-without-at", named(shape, hunk(search, new), "diff")
    yield (
        "diff-bare",
        f"Here it is.\n\n--- a/{path}\n+++ b/{path}\n@@ -3,4 +3,4 @@\n{hunk(search, new)}\nThat is all.\n",
    )
    yield "diff-plain-fence", fenced(f"--- a/{path}\n+++ b/{path}\n@@ -3,4 +3,4 @@\n{hunk(search, new)}")
    yield "diff-unprefixed", named(shape, f"--- a/{path}\n+++ b/{path}\n@@ @@\n{hunk(search, new, blank='')}", "diff")
    yield "patch-sections", fenced(f"*** Begin Patch\n*** Update File: {path}\n@@\n{hunk(search, new)}*** End Patch")
    yield "slash-before", f"File: /{path}\n{fenced(block(search, new))}\n"
    yield "letter-before", f"File: `b/{path}`\n{fenced(block(search, new))}\n"
    yield "workspace-before", f"File: `/workspace/{path}`\n{fenced(block(search, new))}\n"
    yield "stars-around", f"**File: {path}**\n\n{fenced(block(search, new))}\n"
    yield "heading", f"### 1. `{path}`\n{fenced(block(search, new))}\n"
    yield "doubled-fence", f"File: `{path}`\n```\n```text\n{block(search, new)}\n```\n```\n"
    yield "second-end", f"File: `{path}`\n{fenced(block(search, new))}\n```\n"
    yield "tool-call", json.dumps({"path": path, "old_string": search, "new_string": new}, ensure_ascii=False)
    yield (
        "edits-in-json",
        fenced(json.dumps({"edits": [{"file": path, "search": search, "replace": new}]}, ensure_ascii=False), "json"),
    )
    yield "again-unchanged", named(shape, f"{block(search, search)}\n{block(search, new)}")
    if "/" in path:
        name = path.rpartition("/")[2]
        yield "name-alone", f"File: `{name}`\n{fenced(block(search, new))}\n"
        yield "backslashes", f"File: `{path.replace('/', chr(92))}`\n{fenced(block(search, new))}\n"
    yield from tolerant(key, shape, search, new)
    yield from whole(shape)


def tolerant(key: str, shape: Shape, search: str, new: str) -> Iterator[tuple[str, str]]:
    """Ways that only some files can be written in."""
    if key in TABBED:
        yield "blanks-for-tabs", named(shape, block(search.replace("\t", "    "), new.replace("\t", "    ")))
        yield "two-blanks-for-tabs", named(shape, block(search.replace("\t", "  "), new.replace("\t", "  ")))
    if key in INDENTED:
        yield "outdented", named(shape, block(textwrap.dedent(search), outdented(search, new)))
        yield "indented", named(shape, block(textwrap.indent(search, "    "), textwrap.indent(new, "    ")))
    if any(sign in search for sign in "<>&"):
        yield "escaped", named(shape, block(html.escape(search, quote=False), html.escape(new, quote=False)))
    if '"' in search:
        slashed = [text.replace('"', '\\"') for text in (search, new)]
        yield "backslashed-quotes", named(shape, block(*slashed))
    if '"' in search and "'" not in search + new:
        curved = [text.replace('"', "“") for text in (search, new)]
        yield "curved-quotes", named(shape, block(*curved))
    if key in SLASHED + HASHED and key not in ("yaml", "python", "crlf"):
        spaced = each_line(search, lambda line: line.replace(" = ", "  =  "))
        if spaced != search:
            kept = each_line(new, lambda line: line.replace(" = ", "  =  ") if line in search else line)
            yield "blanks-inside", named(shape, block(spaced, kept))
    if key in COMMENT:
        bare = "".join(f"{line}\n" for line in search.splitlines() if not line.strip().startswith(COMMENT[key].strip()))
        kept = "".join(f"{line}\n" for line in new.splitlines() if not line.strip().startswith(COMMENT[key].strip()))
        yield (
            "comment-left-out",
            named(shape, block(bare, kept))
            if len(bare.splitlines()) > 2
            else named(shape, block(*(text + tail(shape) for text in (bare, kept)))),
        )


def tail(shape: Shape) -> str:
    """The two lines with text that follow the searched ones; they stay."""
    behind = lf(shape.before).partition(lf(shape.search))[2]
    lines = behind.split("\n")
    return "\n".join(lines[:4]) + "\n"


def outdented(search: str, new: str) -> str:
    margin = min(len(line) - len(line.lstrip()) for line in search.splitlines() if line.strip())
    return each_line(new, lambda line: line[margin:]) if new else ""


def whole(shape: Shape) -> Iterator[tuple[str, str]]:
    """The whole file, given badly."""
    after = lf(shape.after)
    after = after if after.endswith("\n") else after + "\n"
    path = shape.path
    yield "whole", f"File: `{path}`\n{fenced(after)}\n"
    yield "whole-updated", f"Updated `{path}`\n{fenced(after)}\n"
    yield "whole-json", json.dumps({"files": [{"path": path, "content": after}]}, ensure_ascii=False)
    yield (
        "whole-call",
        "<tool_call>"
        + json.dumps({"name": "write_file", "arguments": {"path": path, "content": after}}, ensure_ascii=False)
        + "</tool_call>",
    )
    yield "whole-colon", f"```text:{path}\n{after}```\n"
    yield (
        "whole-retold",
        f"File: `{path}`\n{fenced(after)}\n\nWhat changed:\n"
        + fenced(hunk(lf(shape.search), lf(shape.replace)), "diff"),
    )
    if not path.endswith(".md"):
        yield "whole-twice-fenced", f"File: `{path}`\n````\n```text\n{after}```\n````\n"
        yield "whole-doubled-fence", f"File: `{path}`\n```text\n```text\n{after}```\n```\n"
    if path.endswith((".py", ".js", ".ts", ".go", ".rs", ".java", ".c", ".rb", ".sh", ".css", ".sql")):
        yield "whole-numbered", f"File: `{path}`\n{fenced(numbered(after, 1))}\n"
        yield "whole-path-inside", f"File: `{path}`\n```text\n{path}\n{after}```\n"


def refused(key: str, shape: Shape) -> Iterator[tuple[str, str, str]]:
    """Every way in which this change is written so that it may mean another: a word, the answer, the reason."""
    search, new, wrong = lf(shape.search), lf(shape.replace), lf(shape.wrong)
    path = shape.path
    first = search.splitlines()[0]
    yield "something-else", named(shape, block(wrong, new)), "Did you mean"
    yield (
        "something-else-in-diff",
        named(shape, f"--- a/{path}\n+++ b/{path}\n@@ @@\n{hunk(wrong, new)}", "diff"),
        "not in",
    )
    yield "no-divider", f"File: `{path}`\n```\n{SEARCH}\n{search}{REPLACE}\n```\n", "======="
    yield "two-dividers", named(shape, block(search, f"{DIVIDER}\n{new}")), "======="
    yield "cut-off", f"File: `{path}`\n```\n{SEARCH}\n{search}{DIVIDER}\n{new}", "cut off"
    yield "nameless", fenced(block(search, new)), "name"
    yield "outside", f"File: `../{path}`\n{fenced(block(search, new))}\n", "the path"
    yield "absolute", f"File: `/etc/{path}`\n{fenced(block(search, new))}\n", "absolute"
    yield "elsewhere", f"File: `other/{path}`\n{fenced(block(search, new))}\n", "not there"
    yield "other-case", f"File: `{path.swapcase()}`\n{fenced(block(search, new))}\n", "case"
    yield "part-of-a-line", named(shape, block(f"{first.strip()[:-1]}\n", "x\n")), "whole lines"
    yield "dots-in-replacement-only", named(shape, block(search, "# ... existing code ...\n")), "not whole"
    yield (
        "dots-in-search-only",
        named(shape, block(f"{first}\n...\n{search.splitlines()[-1]}\n", new)),
        "leaves lines out",
    )
    yield (
        "dots-the-wrong-way",
        named(
            shape, block(f"{search.splitlines()[-1]}\n...\n{first}\n", f"{search.splitlines()[-1]}x\n...\n{first}\n")
        ),
        "its dots",
    )
    yield "whole-with-dots", f"File: `{path}`\n{fenced(f'{new}# ... rest of the code ...')}\n", "not whole"
    yield "whole-empty", f"File: `{path}`\n```\n```\n", "Delete"
    yield "blank-search", named(shape, block("\n", new)), "blank lines"
    yield "empty-search", named(shape, block("", new)), "exists"
    yield "added-only", named(shape, f"--- a/{path}\n+++ b/{path}\n@@ @@\n+{first}\n", "diff"), "only adds"
    yield "one-of-two", named(shape, f"{block(search, new)}\n{block(wrong, new)}"), "Number 1 would fit"
    yield (
        "renamed-in-diff",
        named(shape, f"--- a/{path}\n+++ b/new/{path}\n@@ @@\n{hunk(search, new)}", "diff"),
        "renames",
    )
    yield "half-numbered", named(shape, block(numbered(first + "\n", 7) + "zz " + search, new)), "not in the file"


def cases() -> Iterator[Case]:
    """All cases, in the order of the file."""
    for key, shape in SHAPES.items():
        files = {shape.path: shape.before}
        after: dict[str, str | None] = {shape.path: shape.after}
        ended: dict[str, str | None] = {
            shape.path: shape.after.removesuffix("\n") + "\n"
        }  # given with its last line end
        for way, answer in accepted(key, shape):
            yield Case(f"{key}/{way}", files, answer, ended if way.startswith("whole") else after)
        for way, answer, word in refused(key, shape):
            yield Case(f"{key}/{way}", files, answer, None, word)
    for each in (*SINGLE, *DEFINITIONS, *WHOLE):
        yield Case(**each)


def rendered() -> str:
    """The corpus as its file holds it."""
    return "".join(json.dumps(asdict(case), ensure_ascii=False) + "\n" for case in cases())


if __name__ == "__main__":
    PLACE.write_text(rendered(), encoding="utf-8", newline="\n")
