"""Which file a block is.

Owns the ways models name one: in the info string, on the line before the fence, in a comment on the first line.
Decides only what was meant; whether the path may be used is `paths`'s decision.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from agents.answers.fences import Block

_LABELS = ("file", "filename", "file name", "path", "filepath", "file path", "файл", "путь", "文件", "文件名", "路径")
_FUNCTION_LABELS = ("function", "functions", "method", "methods", "class", "classes", "definition", "definitions")
_DELETE_LABELS = ("delete", "delete file", "deleted file", "remove file", "удалить", "удалить файл", "删除", "删除文件")
_VERBS = (
    "updated",
    "update",
    "modified",
    "changed",
    "edited",
    "created",
    "creating",
    "new",
    "new file",
    "creating new file",
)
_UNCHANGED = ("(unchanged", "(no change", "(not changed", "(без изменений", "(无需修改", "(无更改")
_INFO_KEYS = frozenset({"path", "file", "filename", "filepath", "title", "name"})
_DOTTED_LANGUAGES = frozenset({"asp.net", "node.js", "vb.net", "vue.js", "react.js", "next.js", "d3.js"})
_PLAIN_NAMES = frozenset(
    {"makefile", "dockerfile", "containerfile", "license", "procfile", "gemfile", "rakefile", "jenkinsfile", "readme"}
)
# What a person types or reads at a terminal: prose before it names what a command works on, not the block.
_TRANSCRIPTS = frozenset(
    {"bash", "sh", "shell", "zsh", "fish", "console", "terminal", "powershell", "cmd", "text", "output", "diff", "log"}
)
_PROSE = frozenset({"markdown", "md", "mdx", "rst", "txt", "csv", "yaml", "yml", "toml", "ini", "gitignore"})
_CODE_SUFFIXES = frozenset(
    {"py", "pyi", "js", "jsx", "mjs", "cjs", "ts", "tsx", "java", "kt", "go", "rs", "c", "h", "cc", "cpp", "hpp", "cs"}
    | {"rb", "php", "swift", "scala", "lua", "sh", "css", "scss", "html", "vue", "sql"}
)
_COMMENTS = (("<!--", "-->"), ("/*", "*/"), ("#", ""), ("//", ""), ("--", ""), (";", ""), ("%", ""))
_MAX_LINE = 4_200  # a path and its decoration


def path_of(block: Block) -> str | None:
    """Return the path that a block bears, as written, or None if it bears none.

    In this order: the info string, the line before, the line before that, the first line inside as a comment.
    """
    inside = block.lines[0] if block.lines else ""
    language = _language(block.info)
    return (
        path_in_info(block.info)
        or next((path for line in reversed(block.before) if (path := path_in_line(line, language))), None)
        or path_in_comment(inside)
    )


def is_named_aside(block: Block) -> bool:
    """Return whether a block bears the path of `path_of` in a sentence or a comment, and not as a label."""
    path = path_of(block)
    labelled = path_in_info(block.info) or path in [_labelled_path(line) for line in block.before]
    return path is not None and not labelled


def names_functions(block: Block) -> bool:
    """Return whether the line before a block says that it holds definitions of a file and not the file."""
    return any(_labelled(line, _FUNCTION_LABELS) is not None for line in block.before)


def is_unchanged(block: Block) -> bool:
    """Return whether the line before a block says that the file in it stays as it is."""
    return bool(block.before) and any(mark in block.before[-1].lower() for mark in _UNCHANGED)


def deleted_path(line: str) -> str | None:
    """Return the path of a line that says nothing but that a file is to be deleted: Delete: `a.py`."""
    if len(line) > _MAX_LINE:
        return None
    path = _labelled(line, _DELETE_LABELS)
    if path is None and line.startswith("*** Delete File:"):
        path = line.partition(":")[2].strip()
    return path


def bare_path(block: Block) -> str | None:
    """Return the path that stands alone on the first line of a block of code, in no comment; no code looks so."""
    if len(block.lines) < 2 or not block.info or _language(block.info) in _TRANSCRIPTS | _PROSE:
        return None
    first, second = block.lines[0].strip(), block.lines[1].strip()
    return first if len(first) <= _MAX_LINE and _is_bare_path(first) and not _is_bare_path(second) else None


def is_code_path(path: str) -> bool:
    """Return whether a path names source code, in which a line is not just any text."""
    return path.rpartition(".")[2].lower() in _CODE_SUFFIXES


def language_of(block: Block) -> str:
    """Return the language that the info string of a block begins with, in lower case; empty where it says none."""
    return _language(block.info)


def is_transcript(block: Block, path: str) -> bool:
    """Return whether a block without a name is something for a terminal and so cannot be the file `path`."""
    language = _language(block.info)
    return language in _TRANSCRIPTS and not path.endswith((".sh", ".bash", ".zsh", ".fish", ".txt", f".{language}"))


def path_in_info(info: str) -> str | None:
    """Return the path in an info string: `python a.py`, `a.py`, `python:a.py`, `python title="a.py"`."""
    if not info or len(info) > _MAX_LINE:
        return None
    keyed = _keyed_path(info)
    if keyed is not None:
        return keyed
    first, _, rest = info.partition(" ")
    before, colon, after = first.partition(":")
    if colon and before and _looks_like_path(after):
        return after if len(before) > 1 else first  # `c:\x` is a drive, refused later as such
    rest = rest.strip()
    if rest:
        return _path_in_rest(rest)
    if first.lower() in _DOTTED_LANGUAGES:
        return None
    return first if _looks_like_path(first) else None


def path_in_line(line: str, language: str = "") -> str | None:
    """Return the path that a line of prose gives to the block after it.

    A label, a heading, emphasis or backticks around a path count, and so does a sentence that ends with a colon and
    holds exactly one path in backticks, unless the block is something for a terminal.
    """
    if len(line) > _MAX_LINE:
        return None
    path = _labelled_path(line)
    if path is None and line.rstrip().endswith((":", "：")) and language not in _TRANSCRIPTS:
        path = _only_quoted_path(line)
    return path


def _labelled_path(line: str) -> str | None:
    """The path of a line that says nothing else, or that a verb such as "Updated" leads."""
    if len(line) > _MAX_LINE:
        return None
    path = _labelled(line, _FUNCTION_LABELS)
    if path is not None:
        return path
    bare, labelled = _without_label(_without_bullet(line.strip()))
    bare = _without_note(bare.rstrip(":：").strip())
    unwrapped = _unwrapped(bare)
    if unwrapped and (labelled or _looks_like_path(unwrapped, marked=unwrapped != bare)):
        return unwrapped
    verb, mark, quoted = bare.partition("`")
    if mark and quoted.endswith("`") and verb.strip().lower() in _VERBS:
        return _only_quoted_path(bare)
    return None


def path_in_comment(line: str) -> str | None:
    """Return the path that a comment consists of: `# a.py`, `// File: a.js`, `<!-- a.html -->`."""
    line = line.strip()
    if len(line) > _MAX_LINE or line.startswith("#!"):
        return None
    for opening, closing in _COMMENTS:
        if line.startswith(opening) and line.endswith(closing):
            inside = line.removeprefix(opening).removesuffix(closing).strip()
            path, _ = _without_label(inside)
            path = _unwrapped(path)
            return path if _looks_like_path(path) else None
    return None


def _language(info: str) -> str:
    return info.partition(" ")[0].partition(":")[0].lower()


def _keyed_path(info: str) -> str | None:
    for key in _INFO_KEYS:
        start = info.find(f"{key}=")
        if start < 0 or (start and info[start - 1] not in " {,"):
            continue
        value = info[start + len(key) + 1 :]
        if value[:1] in ("'", '"'):
            return value[1:].partition(value[0])[0] or None
        return value.partition(" ")[0].rstrip("},") or None
    return None


def _path_in_rest(rest: str) -> str | None:
    """Behind the language: one word that is a path; or several, if the first has a suffix or the rest is quoted."""
    unwrapped = _unwrapped(rest)
    if unwrapped != rest:
        return unwrapped if _looks_like_path(unwrapped, marked=True) else None
    word, _, more = rest.partition(" ")
    if more and not _has_suffix(word):
        return None
    return word if _looks_like_path(word, marked=not more) else None


def _without_bullet(line: str) -> str:
    bare = line.lstrip("#").strip() if line.startswith("#") else line
    number, dot, rest = bare.partition(" ")
    if dot and (number in ("-", "*", "+", "•") or (number[:-1].isdecimal() and number[-1] in ".)")):
        return rest.strip()
    return bare


def _without_label(text: str) -> tuple[str, bool]:
    """Return the text behind `File:` and its like, and whether there was one. Emphasis around the label is gone."""
    bare = text.lstrip("*_")
    for sign in (":", "："):
        label, colon, rest = bare.partition(sign)
        if colon and label.strip("*_ ").lower() in _LABELS:
            return rest.strip("* "), True  # no path holds an asterisk
    return text, False


def _without_note(text: str) -> str:
    """Drop what stands behind a path in brackets, such as `(new)`; a path in quotes keeps all that is its own."""
    if text[:1] in ("`", '"', "'"):
        path, mark, note = text[1:].partition(text[0])
        return f"{text[0]}{path}{mark}" if note.strip().startswith("(") else text
    return text.partition(" (")[0] if text.endswith(")") else text


def _labelled(line: str, labels: tuple[str, ...]) -> str | None:
    """Return the path behind one of the labels, if nothing else stands on the line."""
    bare = _without_bullet(line.strip()).lstrip("*_")
    for sign in (":", "："):
        label, colon, rest = bare.partition(sign)
        if colon and label.strip("*_ ").lower() in labels:
            rest = _without_note(rest.strip("* ").rstrip(":"))
            path = _unwrapped(rest)
            return path if _looks_like_path(path, marked=path != rest) else None
    return None


def _is_bare_path(line: str) -> bool:
    return _looks_like_path(line) and "(" not in line and _has_suffix(line.rpartition("/")[2]) and is_code_path(line)


def _unwrapped(text: str) -> str:
    for mark in ("**", "*", "`", '"', "'", "**"):
        if len(text) > 2 * len(mark) and text.startswith(mark) and text.endswith(mark):
            text = text[len(mark) : -len(mark)].strip(":").strip() if mark != "`" else text[1:-1]
            if mark == "`":
                return text
    return text


def _only_quoted_path(line: str) -> str | None:
    quoted = line.split("`")[1::2]
    paths = [each for each in quoted if _looks_like_path(each)]
    return paths[0] if len(paths) == 1 and len(quoted) == 1 else None


def _looks_like_path(text: str, *, marked: bool = False) -> bool:
    """A suffix or a known name; where the text is marked as something literal, a slash is enough and blanks may be."""
    if not text or "://" in text or (not marked and any(character.isspace() for character in text)):
        return False
    name = text.replace("\\", "/").rpartition("/")[2]
    known = name.lower() in _PLAIN_NAMES
    if name and text.startswith(("/", "../", "~/")):
        return True  # refused later, and said so, rather than passed over
    return known or _has_suffix(name) or (marked and "/" in text.strip("/") and "(" not in text)


def _has_suffix(name: str) -> bool:
    stem, dot, suffix = name.rpartition(".")
    if not dot or not 1 <= len(suffix) <= 16 or not suffix[0].isalpha():
        return False
    return suffix.replace("_", "").replace("-", "").isalnum() and (bool(stem) or len(suffix) > 1) and "(" not in name
