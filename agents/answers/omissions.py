"""Whole files that are not whole.

Owns the recognition of "… rest of the code unchanged …": the commonest way in which a small model loses a file.
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


def omission_in(content: str, before: str) -> str | None:
    """Return the line by which `content` says that it left something out, or None.

    It must look like a comment, hold an ellipsis and one of the known phrases, and not stand in the file already.
    """
    known = {line.strip() for line in before.split("\n")}
    for line in content.split("\n"):
        bare = line.strip()
        if len(bare) > 120 or not bare.startswith(_SIGNS) or not any(each in bare for each in _ELLIPSES):
            continue
        lowered = bare.lower()
        if any(phrase in lowered for phrase in _PHRASES) and bare not in known:
            return bare
    return None
