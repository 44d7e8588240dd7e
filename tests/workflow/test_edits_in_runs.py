"""What becomes of badly written changes in a run: deleted, mended, told at once, asked for in another form."""

from __future__ import annotations

import pytest

from agents.answers import DeleteAnswer, EditAnswer, FileAnswer, FunctionAnswer, HunkAnswer
from infrastructure.events.catalogue import EditsRejected, Noted, PatchDelivered
from infrastructure.workflow.nodes.write import REPLY
from infrastructure.workflow.trial import candidate_tree, patch_of
from infrastructure.workspace import take_snapshot
from infrastructure.workspace.errors import NotCarried
from tests.workflow.scenario import RIGHT, STUB, Scenario, code, plan, repository, scripted

CHANGES = (
    FileAnswer("a.py", "x\n"),
    EditAnswer("a.py", "x\n", "y\n"),
    HunkAnswer("a.py", "-x\n+y\n"),
    FunctionAnswer("a.py", "def f(): ...\n"),
    DeleteAnswer("a.py"),
)
LONG = STUB + "".join(f"\n\ndef filler_{number}():\n    return {number}\n" for number in range(100))
BAD_EDIT = (
    "File: `calc.py`\n```\n<<<<<<< SEARCH\n    raise ValueError\n=======\n    return a + b\n>>>>>>> REPLACE\n```\n"
)
GOOD_EDIT = BAD_EDIT.replace("ValueError", "NotImplementedError")


def test_every_kind_of_change_comes_back_from_the_store_as_it_was():
    assert REPLY.validate_json(REPLY.dump_json(CHANGES)) == CHANGES


async def test_file_is_deleted_in_the_patch_and_stays_deleted_in_a_repair(tmp_path):
    wrong = code(RIGHT.replace("+", "-")) + "\nDelete: `old.py`\n"
    source = scripted(coder=[wrong, code(RIGHT)], planner=lambda _: plan("calc.py", "old.py"))
    scenario = Scenario(folder=tmp_path, source=source, files={"calc.py": STUB, "old.py": "x = 1\n"})
    end = await scenario.run()
    assert end["status"] == "done"
    assert {ref.path: ref.sha is None for ref in end["files"]} == {"calc.py": False, "old.py": True}
    assert "deleted file mode" in await scenario.patch(end)
    assert (scenario.folder / "repo" / "old.py").exists(), "the user's tree is not touched"


async def test_what_a_try_deleted_is_not_there_for_the_next_one(tmp_path):
    again = code(RIGHT) + "\nDelete: `old.py`\n"
    wrong = code(RIGHT.replace("+", "-")) + "\nDelete: `old.py`\n"
    source = scripted(coder=[wrong, again, code(RIGHT)], planner=lambda _: plan("calc.py", "old.py"))
    scenario = Scenario(folder=tmp_path, source=source, files={"calc.py": STUB, "old.py": "x = 1\n"})
    end = await scenario.run()
    assert (end["status"], end["chosen"].attempts) == ("done", 3)
    assert ["cannot be deleted" in each.reason for each in scenario.of(EditsRejected)] == [True]


async def test_missing_import_is_added_without_another_question(tmp_path):
    source = scripted(coder=[code("def add(a, b):\n    return math.fsum([a + b])\n")])
    scenario = Scenario(folder=tmp_path, source=source)
    end = await scenario.run()
    assert (end["status"], end["chosen"].attempts) == ("done", 1)
    assert "+import math" in await scenario.patch(end)
    assert "mended calc.py: added import math" in [note.text for note in scenario.of(Noted)]


async def test_missing_name_is_told_before_tests_are_run(tmp_path):
    source = scripted(coder=[code("def add(a, b):\n    return combine(a + b)\n"), code(RIGHT)])
    scenario = Scenario(folder=tmp_path, source=source)
    end = await scenario.run()
    assert (end["status"], end["chosen"].attempts) == ("done", 2)
    assert scenario.order.count("run_tests") == 1
    assert "the name combine in line 2 is not defined" in source.asked("coder")[1].messages[1].content


async def test_missing_name_is_left_to_the_tests_in_the_last_try(tmp_path):
    odd = "def add(a, b):\n    return a + b\n\n\ndef never():\n    return combine()\n"
    scenario = Scenario(folder=tmp_path, source=scripted(coder=[code(odd)]))
    end = await scenario.run(repairs=0)
    assert (end["status"], end["chosen"].attempts) == ("done", 1)


async def test_long_file_is_asked_for_as_edits_and_in_another_form_when_they_do_not_fit(tmp_path):
    source = scripted(coder=[BAD_EDIT, code(RIGHT)])
    scenario = Scenario(folder=tmp_path, source=source, files={"calc.py": LONG})
    end = await scenario.run()
    assert end["status"] == "done"
    first, second = (question.messages[0].content for question in source.asked("coder"))
    assert "<<<<<<< SEARCH" in first
    assert "Function: `src/example.py`" in second
    assert (await scenario.patch(end)).count("\n-") == 2, "only add is replaced, the rest of the file stays"


async def test_short_file_is_asked_for_whole_and_an_edit_of_it_is_taken_all_the_same(tmp_path):
    source = scripted(coder=[GOOD_EDIT])
    scenario = Scenario(folder=tmp_path, source=source)
    assert (await scenario.run())["status"] == "done"
    assert "the whole file" in source.asked("coder")[0].messages[0].content


