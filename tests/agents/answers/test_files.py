"""Files and edits out of model text."""

import pytest

from agents.answers import (
    DeleteAnswer,
    EditAnswer,
    FileAnswer,
    FunctionAnswer,
    HunkAnswer,
    read_files,
    render_changes,
)
from agents.errors import UnusableAnswer

EDIT = "<<<<<<< SEARCH\nold\n=======\nnew\n>>>>>>> REPLACE"
A = (FileAnswer("src/a.py", "x\n"),)
E = (EditAnswer("src/a.py", "old\n", "new\n"),)


@pytest.mark.parametrize(
    "text",
    [
        "src/a.py\n```python\nx\n```",
        "`src/a.py`\n\n```python\nx\n```",
        "**src/a.py**\n```python\nx\n```",
        "**`src/a.py`**\n```python\nx\n```",
        "**src/a.py:**\n```python\nx\n```",
        "File: src/a.py\n```python\nx\n```",
        "file: `src/a.py`\n```python\nx\n```",
        "**File:** `src/a.py`\n```python\nx\n```",
        "**File: src/a.py**\n```python\nx\n```",
        "Filename: src/a.py\n```python\nx\n```",
        "Файл: src/a.py\n```python\nx\n```",
        "文件：`src/a.py`\n```python\nx\n```",
        "### src/a.py\n```python\nx\n```",
        "### `src/a.py` (new)\n```python\nx\n```",
        "### File: src/a.py (modified)\n```python\nx\n```",
        "- src/a.py\n```python\nx\n```",
        "1. `src/a.py`:\n```python\nx\n```",
        "1. **src/a.py**\n   ```python\n   x\n   ```",
        "./src/a.py\n```python\nx\n```",
        "src/a.py\nThe new file.\n```python\nx\n```",
        "Here is the new `src/a.py`:\n```python\nx\n```",
        "Вот новый файл `src/a.py`:\n```python\nx\n```",
        "这是新的 `src/a.py`：\n```python\nx\n```",
        "```src/a.py\nx\n```",
        "```python src/a.py\nx\n```",
        "```python 'src/a.py'\nx\n```",
        "```python:src/a.py\nx\n```",
        '```python title="src/a.py"\nx\n```',
        "```python filename=src/a.py\nx\n```",
        "```{.python file=src/a.py}\nx\n```",
        "~~~python src/a.py\nx\n~~~",
        "\ufeffsrc/a.py\r\n```python\r\nx\r\n```\r\n",
        "<think>draft\n```b.py\ny\n```\n</think>\nsrc/a.py\n```python\nx\n```",
        "draft\n```b.py\ny\n```\n</think>\n\nsrc/a.py\n```python\nx\n```",
        "src/a.py\n```python\nx\n```\nRun it:\n```bash\npython src/a.py\n```",
        "Run `src/a.py`:\n```bash\npython src/a.py\n```\nsrc/a.py\n```python\nx\n```",
    ],
)
def test_a_file_is_named_in_any_of_the_ways_models_use(text: str):
    assert read_files(text) == A


@pytest.mark.parametrize(
    ("comment", "path"),
    [
        ("# src/a.py", "src/a.py"),
        ("# File: src/a.py", "src/a.py"),
        ("// src/a.js", "src/a.js"),
        ("/* src/a.css */", "src/a.css"),
        ("<!-- a/b.html -->", "a/b.html"),
        ("-- db/a.sql", "db/a.sql"),
    ],
)
def test_the_last_resort_is_a_comment_on_the_first_line_which_stays(comment: str, path: str):
    assert read_files(f"```\n{comment}\nx\n```") == (FileAnswer(path, f"{comment}\nx\n"),)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "   \n",
        "I cannot help with that.",
        "Use x = 1.",
        "```python\nx\n```",
        "```\n#!/usr/bin/env python.py\n```",
        "An example:\n```python\nx\n```",
        "See https://example.org/a.py\n```python\nx\n```",
        "Install `requirements.txt`:\n```bash\npip install -r requirements.txt\n```",
        "Python 3.11\n```python\nx\n```",
        "```asp.net\nx\n```",
        "`a.py` and `b.py` need this:\n```python\nx\n```",
    ],
)
def test_a_block_that_names_no_file_is_an_illustration(text: str):
    with pytest.raises(UnusableAnswer):
        read_files(text)


@pytest.mark.parametrize(
    "name", ["../x.py", "/etc/passwd", "C:\\x.py", "File: con", "File: a b/../../c", ".git/config.py", "~/x.py"]
)
def test_one_forbidden_path_makes_the_whole_answer_unusable(name: str):
    with pytest.raises(UnusableAnswer, match="the path"):
        read_files(f"src/a.py\n```\nx\n```\n{name}\n```\ny\n```")


@pytest.mark.parametrize("info", ["python ../x.py", "c:\\x.py", "python title=/etc/x.py"])
def test_a_forbidden_path_in_the_info_string_is_refused_too(info: str):
    with pytest.raises(UnusableAnswer, match="the path"):
        read_files(f"```{info}\nx\n```")


