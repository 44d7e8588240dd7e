"""Programs that are known to only read, as long as their options are known too. Blocking, as paths are followed.

Owns what makes one of them more than a reader: an option that writes or runs, a path that leads out of the workspace.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from infrastructure.danger import programs
from infrastructure.danger.around import Surroundings, read_all, write_one
from infrastructure.danger.levels import SAFE, Judgement, asks, worst

_SED_PRINTS = re.compile(r"(\d+|\$)?(,(\d+|\$))?p")
_SED_REPLACES = re.compile(r"s([/|#,@])(?:(?!\1)[^\\\n]|\\[^\n])*\1(?:(?!\1)[^\\\n]|\\[^\n])*\1[gip0-9]*")

_SED_OPTIONS = re.compile(r"-[nErsz]+|--quiet|--silent")
_SED_GIVES = re.compile(r"(?:-[nErsz]*e|--expression=)((?s:.*))")


def judge_reader(base: str, words: Sequence[str], around: Surroundings) -> Judgement:
    """A program of `programs.READERS`, with these words."""
    known = programs.READERS[base]
    letters = frozenset(known.letters) | frozenset("0123456789")
    operands: list[str] = []
    so_far, ended = SAFE, False
    for word in words:
        if ended or not word.startswith("-") or word == "-":
            operands.append(word)
        elif word == "--":
            ended = True
        elif word.startswith("--"):
            option, _, value = word[2:].partition("=")
            if option not in known.longs:
                so_far = so_far.raised(asks(f"{base} {word} is not known to be harmless"))
            operands += [value] if value else []
        elif not (letters | frozenset(",:;.+=|")).issuperset(word[1:]) or word[1] not in letters:
            so_far = so_far.raised(asks(f"{base} {word} is not known to be harmless"))
    if base == "strings" and any(word.startswith("@") for word in operands):
        so_far = so_far.raised(asks("strings takes further words from a file"))
    if known.most is not None and len(operands) > known.most:
        so_far = so_far.raised(asks(f"{base} writes its second file"))
    return so_far.raised(read_all(operands, around)) if known.paths else so_far


def judge_sed(words: Sequence[str], around: Surroundings) -> Judgement:
    """`sed`, which reads where each of its scripts only prints or replaces.

    Its first operand is a script only where no option gives one; then it is a file, wherever it stands.
    """
    scripts: list[str] = []
    operands: list[str] = []
    known, in_place = True, False
    rest = list(words)
    while rest:
        word = rest.pop(0)
        if word == "--":
            operands += rest
            break
        if not word.startswith("-") or word == "-":
            operands.append(word)
            continue
        in_place = in_place or bool(word.startswith(("--in-place", "--i")) or re.match(r"-[nErsuz]*i", word))
        given = _SED_GIVES.fullmatch(word)
        if given is not None:
            scripts.append(given[1] or (rest.pop(0) if rest else ""))
        elif not _SED_OPTIONS.fullmatch(word):
            known = False
    files = operands if scripts else operands[1:]
    if in_place:
        return worst(asks("sed changes files"), *(write_one(word, around) for word in files))
    scripts = scripts or operands[:1]
    if known and scripts and all(_SED_PRINTS.fullmatch(each) or _SED_REPLACES.fullmatch(each) for each in scripts):
        return read_all(files, around)
    return asks("sed can write files and run programs")


def judge_date(words: Sequence[str]) -> Judgement:
    """`date`, which can set the clock."""
    known = all(word.startswith("+") or word in {"-u", "-I", "-R", "--utc", "--iso-8601"} for word in words)
    return SAFE if known else asks("date can set the clock or read files")


def judge_cd(words: Sequence[str], around: Surroundings) -> Judgement:
    """A change of folder."""
    targets = [word for word in words if word not in {"--", "-P", "-L"}]
    if len(targets) != 1 or targets[0] == "-":
        return asks("changes to a folder that is only known when it runs")
    return read_all(targets, around)
