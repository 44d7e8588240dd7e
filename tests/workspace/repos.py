"""A real repository to work on, and planted programs that must not run."""

import subprocess
from pathlib import Path

EVIL = """#!/bin/sh
echo "$0 $*" >> "{witness}"
cat
"""


def run_program(*argv: str | Path, cwd: Path, stdin: bytes = b"", check: bool = True) -> bytes:
    """Run a program for a test and return what it wrote."""
    return subprocess.run(argv, cwd=cwd, input=stdin, check=check, capture_output=True).stdout


class Repo:
    """A real repository in a folder of its own, and a witness that says which planted program ran."""

    def __init__(self, root: Path, witness: Path) -> None:
        self.root, self.witness = root, witness
        root.mkdir(parents=True)
        self.git("init", "-q", "-b", "main")
        self.git("config", "user.name", "Tester")
        self.git("config", "user.email", "tester@example.org")

    def git(self, *arguments: str) -> str:
        return run_program("git", *arguments, cwd=self.root).decode("utf-8", "surrogateescape")

    def write(self, path: str, content: str | bytes, *, executable: bool = False) -> Path:
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content.encode() if isinstance(content, str) else content)
        if executable:
            file.chmod(0o755)
        return file

    def commit(self, message: str = "change") -> str:
        self.git("add", "-A")
        self.git("commit", "-q", "-m", message)
        return self.git("rev-parse", "HEAD").strip()

    def plant(self) -> None:
        """Name a witnessing program wherever a repository's configuration can name one."""
        evil = self.witness.parent / "evil.sh"
        evil.write_text(EVIL.format(witness=self.witness))
        evil.chmod(0o755)
        for key in (
            "filter.evil.clean", "filter.evil.smudge", "filter.evil.process", "core.fsmonitor", "diff.external",
            "diff.evil.textconv", "diff.evil.command", "merge.evil.driver", "gpg.program", "core.sshCommand",
            "core.editor", "core.pager", "sequence.editor", "credential.helper", "core.askPass",
            "remote.origin.uploadpack", "uploadpack.packObjectsHook", "alias.ls-files", "alias.commit-tree",
        ):  # fmt: skip
            self.git("config", key, str(evil))
        self.git("config", "commit.gpgSign", "true")
        self.git("config", "protocol.ext.allow", "always")
        hooks = self.root / ".git" / "hooks"
        hooks.mkdir(exist_ok=True)
        for name in (
            "pre-commit", "post-commit", "post-checkout", "post-index-change", "reference-transaction",
            "prepare-commit-msg", "fsmonitor-watchman", "pre-auto-gc", "post-rewrite",
        ):  # fmt: skip
            (hooks / name).write_text(EVIL.format(witness=self.witness))
            (hooks / name).chmod(0o755)

    @property
    def ran(self) -> str:
        """Every planted program that ran, one a line."""
        return self.witness.read_text() if self.witness.exists() else ""
