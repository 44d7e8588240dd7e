"""Paths that models name."""

from pathlib import PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.answers.paths import folded, is_safe_path, safe_path
from agents.errors import UnusableAnswer

REFUSED = [
    "",
    "..",
    ".",
    "../x",
    "..\\x",
    "/etc/passwd",
    "C:\\x",
    "C:x",
    "C:/x",
    "\\\\host\\s",
    "//host/s",
    "~/x",
    "~root/x",
    "$HOME/x",
    "-rf",
    "a/../../b",
    "a//b",
    "a/./b",
    "./a",
    "a/",
    "a\\..\\b",
    ".git",
    "./.git/config",
    ".git/config",
    "sub/.git/hooks/x",
    ".GIT/config",
    ".Git./config",
    ".git./config",
    ".git /config",
    ".g\u200cit/config",
    "git~1",
    "GIT~2/config",
    ".git::$INDEX_ALLOCATION",
    "con",
    "CON.txt",
    "nul.txt",
    "a/aux",
    "aux.tar.gz",
    "com1",
    "LPT9.log",
    "com¹.txt",
    "conin$",
    "x.",
    "x ",
    " x",
    "a /b",
    "x:ads",
    "a\0b",
    "a\nb",
    "a\tb",
    "a\x1b[31mb",
    "a\x7fb",
    "a\u0085b",
    "a\u2028b",
    "gpj\u202eexe.py",
    "a\u2066b",
    "a\u200fb",
    "\ufeffa.py",
    "a\ud800b",
    "a\ue000b",
    "a*b",
    "a?b",
    "<path>",
    'a"b',
    "a|b",
    "a`b",
    "n" * 300,
    "я" * 200,
    "a/" * 2_500 + "a",
]
TAKEN = [
    "a",
    "a.py",
    "src/app/main.py",
    ".env",
    ".gitignore",
    ".github/workflows/x.yml",
    "git~x",
    "console.py",
    "com10.txt",
    "nullable.py",
    "my file (1).py",
    "__init__.py",
    "routes/[id]/+page.svelte",
    "отчёт/данные.py",
    "报告/数据.py",
    "تقرير.py",
    "a-b/c_d/e+f=g@h,i;j'k&l%m!n#o.txt",
    "n" * 255,
]


@pytest.mark.parametrize("path", REFUSED)
def test_a_path_that_could_leave_the_tree_or_mean_another_file_is_refused(path: str):
    with pytest.raises(UnusableAnswer) as caught:
        safe_path(path)
    assert caught.value.reason.startswith("the path ")
    assert caught.value.hint
    assert len(caught.value.reason) < 500
    assert caught.value.reason.isprintable()


@pytest.mark.parametrize("path", TAKEN)
def test_an_honest_path_is_taken_as_it_is(path: str):
    assert str(safe_path(path)) == path


@given(st.text(max_size=40) | st.text(alphabet="./\\~:gitGIT \0aé", max_size=12))
def test_whatever_is_taken_stays_in_the_tree(text: str):
    if not is_safe_path(text):
        return
    path = safe_path(text)
    assert str(path) == text
    assert not path.is_absolute()
    assert ".." not in path.parts
    assert ".git" not in [part.casefold() for part in path.parts]
    assert PurePosixPath("/root/tree") in (PurePosixPath("/root/tree") / path).parents


def test_case_and_composition_twins_fold_into_one():
    assert folded("A.py") == folded("a.py")
    assert folded("caf\u00e9.py") == folded("cafe\u0301.py")
    assert folded("a.py") != folded("b.py")
