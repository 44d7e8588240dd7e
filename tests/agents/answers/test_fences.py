"""Where blocks begin and end."""

import pytest

from agents.answers.fences import blocks


def contents(text: str) -> list[str]:
    return ["\n".join(block.lines) for block in blocks(text)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        ("no block", []),
        ("```\na\n```", ["a"]),
        ("```\n```", [""]),
        ("~~~py\na\n~~~", ["a"]),
        ("~~~\n```\n~~~", ["```"]),
        ("````\n```\na\n```\n````", ["```\na\n```"]),
        ("`````md\n````\n```\n````\n`````", ["````\n```\n````"]),
        ("```\na\n`````", ["a"]),
        ("```\na\n``` x\n```", ["a\n``` x"]),
        ("```\na\n```\ntext\n```\nb\n```", ["a", "b"]),
        ("- item\n  ```py\n  a\n    b\n  ```", ["a\n  b"]),
        ("```py\ndef f():\n    '''\n    ```\n    '''\n```", ["def f():\n    '''\n    ```\n    '''"]),
        ("```diff\n ```\n+```\n```", [" ```\n+```"]),
        ("``` not `a` fence\nx", []),
        ("```markdown\n# T\n```py\nx\n```\nend\n```", ["# T\n```py\nx\n```\nend"]),
        ("docs/a.md\n```\n# T\n```py\nx\n```\nend\n```", ["# T\n```py\nx\n```\nend"]),
    ],
)
def test_blocks_are_found(text: str, expected: list[str]):
    assert contents(text) == expected
    assert all(block.closed for block in blocks(text))


@pytest.mark.parametrize("text", ["```", "```py\na", "~~~\n```", "```\na\n``", "<<<<<<< SEARCH\na\n=======\nb"])
def test_a_block_open_at_the_end_is_reported_as_cut(text: str):
    assert [block.closed for block in blocks(text)] == [False]


def test_the_info_string_and_the_prose_before_are_kept():
    (block,) = blocks("one\ntwo\n\nthree\n\n``` python a.py \nx\n```")
    assert block.info == "python a.py"
    assert block.before == ("two", "three")


def test_prose_belongs_to_the_next_block_only():
    first, second = blocks("a.py\n```\nx\n```\n```\ny\n```")
    assert first.before == ("a.py",)
    assert second.before == ()


def test_fences_inside_an_edit_do_not_count():
    edit = "<<<<<<< SEARCH\n```\nold\n=======\n```\nnew\n>>>>>>> REPLACE"
    assert contents(f"```\n{edit}\n```") == [edit]
    (bare,) = blocks(edit)
    assert not bare.fenced
    assert "\n".join(bare.lines) == edit
