"""What is known of programs: those that only read, and those that do what cannot be taken back. Data.

Owns the lists. A program that is in none of them is unknown, and asks; so does a known one with an option that is not
listed for it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Reader:
    """A program that changes nothing and runs no other, with these options.

    Attributes:
        letters: Its short options.
        longs: Its long options, without the dashes.
        paths: Whether its operands are files, and so must lie in the workspace.
        most: The most operands it may have; a further one would be written. None where there is no such limit.
    """

    letters: str = ""
    longs: tuple[str, ...] = ()
    paths: bool = True
    most: int | None = None


def words_of(text: str) -> frozenset[str]:
    """The words of a text, as a set."""
    return frozenset(text.split())


def _reader(letters: str = "", longs: str = "", *, paths: bool = True, most: int | None = None) -> Reader:
    return Reader(letters, tuple(longs.split()), paths, most)


_GREP = "ignore-case line-number recursive count files-with-matches files-without-match invert-match word-regexp"
_HASH = _reader("btz", "binary text tag zero")

READERS: Mapping[str, Reader] = {
    "ls": _reader(
        "aAlhrRtS1dFGiksxCpgon", "all almost-all human-readable recursive color reverse directory inode size"
    ),
    "cat": _reader("AbEnstTuv", "number show-all number-nonblank squeeze-blank"),
    "head": _reader("cnqvz", "lines bytes quiet verbose"),
    "tail": _reader("cnqvz", "lines bytes quiet verbose"),
    "wc": _reader("clmwL", "lines words bytes chars max-line-length"),
    "grep": _reader(
        "abcEFGHhilLnoqrsvwxyzPABCmeI",
        _GREP + " regexp only-matching include exclude exclude-dir color context after-context before-context max-count"
        " extended-regexp fixed-strings perl-regexp no-messages quiet with-filename no-filename line-regexp",
    ),
    "rg": _reader(
        "inlcvwxFoeABCmgtTSsuUNHI",
        "ignore-case line-number files-with-matches count invert-match word-regexp only-matching context after-context"
        " before-context max-count fixed-strings glob type type-not hidden no-ignore no-heading heading color files"
        " smart-case"
        " json multiline no-filename with-filename regexp max-depth sort",
    ),
    "sort": _reader("bdfghinrRuVsczmkt", "reverse unique numeric-sort key field-separator ignore-case version-sort"),
    "uniq": _reader("cdfiDuswz", "count repeated unique ignore-case", most=1),
    "cut": _reader("bcdfsnz", "delimiter fields characters bytes only-delimited output-delimiter complement"),
    "tr": _reader("cCdst", "delete squeeze-repeats complement", paths=False),
    "diff": _reader(
        "abBcdeEilNpqstTuUwy", "unified brief side-by-side ignore-all-space ignore-blank-lines color context"
    ),
    "cmp": _reader("bls"),
    "comm": _reader("", "check-order nocheck-order total"),
    "stat": _reader("ctf", "format printf terse"),
    "file": _reader("bi", "brief mime mime-type mime-encoding"),
    "basename": _reader("asz", "multiple suffix", paths=False),
    "dirname": _reader("z", "zero", paths=False),
    "realpath": _reader("emsz", "relative-to canonicalize-existing canonicalize-missing"),
    "readlink": _reader("femnz", "canonicalize"),
    "du": _reader("ahsckmd", "human-readable summarize all max-depth total apparent-size"),
    "df": _reader("hTiakm", "human-readable"),
    "tree": _reader("aLdfhisDFpIPQC", "dirsfirst noreport gitignore"),
    "nl": _reader("abnvwis"),
    "tac": _reader("s"),
    "rev": _reader(),
    "od": _reader("AtxcNjvbdo"),
    "hexdump": _reader("Cnsvbcdox"),
    "strings": _reader("ant"),
    "base64": _reader("dwi", "decode wrap"),
    "fold": _reader("bsw"),
    "column": _reader("tsx", "table separator"),
    "paste": _reader("dsz"),
    "join": _reader("12aeijotvz"),
    "expand": _reader("it"),
    "unexpand": _reader("at"),
    "md5sum": _HASH,
    "sha1sum": _HASH,
    "sha256sum": _HASH,
    "sha512sum": _HASH,
    "cksum": _HASH,
    "echo": _reader("neE", paths=False),
    "printf": _reader(paths=False),
    "pwd": _reader("LP", paths=False),
    "true": _reader(paths=False),
    "false": _reader(paths=False),
    ":": _reader(paths=False),
    "whoami": _reader(paths=False),
    "id": _reader("gGnru", paths=False),
    "uname": _reader("asrvmnpio", paths=False),
    "nproc": _reader("", "all", paths=False),
    "arch": _reader(paths=False),
    "which": _reader("a", paths=False),
    "type": _reader("tpaP", paths=False),
    "seq": _reader("sw", paths=False),
    "sleep": _reader(paths=False, most=1),
    "test": _reader("defsrwxznhL"),
}

_DANGEROUS_GROUPS: Mapping[str, str] = {
    "acts as another user": "sudo doas su pkexec runuser gosu sudoedit visudo chroot nsenter",
    "changes disks or devices": "dd fdisk sfdisk parted mount umount shred wipefs losetup swapon swapoff mkswap"
    " badblocks"
    " cryptsetup hdparm mkfs",
    "stops processes or the machine": "kill pkill killall killall5 skill shutdown reboot halt poweroff telinit",
    "changes what runs by itself": "systemctl service crontab at batch launchctl loginctl initctl update-rc.d"
    " systemd-run",
    "talks to other machines": "ssh scp sftp rsync nc ncat netcat socat telnet ftp tftp rsh rlogin mosh ssh-copy-id"
    " sshfs"
    " sendmail mail mailx",
    "changes the system's own software": "apt apt-get aptitude dpkg dnf yum rpm pacman apk snap flatpak brew port"
    " zypper emerge"
    " nix-env softwareupdate winget choco",
    "reaches beyond the workspace": "docker podman nerdctl kubectl helm terraform tofu pulumi ansible"
    " ansible-playbook aws gcloud"
    " gsutil az gh glab heroku vercel netlify flyctl fly vagrant virsh lxc",
    "changes owners or users": "chown chgrp chattr setfacl setcap useradd usermod userdel groupadd passwd chpasswd"
    " chsh",
    "changes the kernel or the network": "insmod rmmod modprobe sysctl iptables ip6tables nft ip ifconfig route"
    " hostnamectl"
    " setenforce ufw firewall-cmd",
    "handles secrets": "gpg gpg2 security pass secret-tool ssh-keygen ssh-add keychain op",
}
DANGEROUS: Mapping[str, str] = {name: reason for reason, names in _DANGEROUS_GROUPS.items() for name in names.split()}
"""Programs that are dangerous whatever they are given, and what they do."""

WRAPPERS: frozenset[str] = words_of(
    "env xargs nohup nice ionice chrt taskset time timeout stdbuf setsid setarch command builtin exec watch"
    " parallel strace"
    " ltrace flock unshare script busybox toybox unbuffer catchsegv entr caffeinate coproc linux32 linux64 faketime"
    " bwrap"
    " firejail xvfb-run dbus-run-session uv poetry pipenv pdm hatch rye npx bunx pipx uvx find fd fdfind git make"
)
"""Programs that may run the words after them as another command."""
TRANSPARENT: frozenset[str] = frozenset({"time", "command", "nice", "nohup", "timeout", "stdbuf"})
"""Wrappers that do nothing else, and so may stand before a command that a rule covers."""
SHELLS: frozenset[str] = frozenset(
    {"sh", "bash", "zsh", "dash", "ksh", "mksh", "ash", "fish", "csh", "tcsh", "rbash", "pwsh"}
)
INTERPRETERS: frozenset[str] = words_of(
    "python python2 python3 pypy pypy3 perl ruby node nodejs deno bun php lua luajit tclsh osascript Rscript R"
    " julia scala"
    " groovy irb ipython awk gawk mawk nawk"
)
FETCHERS: frozenset[str] = words_of("curl wget http https httpie xh aria2c lynx w3m links")
WRITERS: frozenset[str] = words_of(
    "rm rmdir mv touch mkdir tee truncate unlink chmod cp ln install mkfifo split csplit"
)
"""Programs whose operands are written, moved or deleted; of `cp`, `ln` and `install` the last one."""
COPIERS: frozenset[str] = frozenset({"cp", "ln", "install"})
EVALUATORS: frozenset[str] = frozenset({"eval", "trap", "alias", "source", "."})
"""Builtins whose words are commands once more, or name a file of them."""

INSTALLERS: Mapping[str, frozenset[str]] = {
    name: frozenset(verbs.split())
    for name, verbs in {
        "pip": "install uninstall download wheel",
        "pip3": "install uninstall download wheel",
        "uv": "add remove sync pip tool python",
        "poetry": "add remove install update",
        "pdm": "add remove install update sync",
        "pipenv": "install uninstall sync update",
        "conda": "install create remove update env",
        "mamba": "install create remove update env",
        "npm": "install i ci add update uninstall rebuild link exec init create",
        "pnpm": "install i add update remove link dlx exec create",
        "yarn": "install add upgrade remove link dlx create",
        "bun": "install add remove update link x create",
        "cargo": "install add remove update",
        "go": "install get",
        "gem": "install uninstall update",
        "bundle": "install update add",
        "composer": "install require update remove",
        "npx": "",
        "bunx": "",
        "uvx": "",
        "pipx": "install run inject",
    }.items()
}
"""Package managers, and what of them brings code from elsewhere; all of one that has no list."""
PUBLISHERS: frozenset[tuple[str, str]] = frozenset(
    {
        ("npm", "publish"), ("npm", "unpublish"), ("npm", "deprecate"), ("npm", "login"), ("npm", "token"),
        ("npm", "adduser"), ("npm", "config"), ("pnpm", "publish"), ("yarn", "publish"), ("yarn", "npm"),
        ("cargo", "publish"), ("cargo", "yank"), ("cargo", "login"), ("gem", "push"), ("gem", "yank"),
        ("twine", "upload"), ("poetry", "publish"), ("uv", "publish"), ("hatch", "publish"), ("flit", "publish"),
        ("pip", "config"), ("pip3", "config"),
    }
)  # fmt: skip
"""What sends code out, or changes who may."""

RULING_VARIABLES = words_of(
    "PATH IFS ENV BASH_ENV PROMPT_COMMAND SHELLOPTS BASHOPTS HOME EDITOR VISUAL PAGER LESSOPEN NODE_OPTIONS"
    " PYTHONSTARTUP"
    " PYTHONPATH PYTHONHOME PERL5LIB PERL5OPT RUBYOPT RUBYLIB SHELL MANPAGER JAVA_TOOL_OPTIONS RUSTC_WRAPPER"
)
RULING_PREFIXES = ("LD_", "DYLD_", "GIT_", "BASH_FUNC_")
"""Variables that decide which programs run."""
HARMLESS_VARIABLES = words_of("LC_ALL LANG LANGUAGE TZ NO_COLOR FORCE_COLOR COLUMNS LINES TERM CI")
