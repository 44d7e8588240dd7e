"""Judging one simple command: what its program would do with these words, in this workspace.

Owns the order of the judgement (what is known to be dangerous first, then what is known to only read; everything else
asks), and the commands that stand within others' words. Programs that read or change are judged in modules of theirs.
Blocking, as paths are followed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence

from infrastructure.danger import programs
from infrastructure.danger.around import Surroundings, program_of, read_all
from infrastructure.danger.changing import deletes, judge_fetcher, judge_installer, judge_tar, judge_writer
from infrastructure.danger.git import judge_git
from infrastructure.danger.levels import SAFE, Judgement, asks, dangerous, worst
from infrastructure.danger.reading import judge_cd, judge_date, judge_reader, judge_sed
from infrastructure.danger.shell import SimpleCommand, Word

MOST_INNER = 6
_DESTRUCTIVE_CODE = re.compile(
    r"rmtree|\brm\s+-|os\.(remove|unlink|system|popen|exec|kill)|unlink|subprocess|child_process|rmSync|rmdir|exec\s*\(|system\s*\("
    r"|socket|urllib|requests\.|http\.client|fetch\(|FileUtils|File\.delete|`"
)
_FIND_READS = programs.words_of(
    "-name -iname -path -ipath -not ! -type -maxdepth -mindepth -size -mtime -mmin -atime -ctime -empty -print"
    " -print0 -ls -o -a"
    " -or -and -prune -regex -iregex -regextype -user -group -perm -newer -readable -writable -executable -depth"
    " -xdev -mount"
    " -links -true -false -quit -wholename ( ) , -P -H"
)
_FIND_RUNS = ("-exec", "-execdir", "-ok", "-okdir")


def judge_command(command: SimpleCommand, around: Surroundings) -> Judgement:
    """Judge a command with its assignments, and with every command that its words hold."""
    so_far = worst(*(_assignment(text) for text in command.assignments))
    if not command.words:
        return so_far.raised(asks("sets variables"))
    name = command.words[0]
    if not name.known or not name.text:
        return so_far.raised(asks("which program it runs is only known when it runs"))
    words = tuple(word.text for word in command.words)
    base, placed = program_of(words[0])
    for word in command.words[1:]:
        if not word.known:
            so_far = so_far.raised(asks(f"what {word.text[:40]} stands for is only known when it runs"))
            if base in programs.FETCHERS or deletes(base, words):
                so_far = so_far.raised(dangerous(f"what {base} is given is only known when it runs"))
    return worst(so_far, placed, _judge(base, words[1:], command, around))


def _judge(base: str, words: Sequence[str], command: SimpleCommand, around: Surroundings) -> Judgement:
    if base in programs.DANGEROUS or base.startswith("mkfs"):
        reason = programs.DANGEROUS.get(base, "changes disks or devices")
        return dangerous(f"{base} {reason}").raised(_inner(base, words, around))
    special = _SPECIAL.get(base)
    if special is not None:
        return special(words, command, around).raised(_inner(base, words, around))
    if base in programs.READERS:
        return judge_reader(base, words, around)
    so_far = worst(
        _shell(base, words, command, around), _interpreter(base, words, command), judge_installer(base, words)
    )
    so_far = worst(so_far, judge_writer(base, words, around), _inner(base, words, around))
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


def _find(words: Sequence[str], command: SimpleCommand, around: Surroundings) -> Judgement:
    so_far = read_all([word for word in words if not word.startswith("-")], around)
    for index, word in enumerate(words):
        if word in _FIND_RUNS:
            inner = [each for each in words[index + 1 :] if each not in {";", "+", "{}"}]
            so_far = worst(so_far, asks("find runs a command for each file"), _any_inner(inner, around))
            if inner and program_of(inner[0])[0] in programs.WRITERS:
                so_far = so_far.raised(dangerous(f"find runs {inner[0]} on each file it comes by"))
        elif word == "-delete":
            so_far = so_far.raised(dangerous("find deletes each file it comes by"))
        elif word.startswith("-fprint") or word == "-fls":
            so_far = so_far.raised(asks("find writes a file"))
        elif word.startswith("-") and word not in _FIND_READS and not word[1:].isdigit():
            so_far = so_far.raised(asks(f"find {word} is not known to be harmless"))
    return so_far


def _evaluator(words: Sequence[str], command: SimpleCommand, around: Surroundings) -> Judgement:
    base = command.words[0].text
    text = " ".join(word.split("=", 1)[-1] if base == "alias" else word for word in words)
    if base in {"source", "."}:
        return asks(f"runs the commands in {' '.join(words[:1])}")
    return asks(f"{base} runs words as commands").raised(around.judge_text(text, around.depth + 1))


def _fetcher(words: Sequence[str], command: SimpleCommand, around: Surroundings) -> Judgement:
    return judge_fetcher(program_of(command.words[0].text)[0], words, around)


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
    if base == "xargs" and any(program_of(word)[0] in {"rm", "mv", "unlink", "truncate"} for word in words):
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
    **dict.fromkeys(("sed", "gsed"), lambda words, command, around: judge_sed(words, around)),
    "git": lambda words, command, around: judge_git(words, around),
    "date": lambda words, command, around: judge_date(words),
    **dict.fromkeys(("cd", "pushd"), lambda words, command, around: judge_cd(words, around)),
    **dict.fromkeys(("tar", "bsdtar", "gtar"), lambda words, command, around: judge_tar(words, around)),
    "env": _env,
    **dict.fromkeys(programs.FETCHERS, _fetcher),
    **dict.fromkeys(programs.EVALUATORS, _evaluator),
}
