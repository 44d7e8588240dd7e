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
    if known.most is not None and len(operands) > known.most:
        so_far = so_far.raised(asks(f"{base} writes its second file"))
    return so_far.raised(read_all(operands, around)) if known.paths else so_far


def judge_sed(words: Sequence[str], around: Surroundings) -> Judgement:
    """`sed`, which reads where its script only prints or replaces."""
    options = [word for word in words if word.startswith("-")]
    operands = [word for word in words if not word.startswith("-")]
    in_place = any(word.startswith(("--in-place", "--i")) or re.match(r"-[nErsuz]*i", word) for word in options)
    if in_place:
        return worst(asks("sed changes files"), *(write_one(word, around) for word in operands[1:]))
    if (
        set(options) <= {"-n", "-E", "-r", "--quiet", "--silent", "-nE", "-ne", "-e"}
        and options.count("-e") <= 1
        and operands
    ):
        script = operands[0]
        if _SED_PRINTS.fullmatch(script) or _SED_REPLACES.fullmatch(script):
            return read_all(operands[1:], around)
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
