"""Judging one simple command: what its program would do with these words, in this workspace.

Owns the order of the judgement: what is known to be dangerous first, then what is known to only read; everything else
asks. Blocking, as paths are followed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from infrastructure.danger import programs
from infrastructure.danger.git import judge_git
from infrastructure.danger.levels import SAFE, Judgement, asks, dangerous, worst
from infrastructure.danger.places import Workspace, reading, writing
from infrastructure.danger.shell import SimpleCommand, Word

MOST_INNER = 6
_SYSTEM_FOLDERS = ("/bin/", "/usr/bin/", "/usr/local/bin/", "/sbin/", "/usr/sbin/", "/opt/homebrew/bin/")
_DESTRUCTIVE_CODE = re.compile(
    r"rmtree|\brm\s+-|os\.(remove|unlink|system|popen|exec|kill)|unlink|subprocess|child_process|rmSync|rmdir|exec\s*\(|system\s*\("
    r"|socket|urllib|requests\.|http\.client|fetch\(|FileUtils|File\.delete|`"
)
_SED_PRINTS = re.compile(r"(\d+|\$)?(,(\d+|\$))?p")
_SED_REPLACES = re.compile(r"s([/|#,@])(?:(?!\1)[^\\\n]|\\[^\n])*\1(?:(?!\1)[^\\\n]|\\[^\n])*\1[gip0-9]*")
_FIND_READS = programs.words_of(
    "-name -iname -path -ipath -not ! -type -maxdepth -mindepth -size -mtime -mmin -atime -ctime -empty -print"
    " -print0 -ls -o -a"
    " -or -and -prune -regex -iregex -regextype -user -group -perm -newer -readable -writable -executable -depth"
    " -xdev -mount"
    " -links -true -false -quit -wholename ( ) , -P -H"
)
_FIND_RUNS = ("-exec", "-execdir", "-ok", "-okdir")
_TAR_RUNS = tuple(
    programs.words_of(
        "--to-command --checkpoint-action --use-compress-program --rsh-command --rmt-command --info-script"
        " --new-volume-script -I -F --unlink-first -P --absolute-names --recursive-unlink --remove-files"
    )
)
_SENDS = re.compile(
    r"-[A-Za-z]*[dFT]$|-[dFT].|--(data|form|upload|json|post|body|method|request=(POST|PUT|DELETE|PATCH)|mail)"
)


@dataclass(frozen=True, slots=True)
class Surroundings:
    """Where a command is run, and how deep within others.

    Attributes:
        bases: The folders below the workspace that it may be run in; the workspace itself is the empty one.
        judge_text: Judges a whole command line that stands in a word.
    """

    workspace: Workspace
    bases: tuple[str, ...]
    judge_text: Callable[[str, int], Judgement]
    depth: int = 0


def judge_command(command: SimpleCommand, around: Surroundings) -> Judgement:
    """Judge a command with its assignments, and with every command that its words hold."""
    so_far = worst(*(_assignment(text) for text in command.assignments))
    if not command.words:
        return so_far.raised(asks("sets variables"))
    name = command.words[0]
    if not name.known or not name.text:
        return so_far.raised(asks("which program it runs is only known when it runs"))
    words = tuple(word.text for word in command.words)
    base, placed = _program(words[0])
    for word in command.words[1:]:
        if not word.known:
            so_far = so_far.raised(asks(f"what {word.text[:40]} stands for is only known when it runs"))
            if base in programs.FETCHERS or _deletes(base, words):
                so_far = so_far.raised(dangerous(f"what {base} is given is only known when it runs"))
    return worst(so_far, placed, _judge(base, words[1:], command, around))


def _program(word: str) -> tuple[str, Judgement]:
    """The program's name, and what is to be said of where it lies."""
    if "/" not in word:
        return word, SAFE
    base = word.rsplit("/", 1)[1]
    if word.removesuffix(base) in _SYSTEM_FOLDERS:
        return base, SAFE
    return base, asks(f"runs {word}, a program that is not the system's")


