"""What is found in one file, of each language."""

from __future__ import annotations

import pytest

from infrastructure.workspace.mapping.languages import LANGUAGES, fingerprint, language_of
from infrastructure.workspace.mapping.parsing import SIGNATURE_CHARACTERS, ParseTooLong, tags_of
from infrastructure.workspace.mapping.skipping import is_foreign, is_source
from infrastructure.workspace.mapping.tags import FileTags, dump_tags, load_tags

PYTHON = b'''"""Prose names Nothing."""
import os
LIMIT: int = 3

@decorated
class Store(Base, metaclass=Meta):
    """Prose."""

    def rows(self, since: date = TODAY, *,
             most: int) -> list[Row]:
        def inner(): pass
        return f"{os.getcwd()} prose_in_string"

    class Inner:
        def deep(self): ...

async def load(path): pass  # prose_in_comment
'''
SAMPLES = {
    "python": (PYTHON, ["LIMIT", "Store", ".rows", ".Inner", "..deep", "load"]),
    "javascript": (
        (
            b"const A = 1; export const f = (a) => { const b = 1 }; class C { m(x) {} }; exports.z = function () {};"
            b"export default function main() { function inner() {} }"
        ),
        ["A", "f", "C", ".m", "z", "main"],
    ),
    "typescript": (
        b"export interface I { m(a: string): void }\ntype T = A;\nenum E { X }\nabstract class K { abstract q(): N }",
        ["I", ".m", "T", "E", "K", ".q"],
    ),
    "tsx": (b"export function App({a}: P) { return <div>{a}</div> }", ["App"]),
    "go": (
        b"package p\nconst A = 1\ntype S struct{}\ntype I interface { Do() }\nfunc (s *S) Run() {}\nfunc F() {}",
        ["A", "S", "I", ".Do", "Run", "F"],
    ),
    "rust": (
        b"struct S; trait T { fn a(&self); } impl T for S { fn a(&self) {} } const C: i32 = 1; fn run() { fn x() {} }",
        ["S", "T", ".a", "S", ".a", "C", "run"],
    ),
    "java": (
        b"class A extends B { static final int K = 1; int z; A(int a) {} void m() {} interface I {} }",
        ["A", ".K", ".A", ".m", ".I"],
    ),
    "c": (
        b"#define N 1\nstruct s { int a; };\nstatic int *f(int a) { return 0; }\nint proto(void);\nint variable;",
        ["N", "s", "f", "proto"],
    ),
    "cpp": (
        b"namespace ns { class A { int m() const { return 1; } virtual void v() = 0; }; }\nint ns::A::run(int a) {}",
        ["ns", ".A", "..m", "..v", "run"],
    ),
    "ruby": (
        b"module M\n  class A < B\n    K = 1\n    def m(a)\n    end\n    def self.s; end\n  end\nend",
        ["M", ".A", "..K", "..m", "..s"],
    ),
    "bash": (b"NAME=1\nfoo() { x=1; }\nfunction bar { :; }", ["NAME", "foo", "bar"]),
}


def outline(tags: FileTags) -> list[str]:
    return ["." * each.depth + each.name for each in tags.definitions]


def test_every_language_has_a_sample():
    assert sorted(SAMPLES) == sorted(LANGUAGES)


@pytest.mark.parametrize("language", LANGUAGES)
def test_definitions_are_found_and_what_is_local_is_not(language: str):
    text, expected = SAMPLES[language]
    assert outline(tags_of(text, language)) == expected


def test_signature_is_one_line_without_the_body():
    found = {each.name: each for each in tags_of(PYTHON, "python").definitions}
    assert found["rows"].signature == "def rows(self, since: date = TODAY, *, most: int) -> list[Row]"
    assert found["rows"].line == 9
    assert found["Store"].signature == "class Store(Base, metaclass=Meta)"
    assert found["load"].signature == "async def load(path)"


def test_names_are_used_in_code_and_not_in_prose():
    used = tags_of(PYTHON, "python").used
    assert {"decorated", "Base", "Row", "getcwd"} <= used.keys()
    assert not {"Nothing", "prose_in_string", "prose_in_comment"} & used.keys()


def test_long_signature_is_cut_and_holds_no_control_characters():
    text = b"def f(" + b"a" * 1000 + b"): pass\nX = '\x1b[2J'\n"
    for each in tags_of(text, "python").definitions:
        assert len(each.signature) <= SIGNATURE_CHARACTERS
        assert each.signature.isprintable()


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize(
    "text",
    [b"", b"\xff\xfe\x00", b"(((((" * 2000, b"{[" * 5000, "def ф(ы): pass\nclass 名: pass\n".encode(), b"x" * 100_000],
    ids=["empty", "bytes", "parentheses", "brackets", "unicode", "word"],
)
def test_any_text_is_taken(language: str, text: bytes):
    tags = tags_of(text, language, seconds=30)
    assert load_tags(dump_tags(tags)) == tags


def test_parsing_ends_with_its_time():
    with pytest.raises(ParseTooLong):
        tags_of(b"x = [1, 2, 3]\n" * 20_000, "python", seconds=0)


@pytest.mark.parametrize("content", [b"", b"nonsense", dump_tags(FileTags())[:-5]])
def test_damaged_tags_are_an_error_of_one_kind(content: bytes):
    with pytest.raises(ValueError):  # noqa: PT011 - any of its kind
        load_tags(content)


def test_each_language_has_a_fingerprint_of_its_own():
    assert len({fingerprint(language) for language in LANGUAGES}) == len(LANGUAGES)


@pytest.mark.parametrize(
    ("path", "language"), [("a/b.py", "python"), ("X.TSX", "tsx"), ("Makefile", None), ("a.md", None)]
)
def test_language_is_told_by_the_name(path: str, language: str | None):
    assert language_of(path) == language


@pytest.mark.parametrize(
    ("path", "foreign"),
    [
        ("web/app.min.js", True),
        ("api/user_pb2.py", True),
        ("node_modules/a/index.js", True),
        ("vendor/x.go", True),
        ("src/vendor.py", False),
        ("src/admin.js", False),
    ],
)
def test_foreign_files_are_told_by_their_paths(path: str, foreign: bool):
    assert is_foreign(path) is foreign


@pytest.mark.parametrize(
    ("content", "source"),
    [
        (b"def f(): pass\n" * 500, True),
        (b"// Code generated by stringer. DO NOT EDIT.\npackage a\n", False),
        (b"# @generated by something\n", False),
        (b"var a=1;" * 1000, False),
        (b"int a;\0", False),
        (b"", True),
    ],
    ids=["written", "go", "mark", "minified", "binary", "empty"],
)
def test_generated_minified_and_binary_files_are_no_source(content: bytes, source: bool):
    assert is_source(content) is source