@pytest.mark.parametrize(
    "text",
    [
        f"src/a.py\n```\n{EDIT}\n```",
        f"```python src/a.py\n{EDIT}\n```",
        f"```\nsrc/a.py\n{EDIT}\n```",
        f"src/a.py\n{EDIT}",
        f"File: `src/a.py`\n\n{EDIT}\nDone.",
        f"```python\n# src/a.py\n{EDIT}\n```",
        f"src/a.py\n{EDIT}".replace("<<<<<<<", "<<<<<").replace("=======", "========").replace("\n", "\r\n"),
    ],
)
def test_an_edit_is_read_with_or_without_a_fence(text: str):
    assert read_files(text) == E


def test_edits_without_a_name_belong_to_the_file_before():
    changes = read_files(f"```\na.py\n{EDIT}\n{EDIT}\n\nb.py\n{EDIT}\n```\ntext\n{EDIT}\n")
    assert [change.path for change in changes] == ["a.py", "a.py", "b.py", "b.py"]


def test_empty_halves_of_an_edit_are_empty_texts():
    text = "a.py\n<<<<<<< SEARCH\n=======\n>>>>>>> REPLACE"
    assert read_files(text) == (EditAnswer("a.py", "", ""),)


def test_a_longer_divider_inside_an_edit_is_content():
    text = "a.rst\n<<<<<<< SEARCH\nTitle\n=====\n=======\nOther\n=====\n>>>>>>> REPLACE"
    assert read_files(text) == (EditAnswer("a.rst", "Title\n=====\n", "Other\n=====\n"),)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("a.py\n```\nx", "cut off"),
        ("a.py\n<<<<<<< SEARCH\nx\n=======\ny", "cut off"),
        (f"```\n{EDIT}\n```", "does not name its file"),
        ("a.py\n<<<<<<< SEARCH\nx\n>>>>>>> REPLACE", "no line ======="),
        ("a.py\n<<<<<<< SEARCH\nx\n=======\ny\n=======\nz\n>>>>>>> REPLACE", "2 lines ======="),
        (f"a.py\n<<<<<<< SEARCH\nx\n=======\n{EDIT}", "no line >>>>>>> REPLACE"),
        ("a.py\n```\nx\0y\n```", "NUL"),
        ("a.py\n<<<<<<< SEARCH\nx\n=======\n\0\n>>>>>>> REPLACE", "NUL"),
        ("a.py\n```\n\ud800\n```", "surrogate"),
        ("A.py\n```\nx\n```\na.py\n```\ny\n```", "one file on many systems"),
        ("a.py\n```\nx\n```\n" * 201, "more than 200"),
        ("a.py\n```\n" + "x\n" * 600_000 + "```", "more than 1048576"),
        ("<think>a.py\n```\nx\n```", "empty"),
    ],
)
def test_a_broken_answer_says_what_is_wrong(text: str, reason: str):
    with pytest.raises(UnusableAnswer, match=reason):
        read_files(text)


def test_a_file_given_twice_is_returned_twice_in_order():
    assert read_files("a.py\n```\n1\n```\na.py\n```\n2\n```") == (FileAnswer("a.py", "1\n"), FileAnswer("a.py", "2\n"))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("```python\nx\n```", A),
        ("```\nx\n```\nRun:\n```bash\npython a.py\n```", A),
        (EDIT, E),
        (f"{EDIT}\n{EDIT}", E + E),
    ],
)
def test_a_sole_block_without_a_name_is_the_default_file(text: str, expected: object):
    assert read_files(text, default_path="src/a.py") == expected


@pytest.mark.parametrize("text", ["```\nx\n```\n```\ny\n```", "```bash\npip install x\n```"])
def test_the_default_is_no_guess(text: str):
    with pytest.raises(UnusableAnswer):
        read_files(text, default_path="src/a.py")


def test_tags_and_marks_inside_code_stay():
    code = "s = '<think>'\n</think>\n<tool_call>{}</tool_call>\ndata: x\n\n\ndata: approval granted"
    (change,) = read_files(f"a.py\n```python\n{code}\n```")
    assert change == FileAnswer("a.py", code + "\n")


def test_a_value_with_a_forbidden_path_cannot_be_made():
    with pytest.raises(UnusableAnswer):
        FileAnswer("../a", "")
    with pytest.raises(UnusableAnswer):
        EditAnswer("/a", "", "")


def test_rendered_changes_read_back():
    changes = (
        HunkAnswer("a.py", " x\n-y\n+z\n"),
        FunctionAnswer("b.py", "def f():\n    return 1\n"),
        DeleteAnswer("c.py"),
        FileAnswer("документ (1).md", "# Заголовок\n```python\nx\n```\n"),
        FileAnswer("空.txt", ""),
        EditAnswer("تقرير.py", "قديم\n", "جديد\n````\n"),
    )
    assert read_files(render_changes(changes)) == changes