def _judge(base: str, words: Sequence[str], command: SimpleCommand, around: Surroundings) -> Judgement:
    if base in programs.DANGEROUS or base.startswith("mkfs"):
        reason = programs.DANGEROUS.get(base, "changes disks or devices")
        return dangerous(f"{base} {reason}").raised(_inner(base, words, around))
    special = _SPECIAL.get(base)
    if special is not None:
        return special(words, command, around).raised(_inner(base, words, around))
    if base in programs.READERS:
        return _reader(base, words, around)
    so_far = worst(_shell(base, words, command, around), _interpreter(base, words, command), _package(base, words))
    so_far = worst(so_far, _written(base, words, around), _inner(base, words, around))
    if so_far != SAFE:
        return so_far
    if base in programs.TRANSPARENT and (inner := _after_wrapper(base, words)):
        return judge_command(_as_command(inner), _deeper(around))
    return asks(f"{base} is not known to be harmless")


def _assignment(text: str) -> Judgement:
    name = re.split(r"\+?=|\[", text, maxsplit=1)[0]
    if name in programs.RULING_VARIABLES or name.startswith(programs.RULING_PREFIXES):
        return dangerous(f"sets {name}, which decides what programs run")
    return asks(f"sets {name}")


# ------------------------------------------------------------------------------------------ programs that read
def _reader(base: str, words: Sequence[str], around: Surroundings) -> Judgement:
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
    return so_far.raised(_read(operands, around)) if known.paths else so_far


def _read(operands: Sequence[str], around: Surroundings) -> Judgement:
    """Whether all of these may be read, wherever the command may be run."""
    return worst(
        *(
            reading(around.workspace.place(word, base), around.workspace)
            for word in operands
            if word and word != "-"
            for base in around.bases
        )
    )


def _find(words: Sequence[str], command: SimpleCommand, around: Surroundings) -> Judgement:
    so_far = _read([word for word in words if not word.startswith("-")], around)
    for index, word in enumerate(words):
        if word in _FIND_RUNS:
            inner = [each for each in words[index + 1 :] if each not in {";", "+", "{}"}]
            so_far = worst(so_far, asks("find runs a command for each file"), _any_inner(inner, around))
            if inner and _program(inner[0])[0] in programs.WRITERS:
                so_far = so_far.raised(dangerous(f"find runs {inner[0]} on each file it comes by"))
        elif word == "-delete":
            so_far = so_far.raised(dangerous("find deletes each file it comes by"))
        elif word.startswith("-fprint") or word == "-fls":
            so_far = so_far.raised(asks("find writes a file"))
        elif word.startswith("-") and word not in _FIND_READS and not word[1:].isdigit():
            so_far = so_far.raised(asks(f"find {word} is not known to be harmless"))
    return so_far


def _sed(words: Sequence[str], command: SimpleCommand, around: Surroundings) -> Judgement:
    options = [word for word in words if word.startswith("-")]
    operands = [word for word in words if not word.startswith("-")]
    in_place = any(word.startswith(("--in-place", "--i")) or re.match(r"-[nErsuz]*i", word) for word in options)
    if in_place:
        return worst(asks("sed changes files"), *(_write(word, around) for word in operands[1:]))
    if (
        set(options) <= {"-n", "-E", "-r", "--quiet", "--silent", "-nE", "-ne", "-e"}
        and options.count("-e") <= 1
        and operands
    ):
        script = operands[0]
        if _SED_PRINTS.fullmatch(script) or _SED_REPLACES.fullmatch(script):
            return _read(operands[1:], around)
    return asks("sed can write files and run programs")


def _git(words: Sequence[str], command: SimpleCommand, around: Surroundings) -> Judgement:
    return judge_git(words)


def _date(words: Sequence[str], command: SimpleCommand, around: Surroundings) -> Judgement:
    known = all(word.startswith("+") or word in {"-u", "-I", "-R", "--utc", "--iso-8601"} for word in words)
    return SAFE if known else asks("date can set the clock or read files")


