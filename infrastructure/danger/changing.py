"""Programs that change files, fetch, install or publish. Blocking, as paths are followed.

Owns when one of them only asks, and when it is dangerous: what cannot be taken back, what leaves the workspace or the
machine.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from infrastructure.danger import programs
from infrastructure.danger.around import Surroundings, read_all, write_one
from infrastructure.danger.levels import SAFE, Judgement, asks, dangerous, worst

_TAR_RUNS = tuple(
    programs.words_of(
        "--to-command --checkpoint-action --use-compress-program --rsh-command --rmt-command --info-script"
        " --new-volume-script --unlink-first --absolute-names --recursive-unlink --remove-files --files-from"
    )
)
_TAR_HARMLESS = frozenset({"--file", "--checkpoint"})
"""Whole names, though they begin one of those."""
_TAR_LETTERS = frozenset("IFPT")
"""Short options that run a program, take absolute names, or read further options from a file."""
_TAR_VALUES = "bCfgHKLNTVX"
_TAR_PATHS = frozenset("Cfg")
_CURL_SENDS = frozenset("dFTQ")
_OUTPUTS = tuple(
    programs.words_of(
        "--output --output-dir --output-document --output-file --append-output --directory-prefix --dump-header"
        " --cookie-jar --trace --trace-ascii --stderr --hsts --hsts-file --alt-svc --etag-save --libcurl --save-cookies"
        " --rejected-log --warc-file --warc-tempdir --dir --out --log --save-session"
    )
)
_READS_OPTIONS = ("--config", "--execute", "--use-askpass", "--conf-path")


@dataclass(frozen=True, slots=True)
class _Letters:
    """Short options: those with a value, those whose value is written, those that give options or run a program."""

    values: str
    outputs: str
    rules: str = ""


_LETTERS: Mapping[str, _Letters] = {
    "curl": _Letters("AbcCdDeEFhHKmoPQrtTuUwxXyYz", "oDc", "K"),
    "wget": _Letters("aABDeiIlnoOPQRtTUwX", "oOaP", "e"),
    "aria2c": _Letters("adijklmMoOsStTuUx", "dlo"),
}
_OTHER_LETTERS = _Letters("oOP", "oOP")
_METHODS = frozenset({"POST", "PUT", "DELETE", "PATCH"})
_SENDS = re.compile(
    r"-[A-Za-z]*[dFT]$|-[dFT].|--(data|form|upload|json|post|body|method|request=(POST|PUT|DELETE|PATCH)|mail)"
)


def judge_writer(base: str, words: Sequence[str], around: Surroundings) -> Judgement:
    """A program of `programs.WRITERS`; safe where it is none."""
    if base not in programs.WRITERS:
        return SAFE
    operands = [word for word in words if word and not word.startswith("-")]
    operands += [word.split("=", 1)[1] for word in words if word.startswith("-") and "=" in word]
    if deletes(base, words):
        return dangerous("deletes folders with all that is in them")
    if base == "chmod":
        return _chmod(words, operands, around)
    sources, targets = ([], operands) if base not in programs.COPIERS else (operands[:-1], operands[-1:])
    if base in programs.COPIERS and any(word.startswith(("-t", "--t")) for word in words):
        targets = operands
    found = worst(read_all(sources, around), *(write_one(word, around) for word in targets))
    return found.raised(asks(f"{base} changes files"))


def deletes(base: str, words: Sequence[str]) -> bool:
    """Whether it is a `rm` of whole folders."""
    options = words[: words.index("--")] if "--" in words else words
    return base == "rm" and any(
        (word.startswith("-") and not word.startswith("--") and bool({"r", "R"} & set(word)))
        or (len(word) > 2 and ("--recursive".startswith(word) or "--no-preserve-root".startswith(word)))
        for word in options
    )


def _chmod(words: Sequence[str], operands: Sequence[str], around: Surroundings) -> Judgement:
    if any(word.startswith("--rec") or re.fullmatch(r"-[cfv]*R[cfv]*", word) for word in words):
        return dangerous("changes what everybody may do with all files of a folder")
    mode = operands[0] if operands else ""
    if (
        re.search(r"s|t", mode)
        or re.fullmatch(r"[2467]\d{3}", mode)
        or re.search(r"[2367]$", mode)
        or re.search(r"[oa][^,]*[+=][^,]*w", mode)
    ):
        return dangerous(f"chmod {mode} gives rights to everybody")
    return worst(asks("changes what may be done with files"), *(write_one(word, around) for word in operands[1:]))


def judge_tar(words: Sequence[str], around: Surroundings) -> Judgement:
    """`tar`, which writes what its archive says."""
    for index, word in enumerate(words):
        old = index == 0 and not word.startswith("-")  # `tar xf`: what the letters take are the words after them
        letters = word if old else "".join(_clustered(word, _TAR_VALUES))
        runs = word.split("=")[0] not in _TAR_HARMLESS and _shortens(word, _TAR_RUNS)
        if runs or not _TAR_LETTERS.isdisjoint(letters):
            return dangerous(f"tar {word.split('=')[0]} runs programs or leaves the workspace")
    paths = [word.split("=", 1)[-1] for word in words if not word.startswith("-") or "=" in word]
    paths += [value for letter, value in _short_options(words, _TAR_VALUES) if letter in _TAR_PATHS and value]
    return worst(asks("tar writes files"), *(_outside(word, around) for word in paths))


def _clustered(word: str, values: str) -> Iterator[str]:
    """The short options in a word: its letters, up to the first that takes what comes behind it for its value."""
    if word.startswith("-") and not word.startswith("--"):
        for letter in word[1:]:
            yield letter
            if letter in values:
                return


def _shortens(word: str, options: Sequence[str]) -> bool:
    given = word.split("=")[0]
    return len(given) > 3 and given.startswith("--") and any(option.startswith(given) for option in options)


def _outside(word: str, around: Surroundings) -> Judgement:
    """Dangerous where the word leads out of the workspace."""
    found = write_one(word, around)
    return found if "outside" in found.why or "settings" in found.why else SAFE


def judge_fetcher(base: str, words: Sequence[str], around: Surroundings) -> Judgement:
    """A program of `programs.FETCHERS`: what it sends, and what it writes."""
    letters = _LETTERS.get(base, _OTHER_LETTERS)
    given = list(_short_options(words, letters.values))
    hooks = any(word.startswith("--on-") for word in words)
    if (
        hooks
        or any(_shortens(word, _READS_OPTIONS) for word in words)
        or any(each in letters.rules for each, _ in given)
    ):
        return dangerous(f"{base} takes further options from a file, or runs a program")
    sends = any(_SENDS.match(word) for word in words) or bool(_METHODS & set(words))
    if base == "curl":
        sends = sends or any(each in _CURL_SENDS or (each == "X" and value in _METHODS) for each, value in given)
    if sends or any("@" in word and "://" not in word for word in words):
        return dangerous("sends data to another machine")
    outputs = [value for each, value in given if each in letters.outputs]
    for word, behind in zip(words, (*words[1:], ""), strict=True):
        if _shortens(word, _OUTPUTS):
            outputs.append(word.split("=", 1)[1] if "=" in word else behind)
    return worst(asks("fetches from another machine"), *(_outside(word, around) for word in outputs if word))


def _short_options(words: Sequence[str], values: str) -> Iterator[tuple[str, str]]:
    """The short options with their values, wherever those stand."""
    for index, word in enumerate(words):
        letters = list(_clustered(word, values))
        for letter in letters[:-1]:
            yield letter, ""
        if letters:
            behind = word[len(letters) + 1 :]
            yield letters[-1], behind or "".join(words[index + 1 : index + 2])


def judge_installer(base: str, words: Sequence[str]) -> Judgement:
    """A program that installs or publishes; safe where it does neither."""
    verbs = [word for word in words if not word.startswith("-")]
    if any((base, verb) in programs.PUBLISHERS for verb in verbs[:2]):
        return dangerous(f"{base} {verbs[0]} publishes, or changes who may")
    if base not in programs.INSTALLERS:
        return SAFE
    if {"-g", "--global", "--break-system-packages", "--user", "--system"} & set(words) or "global" in verbs[:1]:
        return dangerous(f"{base} changes what is installed outside the workspace")
    wanted = programs.INSTALLERS[base]
    if not wanted or wanted & set(verbs[:2]) or not verbs:
        return asks(f"{base} brings programs from elsewhere and runs them")
    return SAFE