@pytest.mark.parametrize(
    "change", [code("F = 2\n", "legacy.py"), BAD_EDIT.replace("calc.py", "legacy.py"), "Delete: `legacy.py`\n"]
)
@pytest.mark.parametrize("content", ["NAME = 'caf\xe9'\nF = 1\n".encode("latin-1"), b"\0\1", b"x = 1\n" * 400_000])
async def test_file_that_cannot_be_read_cannot_be_changed_and_the_coder_is_told(tmp_path, change: str, content: bytes):
    (tmp_path / "repo").mkdir()
    (tmp_path / "repo" / "legacy.py").write_bytes(content)
    source = scripted(coder=[code(RIGHT) + change, code(RIGHT)])
    scenario = Scenario(folder=tmp_path, source=source)
    end = await scenario.run()
    assert (end["status"], end["chosen"].attempts) == ("done", 2)
    assert [ref.path for ref in end["files"]] == ["calc.py"]
    (told,) = (each.reason for each in scenario.of(EditsRejected))
    assert "legacy.py: is there, and no answer can change or delete it" in told
    assert "Leave this file out" in source.asked("coder")[1].messages[1].content


async def test_file_that_a_repair_puts_back_is_not_delivered(tmp_path):
    first = code(RIGHT.replace("+", "-")) + code("x = 2\n", "other.py") + code("y = 1\n", "added.py")
    then = code(RIGHT) + code("x = 1\n", "other.py") + "Delete: `added.py`\n"
    source = scripted(coder=[first, then], planner=lambda _: plan("calc.py", "other.py", "added.py"))
    scenario = Scenario(folder=tmp_path, source=source, files={"calc.py": STUB, "other.py": "x = 1\n"})
    end = await scenario.run()
    assert end["status"] == "done"
    assert [ref.path for ref in end["files"]] == ["calc.py"]
    assert scenario.of(PatchDelivered)[0].files == ("calc.py",)
    assert (await scenario.patch(end)).count("diff --git") == 1


async def test_delivered_patch_tells_lines_that_look_like_the_head_of_a_file(tmp_path):
    source = scripted(coder=[code(RIGHT) + code("select 1;\n", "q.sql")], planner=lambda _: plan("calc.py", "q.sql"))
    scenario = Scenario(folder=tmp_path, source=source, files={"calc.py": STUB, "q.sql": "-- old\nselect 1;\n"})
    end = await scenario.run()
    (delivered,) = scenario.of(PatchDelivered)
    assert delivered.files == ("calc.py", "q.sql")
    assert "\n--- old\n" in await scenario.patch(end)
    assert (delivered.added, delivered.removed) == (1, 2)


async def test_what_a_patch_cannot_carry_is_an_error_and_no_smaller_patch(tmp_path):
    scenario = Scenario(folder=tmp_path, source=scripted())
    snapshot = await take_snapshot(repository(tmp_path / "repo"), tmp_path / "trees")
    async with candidate_tree(scenario.scope, snapshot, 1, ()) as tree:
        (tree.root / "calc.py").write_text(RIGHT)
        (tree.root / "logo.png").write_bytes(b"\0")
        with pytest.raises(NotCarried, match=r"logo\.png.*binary"):
            await patch_of(scenario.scope, snapshot, tree)


UTILS = "".join(f"def u{number}():\n    return {number}\n\n\n" for number in range(8))
MANY = {
    "calc.py": STUB,
    "utils.py": UTILS,
    "b.py": "",
    "c.py": "",
    "d.py": "",
    "app/__init__.py": "from calc import add\n",
}
PLUS = code("def plus(a, b):\n    return a + b\n", "utils.py")


async def test_file_that_the_coder_never_saw_is_not_replaced_but_shown(tmp_path):
    appended = code(f"{UTILS}def plus(a, b):\n    return a + b\n", "utils.py")
    source = scripted(coder=[code(RIGHT) + PLUS + code("", "app/__init__.py"), code(RIGHT) + appended])
    scenario = Scenario(folder=tmp_path, source=source, files=MANY)
    end = await scenario.run()
    assert (end["status"], end["chosen"].attempts) == ("done", 2)
    assert {ref.path for ref in end["files"]} == {"calc.py", "utils.py"}
    assert "-def" not in (await scenario.patch(end)).replace("-def add", "")
    first, second = (question.messages[1].content for question in source.asked("coder"))
    assert ("def u7" in first, "def u7" in second) == (False, True)
    assert "utils.py: is there already with other content" in second
    assert [each.malformed_as for each in scenario.of(EditsRejected)] == [""], "its form was good"


async def test_example_beside_the_change_is_left_out_and_said(tmp_path):
    use = "You can then use it from `b.py`:\n```python\nprint(add(1, 2))\n```\n"
    scenario = Scenario(folder=tmp_path, source=scripted(coder=[code(RIGHT) + use]), files={**MANY, "b.py": UTILS})
    end = await scenario.run()
    assert (end["status"], [ref.path for ref in end["files"]]) == ("done", ["calc.py"])
    assert any(note.text.startswith("b.py: a block that only a sentence") for note in scenario.of(Noted))
