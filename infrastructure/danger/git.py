"""What a git command does to the repository, and beyond it. Blocking, as paths are followed.

Owns the table of subcommands. An operand may be a file, wherever it lies: where there is no repository, `git diff`
compares any two. A global option that can run a program, or leads to another repository, counts whatever
the subcommand is.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence

from infrastructure.danger.around import Surroundings, read_all
from infrastructure.danger.levels import SAFE, Judgement, asks, dangerous
from infrastructure.danger.programs import words_of

_READS: frozenset[str] = words_of(
    "status log diff show rev-parse ls-files blame describe shortlog cat-file name-rev merge-base count-objects"
    " whatchanged"
    " ls-tree rev-list cherry version help"
)
_READ_LETTERS = frozenset("abcdhilmnpqrstuvwzLSGC0123456789.,:^+-") - {"O"}
_READ_LONGS: frozenset[str] = words_of(
    "--oneline --stat --short --porcelain --branch --name-only --name-status --graph --all --decorate --cached --staged"
    " --no-color --color --numstat --shortstat --patch --no-patch --since --until --author --grep --max-count"
    " --pretty --format"
    " --abbrev-commit --follow --no-merges --merges --first-parent --reverse --date --unified --word-diff"
    " --ignore-all-space"
    " --summary --show-toplevel --abbrev-ref --is-inside-work-tree --verify --tags --always --dirty"
    " --untracked-files --ignored"
    " --others --exclude-standard --modified --deleted --stage --list --contains --no-pager --no-ext-diff --no-textconv"
    " --no-renames --find-renames --diff-filter --full-index --raw --check --left-right --cherry-pick --quiet"
    " --count --parents"
    " --show-current --verbose --remotes --merged --no-merged --sort --get --get-all --name-status --minimal --patience"
    " --histogram --compact-summary --dirstat --skip --simplify-by-decoration --topo-order --date-order --long"
    " --is-ancestor"
)
_TEXTS = words_of("--grep --author --since --until --format --pretty --date --diff-filter")
"""Those whose value, behind a `=`, names no file."""
_VERIFIES = re.compile(r"--(format|pretty)=.*%[-+ ]*G", re.DOTALL)
"""A form that shows signatures, for which git runs the program that its settings name."""
_LISTS: Mapping[str, frozenset[str]] = {
    "branch": words_of(
        "-a -r -v -vv --list --all --remotes --verbose --show-current --merged --no-merged --sort --contains"
    ),
    "tag": words_of("-l -n --list --sort --contains"),
    "remote": words_of("-v --verbose"),
    "stash": frozenset({"list"}),
    "worktree": frozenset({"list"}),
    "config": words_of("--get --get-all --list -l"),
}
"""Subcommands that only tell, as long as they are given one of these; options alone, or one and an operand."""
_CHANGES: Mapping[str, str] = {
    name: what
    for what, names in {
        "changes files or history": "add commit checkout switch restore stash merge rebase cherry-pick revert tag"
        " branch mv rm"
        " apply am worktree reset init notes bisect sparse-checkout",
        "talks to another machine": "fetch pull clone ls-remote submodule remote archive bundle lfs",
    }.items()
    for name in names.split()
}
_RUINS: Mapping[str, str] = {
    "push": "sends commits to another machine",
    "clean": "deletes files that git does not keep",
    "filter-branch": "rewrites history",
    "filter-repo": "rewrites history",
    "update-ref": "changes what branches point to",
    "reflog": "can delete what lost commits are found by",
    "gc": "can delete lost commits",
    "prune": "deletes lost commits",
    "replace": "changes what commits say",
    "send-email": "sends mail",
    "daemon": "serves the repository",
    "instaweb": "serves the repository",
    "credential": "handles passwords",
    "credential-store": "handles passwords",
    "svn": "talks to another machine",
    "p4": "talks to another machine",
}

_RUNNING_SETTINGS = words_of(
    "hook alias core. pager editor filter. diff. merge. credential ssh url. exec gpg include protocol remote."
    " uploadpack receivepack sequence submodule browser man."
)
"""Parts of the names of settings that can make git run a program."""


def judge_git(words: Sequence[str], around: Surroundings) -> Judgement:
    """Judge `git` with these words after its name."""
    rest = list(words)
    so_far = SAFE
    while rest and rest[0].startswith("-"):
        option = rest.pop(0)
        so_far = so_far.raised(_global(option, rest))
        if option in {"-c", "-C", "--git-dir", "--work-tree", "--exec-path", "--config-env", "--namespace"} and rest:
            rest.pop(0)
    if not rest:
        return so_far
    name, arguments = rest[0], rest[1:]
    return so_far.raised(_subcommand(name, arguments, around))


def _global(option: str, rest: Sequence[str]) -> Judgement:
    if option in {"--no-pager", "--version", "--help", "-P", "--no-optional-locks", "--literal-pathspecs"}:
        return SAFE
    if option.startswith(("-c", "--config-env")):
        what = rest[0] if option in {"-c", "--config-env"} and rest else option
        return dangerous(f"sets {what.split('=')[0]} of git for this command, which can run programs")
    if option.startswith("--exec-path"):
        return dangerous("takes git's own programs from elsewhere")
    return asks("works on another repository than the workspace's")


def _subcommand(name: str, arguments: Sequence[str], around: Surroundings) -> Judgement:
    if name == "clean" and any(_is(word, "-n", "--dry-run") for word in arguments):
        return asks("looks what git clean would delete")
    if name in _RUINS:
        return dangerous(f"git {name} {_RUINS[name]}")
    if name in _READS:
        return _reads(name, arguments).raised(read_all(_named(arguments), around))
    if name in _LISTS and _only_lists(name, arguments):
        return SAFE
    if name == "config":
        return _config(arguments)
    for special in _SPECIAL.get(name, ()):
        found = special(arguments)
        if found is not None:
            return found
    if name in _CHANGES:
        return asks(f"git {name} {_CHANGES[name]}")
    return asks(f"git {name} is not known: it may be an alias, which can run programs")


def _reads(name: str, arguments: Sequence[str]) -> Judgement:
    for word in arguments:
        if word == "--":
            break
        if _VERIFIES.match(word):
            return asks(f"git {name} {word} runs a program that looks at signatures")
        if word.startswith("--") and word.split("=")[0] not in _READ_LONGS:
            return asks(f"git {name} {word} is not known to be harmless")
        if word.startswith("-") and not word.startswith("--") and not _READ_LETTERS.issuperset(word):
            return asks(f"git {name} {word} is not known to be harmless")
    return SAFE


def _named(arguments: Sequence[str]) -> list[str]:
    """What the operands may name: files, and files of a commit, which stand behind its name and a colon."""
    ended = arguments.index("--") if "--" in arguments else len(arguments)
    operands = [word for index, word in enumerate(arguments) if index > ended or not word.startswith("-")]
    options = (word.split("=", 1) for word in arguments[:ended] if word.startswith("--") and "=" in word)
    operands += [value for option, value in options if option not in _TEXTS]
    return [part for word in operands for part in dict.fromkeys((word, word.rpartition(":")[2]))]


def _only_lists(name: str, arguments: Sequence[str]) -> bool:
    if not arguments:
        return name in {"branch", "tag", "remote"}
    known = _LISTS[name]
    if name in {"branch", "remote"}:
        return all(word.split("=")[0] in known for word in arguments)
    further = arguments[1:]
    return (
        arguments[0].split("=")[0] in known
        and len(further) <= 1
        and not any(word.startswith("-") and word not in known for word in further)
    )


def _config(arguments: Sequence[str]) -> Judgement:
    text = " ".join(arguments).casefold()
    if any(_is(word, "-f", "--file", "--global", "--system") for word in arguments):
        return dangerous("changes git's settings outside the workspace")
    if any(part in text for part in _RUNNING_SETTINGS):
        return dangerous("changes a setting of git that can run programs")
    return asks("changes a setting of git")


def _reset(arguments: Sequence[str]) -> Judgement | None:
    if any(_is(word, "--hard", "--merge", "--keep") for word in arguments):
        return dangerous("git reset --hard throws changes away")
    return None


def _checkout(arguments: Sequence[str]) -> Judgement | None:
    if any(_is(word, "-f", "--force", "--discard-changes") for word in arguments):
        return dangerous("throws changes away")
    if "--" in arguments or "." in arguments or any(_is(word, "--pathspec-from-file") for word in arguments):
        return dangerous("throws changes of files away")
    return None


def _restore(arguments: Sequence[str]) -> Judgement | None:
    if any(_is(word, "--staged") for word in arguments) and not any(
        _is(word, "-W", "--worktree") for word in arguments
    ):
        return None
    return dangerous("throws changes of files away")


def _branch(arguments: Sequence[str]) -> Judgement | None:
    if any(_is(word, "-D", "-M", "-C", "-f", "--force", "-d", "--delete") for word in arguments):
        return dangerous("deletes or moves branches")
    return None


def _stash(arguments: Sequence[str]) -> Judgement | None:
    return dangerous("throws stashed changes away") if {"drop", "clear"} & set(arguments) else None


def _running(arguments: Sequence[str]) -> Judgement | None:
    if any(_is(word, "-x", "--exec", "--upload-pack", "-u", "--receive-pack", "--remote") for word in arguments):
        return dangerous("has git run a program")
    if "foreach" in arguments or "run" in arguments[:1]:
        return dangerous("has git run a program")
    if any("ext::" in word for word in arguments):
        return dangerous("has git run a program as its transport")
    return None


_Special = Callable[[Sequence[str]], "Judgement | None"]
_SPECIAL: Mapping[str, tuple[_Special, ...]] = {
    "reset": (_reset,),
    "checkout": (_checkout,),
    "switch": (_checkout,),
    "restore": (_restore,),
    "branch": (_branch,),
    "tag": (_branch,),
    "stash": (_stash,),
    "rebase": (_running,),
    "bisect": (_running,),
    "submodule": (_running,),
    "fetch": (_running,),
    "pull": (_running,),
    "clone": (_running,),
    "archive": (_running,),
    "ls-remote": (_running,),
    "worktree": (_branch, _running),
}


def _is(word: str, *options: str) -> bool:
    """Whether a word is one of these options, a cluster with it, or a shortened long one, which git accepts."""
    for option in options:
        if option.startswith("--"):
            given = word.split("=")[0]
            if len(given) > 2 and given.startswith("--") and option.startswith(given):
                return True
        elif word.startswith("-") and not word.startswith("--") and option[1] in word:
            return True
    return False
