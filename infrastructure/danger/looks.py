"""What a text looks like to the person who is asked about it: characters that are not seen, or taken for others. Pure.

Owns which those are. What is asked about must read as it is, else a yes is given to something else.
"""

from __future__ import annotations

import re
import unicodedata

FILLERS = frozenset(
    map(chr, (0x034F, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x2800, 0x3164, 0xFFA0, *range(0x180B, 0x1810)))
) | frozenset(map(chr, (*range(0xFE00, 0xFE10), *range(0xE0100, 0xE01F0))))
"""Letters and marks that have no shape of their own (Unicode's Default_Ignorable_Code_Point, and the empty Braille)."""
_UNSEEN = frozenset({"Cc", "Cf", "Co", "Cn", "Cs", "Zs", "Zl", "Zp"})
_ALIKE = ("CYRILLIC ", "GREEK ", "ARMENIAN ", "CHEROKEE ", "COPTIC ", "LISU ")
"""Scripts with letters that look like Latin ones."""
_WORDS = re.compile(r"[^\W\d_]+")


def hidden(text: str) -> str:
    """The name of the first character that a person would not see, or would take for a space; empty for none."""
    for character in text:
        if character in "\n\t ":
            continue
        if character in FILLERS or unicodedata.category(character) in _UNSEEN:
            return f"U+{ord(character):04X}"
    return ""


def mistakable(text: str) -> str:
    """The name of the first character that a person would take for another one; empty for none.

    That is one that is only another form of an ASCII one, and one of a script with letters like the Latin ones, in a
    word that has these too.
    """
    if text.isascii():
        return ""
    for word in _WORDS.findall(text):
        mixed = any(character.isascii() for character in word)
        for character in word:
            if mixed and unicodedata.name(character, "").startswith(_ALIKE):
                return f"U+{ord(character):04X}"
    return next((f"U+{ord(each):04X}" for each in text if not each.isascii() and _is_form(each)), "")


def _is_form(character: str) -> bool:
    plain = unicodedata.normalize("NFKC", character)
    return len(plain) == 1 and plain.isascii() and plain != " "
