"""Lines that stand for others.

Owns the recognition of "… rest of the code unchanged …": the commonest way in which a small model loses a file, and of
the dots by which a search leaves its middle out.
"""

from __future__ import annotations

_PHRASES = (
    "existing code",
    "rest of the code",
    "rest of the file",
    "rest of code",
    "rest of file",
    "remaining code",
    "code remains",
    "remains unchanged",
    "same as before",
    "code unchanged",
    "other methods",
    "other functions",
    "остальной код",
    "остальная часть",
    "без изменений",
    "существующий код",
    "其余代码",
    "其他代码",
    "现有代码",
    "保持不变",
)
_SIGNS = ("#", "//", "/*", "--", "<!--", ";", "%", "{/*", "...", "…", "(", "[")
_ELLIPSES = ("...", "…")
_COMMENT_SIGNS = "#/*-<!>;%{}() \t"


def omission_in(content: str, before: str) -> str | None:
    """Return the line by which `content` says that it left something out, or None.

    It must look like a comment, hold an ellipsis and one of the known phrases, and not stand in the file already. In a
    file that was there, a comment of dots alone says so too.
    """
    known = {line.strip() for line in before.split("\n")}
    for line in content.split("\n"):
        bare = line.strip()
        if bare not in known and (_says_so(bare) or (before and is_dotted_comment(bare))):
            return bare
    return None


def is_elision(line: str) -> bool:
    """Return whether a line of a search stands for lines that it leaves out: dots, in a comment or not."""
    bare = line.strip()
    return bare in _ELLIPSES or is_dotted_comment(bare) or _says_so(bare)


def is_dotted_comment(bare: str) -> bool:
    """Return whether a line is a comment of dots and nothing else."""
    return len(bare) <= 20 and bare not in _ELLIPSES and bare.strip(_COMMENT_SIGNS) in _ELLIPSES


def _says_so(bare: str) -> bool:
    if len(bare) > 120 or not bare.startswith(_SIGNS) or not any(each in bare for each in _ELLIPSES):
        return False
    lowered = bare.lower()
    return any(phrase in lowered for phrase in _PHRASES)