def _cd(words: Sequence[str], command: SimpleCommand, around: Surroundings) -> Judgement:
    targets = [word for word in words if word not in {"--", "-P", "-L"}]
    if len(targets) != 1 or targets[0] == "-":
        return asks("changes to a folder that is only known when it runs")
    return _read(targets, around)


# ---------------------------------------------------------------------------------- programs that change or run
def _write(word: str, around: Surroundings) -> Judgement:
    return worst(*(writing(around.workspace.place(word, base), around.workspace) for base in around.bases))


def _written(base: str, words: Sequence[str], around: Surroundings) -> Judgement:
    if base not in programs.WRITERS:
        return SAFE
    operands = [word for word in words if word and not word.startswith("-")]
    operands += [word.split("=", 1)[1] for word in words if word.startswith("-") and "=" in word]
    if _deletes(base, words):
        return dangerous("deletes folders with all that is in them")
    if base == "chmod":
        return _chmod(words, operands, around)
    sources, targets = ([], operands) if base not in programs.COPIERS else (operands[:-1], operands[-1:])
    if base in programs.COPIERS and any(word.startswith(("-t", "--t")) for word in words):
        targets = operands
    found = worst(_read(sources, around), *(_write(word, around) for word in targets))
    return found.raised(asks(f"{base} changes files"))


def _deletes(base: str, words: Sequence[str]) -> bool:
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
    return worst(asks("changes what may be done with files"), *(_write(word, around) for word in operands[1:]))


def _tar(words: Sequence[str], command: SimpleCommand, around: Surroundings) -> Judgement:
    for word in words:
        if any(word.startswith(option) for option in _TAR_RUNS) or _shortens(word, _TAR_RUNS):
            return dangerous(f"tar {word.split('=')[0]} runs programs or leaves the workspace")
    paths = [word.split("=", 1)[-1] for word in words if not word.startswith("-") or "=" in word]
    return worst(asks("tar writes files"), *(_outside(word, around) for word in paths))


def _shortens(word: str, options: Sequence[str]) -> bool:
    given = word.split("=")[0]
    return len(given) > 3 and given.startswith("--") and any(option.startswith(given) for option in options)


def _outside(word: str, around: Surroundings) -> Judgement:
    """Dangerous where the word leads out of the workspace."""
    found = _write(word, around)
    return found if "outside" in found.why or "settings" in found.why else SAFE


def _fetch(words: Sequence[str], command: SimpleCommand, around: Surroundings) -> Judgement:
    sends = any(_SENDS.match(word) for word in words) or bool({"POST", "PUT", "DELETE", "PATCH"} & set(words))
    if sends or any("@" in word and "://" not in word for word in words):
        return dangerous("sends data to another machine")
    outputs = [words[index + 1] for index, word in enumerate(words[:-1]) if word in {"-o", "-O", "-P", "--output"}]
    return worst(asks("fetches from another machine"), *(_outside(word, around) for word in outputs))


def _evaluator(words: Sequence[str], command: SimpleCommand, around: Surroundings) -> Judgement:
    base = command.words[0].text
    text = " ".join(word.split("=", 1)[-1] if base == "alias" else word for word in words)
    if base in {"source", "."}:
        return asks(f"runs the commands in {' '.join(words[:1])}")
    return asks(f"{base} runs words as commands").raised(around.judge_text(text, around.depth + 1))


def _shell(base: str, words: Sequence[str], command: SimpleCommand, around: Surroundings) -> Judgement:
    """A shell: what it is told to run is judged, what it would read from elsewhere cannot be."""
    if base not in programs.SHELLS:
        return SAFE
    so_far = asks(f"{base} runs commands")
    for text in command.given:
        so_far = so_far.raised(around.judge_text(text, around.depth + 1))
    for index, word in enumerate(words[:-1]):
        if re.fullmatch(r"[-+][A-Za-z]*c[A-Za-z]*|--command|-Command", word):
            return so_far.raised(around.judge_text(words[index + 1], around.depth + 1))
    if command.piped and not any(not word.startswith("-") for word in words):
        return dangerous(f"{base} runs whatever another command writes")
    return so_far


