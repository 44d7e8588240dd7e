"""What a run's status says, by real tests in the sandbox: the judge's, the plan's, those asked for."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from infrastructure.events.catalogue import Noted
from infrastructure.events.catalogue import TestsRan as Ran
from tests.workflow.scenario import RIGHT, STUB, WRONG, Checked, Scenario, code, intent, scripted

HEAD = "import unittest\nfrom calc import {names}\n\n\nclass T(unittest.TestCase):\n"
TEST_ADD = HEAD.format(names="add") + "    def test_add(self):\n        self.assertEqual(add(1, 2), 3)\n"
OLD_RED = HEAD.format(names="add") + "    def test_old(self):\n        self.fail('red for years')\n"
GREEN = "import unittest\nimport calc\n\n\nclass T(unittest.TestCase):\n    def test_there(self):\n        assert {}\n"
OLD_GREEN = GREEN.format("calc")
DOUBLE = "\n\ndef double(a):\n    return add(a, a)\n"
BOTH = RIGHT + DOUBLE
TEST_DOUBLE = HEAD.format(names="double") + "    def test_double(self):\n        self.assertEqual(double(2), 4)\n"


def of_plan(content: str) -> object:
    return lambda _: code(content, "test_of_plan.py")


async def run(tmp_path, sandbox, files, **roles):
    settings = {key: roles.pop(key) for key in ("repairs", "rounds", "tests", "candidates") if key in roles}
    scenario = Scenario(
        folder=tmp_path,
        source=scripted(**roles),
        sandbox=sandbox,
        files=files,
        test_command="",
        task="Do it in calc.py",
    )
    return scenario, await scenario.run(**settings)


async def test_test_of_the_repository_that_turns_green_is_done(tmp_path, sandbox):
    _, end = await run(tmp_path, sandbox, {"calc.py": STUB, "test_calc.py": TEST_ADD})
    assert (end["status"], end["judge"]) == ("done", "found")
    assert end["reason"] == "test_calc.py::T::test_add was red and passes now."


async def test_repository_that_is_green_before_is_judged_by_tests_from_the_plan(tmp_path, sandbox):
    scenario, end = await run(
        tmp_path, sandbox, {"calc.py": RIGHT, "test_calc.py": TEST_ADD},
        tester=of_plan(TEST_DOUBLE), coder=lambda _: code(BOTH),
    )  # fmt: skip
    assert (end["status"], end["judge"]) == ("unverified", "written")
    suites = [(event.suite, event.attempt, bool(event.failing)) for event in scenario.of(Ran)]
    assert suites == [("judge", 0, False), ("written", 0, True), ("judge", 1, False), ("written", 1, False)]
    assert "test_of_plan.py" not in await scenario.patch(end), "tests from the plan are not the user's"


async def test_old_red_test_that_has_nothing_to_do_with_it_does_not_hinder(tmp_path, sandbox):
    _, end = await run(
        tmp_path, sandbox, {"calc.py": RIGHT, "test_calc.py": TEST_ADD, "test_old.py": OLD_RED},
        tester=of_plan(TEST_DOUBLE), coder=lambda _: code(BOTH),
    )  # fmt: skip
    assert (end["status"], end["judge"]) == ("unverified", "written")


async def test_red_test_that_stays_red_is_failed_where_nothing_else_shows_the_change(tmp_path, sandbox):
    scenario, end = await run(
        tmp_path, sandbox, {"calc.py": RIGHT, "test_old.py": OLD_RED}, coder=lambda _: code(BOTH), rounds=1, repairs=1
    )
    assert (end["status"], end["judge"]) == ("failed", "found")
    assert end["reason"].startswith("Tests are red, and none of them turned green.")
    assert len(scenario.source.asked("coder")) == 2, "it was repaired"


async def test_wrong_first_answer_is_not_taken_for_good_and_repaired(tmp_path, sandbox):
    scenario, end = await run(
        tmp_path, sandbox, {"calc.py": STUB, "test_calc.py": TEST_ADD}, coder=[code(WRONG), code(RIGHT)]
    )
    assert (end["status"], end["chosen"].attempts) == ("done", 2)
    assert "-1 != 3" in scenario.source.asked("debugger")[0].messages[1].content


async def test_tests_from_the_plan_that_pass_on_the_untouched_code_show_nothing(tmp_path, sandbox):
    scenario, end = await run(
        tmp_path, sandbox, {"calc.py": RIGHT}, tester=of_plan(TEST_ADD), coder=lambda _: code(BOTH), rounds=2
    )
    assert (end["status"], end["judge"]) == ("failed", "written")
    assert end["reason"].startswith("The written tests do not show the change")
    assert [each.attempts for each in end["tried"]] == [1, 1], "other code cannot mend such tests: a new plan can"
    assert len(scenario.source.asked("tester")) == 2


async def test_second_plan_with_better_tests_is_believed(tmp_path, sandbox):
    _, end = await run(
        tmp_path, sandbox, {"calc.py": RIGHT}, coder=lambda _: code(BOTH),
        tester=[code(TEST_ADD, "test_of_plan.py"), code(TEST_DOUBLE, "test_of_plan.py")],
    )  # fmt: skip
    assert (end["status"], end["judge"], end["round"]) == ("unverified", "written", 2)


async def test_tests_from_the_plan_that_stay_red_are_failed(tmp_path, sandbox):
    scenario, end = await run(
        tmp_path, sandbox, {"calc.py": RIGHT}, tester=of_plan(TEST_DOUBLE), coder=lambda _: code(RIGHT + "# no\n"),
        rounds=1, repairs=0,
    )  # fmt: skip
    assert (end["status"], end["judge"], end["chosen"].failing) == ("failed", "written", 1)
    assert len(scenario.of(Ran)) == 2


async def test_patch_that_breaks_another_test_is_failed(tmp_path, sandbox):
    _, end = await run(
        tmp_path, sandbox,
        {"calc.py": STUB + DOUBLE, "test_calc.py": TEST_ADD, "test_there.py": GREEN.format("calc.double")},
        coder=lambda _: code(RIGHT), rounds=1, repairs=0,
    )  # fmt: skip
    assert (end["status"], end["reason"]) == ("failed", "test_there.py::T::test_there passed before and does not now.")


ADD_SUB = "from calc import add, sub\ndef test_add():\n    assert add(1, 2) == 3\n"
TWO = f"{ADD_SUB}def test_sub():\n    assert sub(3, 1) == 2\n"


async def test_second_red_test_is_seen_though_the_command_stops_at_the_first(tmp_path, sandbox):
    half = RIGHT + "def sub(a, b):\n    return a + b\n"
    scenario = Scenario(
        folder=tmp_path, source=scripted(coder=lambda _: code(half)), sandbox=sandbox, test_command="pytest -x",
        files={"calc.py": WRONG + "def sub(a, b):\n    return a - b\n", "test_calc.py": TWO},
    )  # fmt: skip
    end = await scenario.run(rounds=1, repairs=0)
    assert (end["status"], end["reason"]) == ("failed", "test_calc.py::test_sub passed before and does not now.")


async def test_patch_whose_own_test_is_red_is_failed_and_repaired(tmp_path, sandbox):
    red = code(RIGHT) + code(TEST_ADD.replace("3)", "4)"), "test_more.py")
    scenario, end = await run(
        tmp_path, sandbox, {"calc.py": STUB, "test_calc.py": TEST_ADD}, coder=[red, code(TEST_ADD, "test_more.py")]
    )
    assert (end["status"], end["chosen"].attempts) == ("done", 2)
    assert "3 != 4" in scenario.source.asked("debugger")[0].messages[1].content


# ------------------------------------------------------------------------------- the user's own tests


async def test_test_file_from_outside_the_repository_judges_the_run(tmp_path, sandbox):
    outside = tmp_path / "elsewhere" / "test_wish.py"
    outside.parent.mkdir()
    outside.write_text(TEST_ADD)
    scenario, end = await run(
        tmp_path, sandbox, {"calc.py": STUB}, tests=(str(outside),), coder=[code(WRONG), code(RIGHT)]
    )
    assert (end["status"], end["judge"]) == ("done", "given")
    assert [ref.path for ref in end["files"]] == ["calc.py"]
    assert "test_wish.py" not in await scenario.patch(end)


async def test_given_test_file_keeps_its_place_when_the_repository_is_reached_over_a_link(tmp_path, sandbox):
    real = tmp_path / "real"
    (real / "tests").mkdir(parents=True)
    (tmp_path / "repo").symlink_to(real)
    (real / "tests" / "test_wish.py").write_text(TEST_ADD)
    (real / "tests" / "__init__.py").write_text("")
    _, end = await run(tmp_path, sandbox, {"calc.py": STUB}, tests=(str(tmp_path / "repo" / "tests" / "test_wish.py"),))
    assert end["status"] == "done"
    assert end["reason"].startswith("tests/test_wish.py")


async def test_red_test_that_the_research_names_too_is_shown_to_the_coder_once(tmp_path, sandbox):
    scenario, end = await run(
        tmp_path, sandbox, {"calc.py": STUB, "test_calc.py": TEST_ADD},
        researcher=lambda _: json.dumps({"notes": "", "files": ["calc.py", "test_calc.py"]}),
    )  # fmt: skip
    assert end["status"] == "done"
    (asked,) = scenario.source.models["coder"].asked
    said = "\n".join(message.content for message in asked.messages)
    assert [said.count(f"File: `{path}`") for path in ("calc.py", "test_calc.py")] == [1, 1]
    assert said.index("## Tests that must pass") < said.index("File: `test_calc.py`")


async def test_given_tests_none_of_which_passes_are_failed_whatever_the_plans_tests_say(tmp_path, sandbox):
    wish = tmp_path / "test_wish.py"
    wish.write_text(OLD_RED)
    _, end = await run(
        tmp_path, sandbox, {"calc.py": RIGHT}, tests=(str(wish),), tester=of_plan(TEST_DOUBLE),
        coder=lambda _: code(BOTH), rounds=1, repairs=0,
    )  # fmt: skip
    assert (end["status"], end["judge"]) == ("failed", "given")


EXPECTED = TEST_ADD.replace("    def test_add", "    @unittest.expectedFailure\n    def test_add")
STRICT = "import pytest\nfrom calc import add\n"
STRICT += "@pytest.mark.xfail(strict=True)\ndef test_add():\n    assert add(1, 2) == 3\n"
IN_CASE = EXPECTED + "\ndef test_nothing(): pass\n"


@pytest.mark.parametrize("test", [EXPECTED, STRICT, IN_CASE], ids=["unittest", "pytest", "unittest in pytest"])
async def test_known_bug_that_is_mended_is_no_failure_and_a_person_takes_the_mark_away(tmp_path, sandbox, test):
    _, end = await run(tmp_path, sandbox, {"calc.py": WRONG, "test_calc.py": test}, rounds=1, repairs=0)
    assert end["status"] == "unverified"
    assert end["reason"].endswith("failed as expected and passes now; take the mark away that says that it fails.")


NAMED_BY_ADDRESS = """\
import pytest
from calc import add
class P: pass
@pytest.mark.parametrize("p", [P(), P()], ids=repr)
def test_p(p): pass
def test_add(): assert add(1, 2) == 3
"""


async def test_names_that_are_others_each_time_are_not_broken(tmp_path, sandbox):
    scenario, end = await run(tmp_path, sandbox, {"calc.py": WRONG, "test_calc.py": NAMED_BY_ADDRESS}, candidates=2)
    assert (end["status"], end["reason"]) == ("done", "test_calc.py::test_add was red and passes now.")
    assert [event.attempt for event in scenario.of(Ran)].count(0) == 1


class ByItself(Checked):
    """A sandbox whose command ends once in one way and then in another, whatever the code is."""

    def __init__(self, first: int, then: int) -> None:
        super().__init__()
        self.first, self.then = first, then

    async def run(self, command):
        ended = await super().run(command)
        return replace(ended, exit_code=self.first if self.runs == 1 else self.then)


async def test_test_that_turns_green_by_itself_proves_nothing(tmp_path):
    sandbox = ByItself(1, 0)
    scenario = Scenario(folder=tmp_path, source=scripted(coder=lambda _: code(STUB + "# same\n")), sandbox=sandbox)
    end = await scenario.run(rounds=1, repairs=0)
    assert (end["status"], sandbox.runs) == ("unverified", 3)
    assert any("ended otherwise in a second run" in event.text for event in scenario.of(Noted))


async def test_test_that_is_broken_by_itself_fails_no_patch_and_is_looked_at_once(tmp_path):
    sandbox = ByItself(0, 1)
    scenario = Scenario(folder=tmp_path, source=scripted(), sandbox=sandbox)
    end = await scenario.run(rounds=1, repairs=0, candidates=3)
    assert end["status"] == "unverified"
    assert sandbox.runs == 1 + 3 + 1, "the snapshot, each candidate, and the snapshot once more for all of them"


# ----------------------------------------------------------------------------------- files beside the code

PROJECT = "[project]\nname = 'x'\nversion = '{}'\n[tool.pytest.ini_options]\naddopts = ''\n"
READS = "import tomllib\ndef test_v():\n    with open('pyproject.toml', 'rb') as file:\n"
READS += "        assert tomllib.load(file)['project']['version'] == '2'\n"


async def test_version_in_the_projects_configuration_can_be_what_a_patch_changes(tmp_path, sandbox):
    scenario, end = await run(
        tmp_path, sandbox, {"pyproject.toml": PROJECT.format(1), "test_v.py": READS}, rounds=1, repairs=0,
        coder=lambda _: code(PROJECT.format(2), "pyproject.toml"),
    )  # fmt: skip
    assert end["status"] == "done"
    assert "+version = '2'" in await scenario.patch(end)


async def test_pytests_part_of_the_configuration_can_not(tmp_path, sandbox):
    _, end = await run(
        tmp_path, sandbox, {"pyproject.toml": PROJECT.format(1), "test_v.py": READS}, rounds=1, repairs=0,
        coder=lambda _: code(PROJECT.format(2).replace("''", "'-x'"), "pyproject.toml"),
    )  # fmt: skip
    assert (end["status"], end["reason"]) == ("failed", "The answer changed nothing.")


async def test_program_that_bears_a_tests_name_can_be_changed_and_is_read_by_a_person(tmp_path, sandbox):
    test = TEST_ADD.replace("calc", "tester")
    _, end = await run(
        tmp_path, sandbox, {"tester.py": WRONG, "test_add.py": test}, coder=lambda _: code(RIGHT, "tester.py"),
        rounds=1, repairs=0,
    )  # fmt: skip
    assert end["status"] == "unverified"
    assert "tester.py is named as what belongs to the tests" in end["reason"]


# ----------------------------------------------------------------------------------- a task for tests


async def test_new_tests_that_pass_on_the_untouched_code_are_unverified(tmp_path, sandbox):
    scenario, end = await run(
        tmp_path, sandbox, {"calc.py": RIGHT}, intent=[intent("tests")], coder=lambda _: code(TEST_ADD, "test_calc.py")
    )
    assert (end["status"], end["judge"]) == ("unverified", "written")
    assert "+    def test_add(self)" in await scenario.patch(end)
    assert not scenario.source.asked("tester"), "the tests that are asked for are tried themselves"


async def test_new_tests_that_are_red_on_the_untouched_code_are_failed_and_repaired(tmp_path, sandbox):
    scenario, end = await run(
        tmp_path, sandbox, {"calc.py": RIGHT, "test_there.py": OLD_GREEN}, intent=[intent("tests")],
        coder=[code(OLD_RED, "test_calc.py"), code(TEST_ADD, "test_calc.py")],
    )  # fmt: skip
    assert (end["status"], end["judge"], end["chosen"].attempts) == ("unverified", "written", 2)
    assert "red for years" in scenario.source.asked("debugger")[0].messages[1].content


async def test_new_tests_that_pass_only_with_the_patchs_own_code_are_failed(tmp_path, sandbox):
    both = code(BOTH) + code(TEST_DOUBLE, "test_calc.py")
    _, end = await run(
        tmp_path, sandbox, {"calc.py": RIGHT}, intent=[intent("tests")], coder=lambda _: both, rounds=1, repairs=0
    )
    assert (end["status"], end["judge"]) == ("failed", "written")
    assert "untouched code" in end["reason"]


async def test_task_for_tests_whose_patch_holds_none_is_failed(tmp_path, sandbox):
    _, end = await run(
        tmp_path, sandbox, {"calc.py": RIGHT}, intent=[intent("tests")], coder=lambda _: code(BOTH), rounds=1, repairs=0
    )
    assert (end["status"], end["reason"]) == ("failed", "No new test ran.")


# ---------------------------------------------------------------------------------------- odd trees


async def test_test_file_whose_name_is_no_text_is_no_trouble(tmp_path, sandbox):
    (tmp_path / "repo").mkdir()
    (tmp_path / "repo" / b"test_\xff.py".decode(errors="surrogateescape")).write_text("x = 1\n")
    _, end = await run(tmp_path, sandbox, {"calc.py": STUB, "test_calc.py": TEST_ADD})
    assert end["status"] == "done"


async def test_several_candidates_are_tried_side_by_side_without_meeting(tmp_path, sandbox):
    answers = [code(WRONG), code(STUB + "# still nothing\n"), code(RIGHT)]
    _, end = await run(
        tmp_path, sandbox, {"calc.py": STUB, "test_calc.py": TEST_ADD}, coder=answers, candidates=3, repairs=0, rounds=1
    )
    assert (end["status"], len(end["tried"])) == ("done", 3)