def _interpreter(base: str, words: Sequence[str], command: SimpleCommand) -> Judgement:
    if re.sub(r"[\d.]+$", "", base) not in programs.INTERPRETERS and base not in programs.INTERPRETERS:
        return SAFE
    if command.piped and not [word for word in words if word != "-"] and "awk" not in base:
        return dangerous(f"{base} runs whatever another command writes")
    for text in (*command.given, *(word for word in words if not word.startswith("-") or len(word) > 2)):
        if _DESTRUCTIVE_CODE.search(text) and not re.fullmatch(r"[\w./-]+", text):
            return dangerous("its code deletes files, starts programs or talks to other machines")
    return asks(f"{base} runs code that is not judged")


def _package(base: str, words: Sequence[str]) -> Judgement:
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


def _env(words: Sequence[str], command: SimpleCommand, around: Surroundings) -> Judgement:
    settings = [word for word in words if re.match(r"[A-Za-z_][A-Za-z0-9_]*=", word)]
    so_far = worst(asks("env shows or changes the environment"), *(_assignment(text) for text in settings))
    for index, word in enumerate(words):
        if word.startswith(("-S", "--split-string", "--s", "-vS")):
            text = word.split("=", 1)[-1].removeprefix("-S").removeprefix("-vS") or " ".join(
                words[index + 1 : index + 2]
            )
            so_far = so_far.raised(around.judge_text(text, around.depth + 1))
    return so_far


# ------------------------------------------------------------------------------------ commands within commands
def _inner(base: str, words: Sequence[str], around: Surroundings) -> Judgement:
    """What the words of a wrapper may run. Which word begins the inner command is not asked: each is tried."""
    if base not in programs.WRAPPERS and base not in programs.DANGEROUS:
        return SAFE
    if base in {"find", "git", "make"}:
        return SAFE  # they are judged by their own words
    found = _any_inner(words, around)
    if base == "xargs" and any(_program(word)[0] in {"rm", "mv", "unlink", "truncate"} for word in words):
        found = found.raised(dangerous("xargs deletes or moves whatever it is told to"))
    return found


def _any_inner(words: Sequence[str], around: Surroundings) -> Judgement:
    """The most dangerous command that begins at any of the words; one that only asks says nothing here."""
    if around.depth >= MOST_INNER:
        return asks("it holds too many commands within each other")
    found = SAFE
    for index in range(min(len(words), 40)):
        if words[index].startswith("-") and " " not in words[index]:
            continue
        judged = judge_command(_as_command(words[index:]), _deeper(around))
        if judged.level.rank == 2:
            return judged
        if " " in words[index]:
            found = found.raised(around.judge_text(words[index], around.depth + 1))
    return found


def _after_wrapper(base: str, words: Sequence[str]) -> Sequence[str]:
    """The command that a plain wrapper runs; nothing where it has options that are not known."""
    rest = list(words)
    if base == "timeout" and rest and re.fullmatch(r"\d+(\.\d+)?[smhd]?", rest[0]):
        rest = rest[1:]
    elif base not in {"time", "command"}:
        return ()
    return () if not rest or rest[0].startswith("-") else rest


def _as_command(words: Sequence[str]) -> SimpleCommand:
    return SimpleCommand(words=tuple(Word(word) for word in words))


def _deeper(around: Surroundings) -> Surroundings:
    return Surroundings(around.workspace, around.bases, around.judge_text, around.depth + 1)


_Special = Callable[[Sequence[str], SimpleCommand, Surroundings], Judgement]
_SPECIAL: Mapping[str, _Special] = {
    "find": _find,
    "sed": _sed,
    "gsed": _sed,
    "git": _git,
    "date": _date,
    "cd": _cd,
    "pushd": _cd,
    "tar": _tar,
    "bsdtar": _tar,
    "gtar": _tar,
    "env": _env,
    **dict.fromkeys(programs.FETCHERS, _fetch),
    **dict.fromkeys(programs.EVALUATORS, _evaluator),
}
