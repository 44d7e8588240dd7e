"""Sets: HumanEval lines and folders of exercises as problems, and what is said of those that cannot be used."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from infrastructure.batch import BatchPlace, Entry
from infrastructure.batch.folders import Folders
from infrastructure.batch.identity import identity_of
from infrastructure.evaluation import BadSet, arms_of, chosen, read_set, trials_of

LINE = {
    "task_id": "Own/1",
    "prompt": 'def double(x):\n    """Twice x."""\n',
    "entry_point": "double",
    "canonical_solution": "    return x * 2  # SECRET\n",
    "test": "def check(candidate):\n    assert candidate(2) == 4\n",
    "plus_input": [[3]],
}


def write(folder: Path, files: dict[str, str]) -> Path:
    for path, text in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text, encoding="utf-8")
    return folder


def set_file(folder: Path, *lines: object) -> Path:
    file = folder / "set.jsonl"
    file.write_text("\n".join(each if isinstance(each, str) else json.dumps(each) for each in lines))
    return file


# ----------------------------------------------------------------------------------------- HumanEval


def test_a_humaneval_line_is_a_stub_and_its_test_and_the_solution_is_kept_apart(tmp_path: Path):
    (problem,) = read_set(set_file(tmp_path, LINE))

    assert problem.id == "Own/1"
    assert "(problem Own/1)" in problem.task
    assert list(problem.files) == ["solution.py"]
    assert "NotImplementedError" in problem.files["solution.py"]
    assert "check(double)" in problem.tests["test_solution.py"]
    assert problem.reference["solution.py"].endswith("return x * 2  # SECRET\n")
    for hide in (True, False):
        assert "SECRET" not in problem.job("x", hide_tests=hide).model_dump_json()


def test_with_hidden_tests_the_job_holds_none_of_them(tmp_path: Path):
    (problem,) = read_set(set_file(tmp_path, LINE), "python -m unittest")
    hidden, given = problem.job("x", hide_tests=True), problem.job("x", hide_tests=False)

    assert (hidden.tests, hidden.test_command) == ({}, None)
    assert "candidate(2)" not in hidden.model_dump_json()
    assert given.tests == problem.tests
    assert given.test_command == "python -m unittest"


def test_a_line_without_a_solution_is_a_problem_as_well(tmp_path: Path):
    (problem,) = read_set(
        set_file(tmp_path, {name: LINE[name] for name in ("task_id", "prompt", "entry_point", "test")})
    )

    assert problem.reference == {}


def test_all_bad_lines_are_told_at_once(tmp_path: Path):
    with pytest.raises(BadSet) as refused:
        read_set(set_file(tmp_path, LINE, "{", {"task_id": "x"}, LINE, "[1]"))

    said = str(refused.value)
    for each in (
        "line 2: it is no JSON",
        "line 3: prompt",
        "line 4: there is a problem 'Own/1' already",
        "line 5: it is no",
    ):
        assert each in said
    assert "\n  line 1:" not in said
    assert refused.value.hint


def test_a_byte_order_mark_is_no_part_of_a_problem(tmp_path: Path):
    file = tmp_path / "set.jsonl"
    file.write_bytes(b"\xef\xbb\xbf" + json.dumps(LINE).encode())
    assert [each.id for each in read_set(file)] == ["Own/1"]


def test_an_empty_file_is_no_set(tmp_path: Path):
    with pytest.raises(BadSet, match="it has no problem"):
        read_set(set_file(tmp_path))


def test_a_binary_file_is_told_once_and_not_line_by_line(tmp_path: Path):
    file = tmp_path / "weights.bin"
    file.write_bytes(b"\x80\xff\n" * 50)
    with pytest.raises(BadSet) as refused:
        read_set(file)
    assert str(refused.value).endswith("cannot be used:\n  it is no UTF-8 text")


def test_problems_are_chosen_by_what_their_ids_hold_and_then_by_number(tmp_path: Path):
    problems = read_set(set_file(tmp_path, *({**LINE, "task_id": f"Own/{number}"} for number in range(20))))

    assert [each.id for each in chosen(problems, (), 2)] == ["Own/0", "Own/1"]
    assert [each.id for each in chosen(problems, ("/1",), None)][:3] == ["Own/1", "Own/10", "Own/11"]
    assert [each.id for each in chosen(problems, ("/1", "/5"), 3)] == ["Own/1", "Own/5", "Own/10"]
    assert chosen(problems, ("none",), None) == ()


# ----------------------------------------------------------------------------------------- exercises

EXERCISE = {
    "leap.py": "def leap_year(year):\n    pass\n",
    "leap_test.py": "import unittest\n\nfrom leap import leap_year\n",
    ".docs/instructions.md": "# Instructions\n\nSay whether a year is a leap year.\n",
    ".docs/instructions.append.md": "Return a bool.\n",
    ".meta/example.py": "def leap_year(year):\n    return SECRET\n",
    ".meta/config.json": json.dumps(
        {"files": {"solution": ["leap.py"], "test": ["leap_test.py"], "example": [".meta/example.py"]}}
    ),
}


def test_an_exercise_shows_its_stub_and_instructions_and_never_its_example(tmp_path: Path):
    write(tmp_path / "python/practice/leap", EXERCISE)
    (problem,) = read_set(tmp_path)

    assert problem.id == "python/practice/leap"
    assert problem.files == {"leap.py": EXERCISE["leap.py"]}
    assert problem.tests == {"leap_test.py": EXERCISE["leap_test.py"]}
    assert problem.reference == {"leap.py": EXERCISE[".meta/example.py"]}
    assert problem.task.startswith("Implement leap.py as the instructions say (problem python/practice/leap).")
    assert "leap year.\n\nReturn a bool." in problem.task.replace("# Instructions\n\n", "")
    assert "SECRET" not in problem.job("x", hide_tests=False).model_dump_json()


def test_an_exercise_is_found_by_its_files_alone(tmp_path: Path):
    write(
        tmp_path / "two", {"two.py": "", "test_two.py": "import unittest\n", "README.md": "Do it.\n", "data/a.txt": "a"}
    )
    write(tmp_path / "two/__pycache__", {"two.py": "cache"})
    write(tmp_path / "no-tests", {"a.py": ""})
    (problem,) = read_set(tmp_path)

    assert problem.files == {"two.py": "", "data/a.txt": "a"}
    assert problem.task.endswith("\n\nDo it.")
    assert problem.reference == {}


def test_a_folder_that_is_one_exercise_is_a_set_of_one(tmp_path: Path):
    assert [each.id for each in read_set(write(tmp_path / "leap", EXERCISE))] == ["leap"]


def test_what_is_no_text_is_left_out(tmp_path: Path):
    write(tmp_path / "leap", EXERCISE)
    (tmp_path / "leap/picture.png").write_bytes(b"\x89PNG\0\xff")
    (tmp_path / "leap/link.py").symlink_to("/etc/passwd")

    (problem,) = read_set(tmp_path / "leap")

    assert list(problem.files) == ["leap.py"]


def test_exercises_that_cannot_be_used_are_all_told(tmp_path: Path):
    write(tmp_path / "a", {".docs/instructions.md": "x", "a.py": ""})
    write(tmp_path / "b", {".docs/instructions.md": "x", "b_test.py": "import unittest"})
    write(tmp_path / "c", {"c.js": "", "c.spec.js": ""})
    write(tmp_path / "d", {**EXERCISE, ".meta/config.json": "{"})
    with pytest.raises(BadSet) as refused:
        read_set(tmp_path)

    said = str(refused.value)
    for each in (
        "a: it has no test file",
        "b: it has no stub",
        "c: its tests are not in Python",
        "d: .meta/config.json",
    ):
        assert each in said


def test_tests_of_another_language_need_a_command(tmp_path: Path):
    write(tmp_path / "c", {"c.js": "", "c.spec.js": ""})
    (problem,) = read_set(tmp_path, "node --test")

    assert problem.test_command == "node --test"


@pytest.mark.parametrize("odd", ["leap/\udcff.txt", "\udcff/leap.py"])
def test_a_name_that_is_not_utf8_is_told_with_its_exercise(tmp_path: Path, odd: str):
    write(tmp_path / "two", {"two.py": "", "test_two.py": ""})
    write(tmp_path, {odd: "", f"{odd.partition('/')[0]}/test_leap.py": "", f"{odd.partition('/')[0]}/b.py": ""})
    with pytest.raises(BadSet) as refused:
        read_set(tmp_path)
    (said,) = refused.value.problems
    assert "a name is not UTF-8: " in said
    said.encode()


def test_a_folder_without_exercises_is_no_set(tmp_path: Path):
    with pytest.raises(BadSet, match="no folder in it has tests and a stub"):
        read_set(tmp_path)


# ------------------------------------------------------------------------------------- what is run


def test_every_problem_meets_all_settings_side_by_side_and_seed_by_seed(tmp_path: Path):
    problems = read_set(set_file(tmp_path, *({**LINE, "task_id": f"Own/{number}"} for number in range(2))))
    arms = arms_of(candidates=(1, 4), repairs=(0,))
    trials = trials_of(problems, arms, (1, 2), hide_tests=False)

    assert [arm.name for arm in arms] == ["candidates 1, repairs 0", "candidates 4, repairs 0"]
    assert [(each.seed, each.problem.id, each.arm.candidates) for each in trials] == [
        (1, "Own/0", 1),
        (1, "Own/0", 4),
        (1, "Own/1", 1),
        (1, "Own/1", 4),
        (2, "Own/0", 1),
        (2, "Own/0", 4),
        (2, "Own/1", 1),
        (2, "Own/1", 4),
    ]
    assert trials[1].entry.own.given() == {"candidates": 4, "repairs": 0, "seed": 1}
    assert len({each.entry.job.id for each in trials}) == 8


def test_settings_and_seeds_make_different_identities_and_equal_ones_the_same(tmp_path: Path):
    def identities(**arms: tuple[int, ...]) -> list[str]:
        problems = read_set(set_file(tmp_path, LINE))
        trials = trials_of(problems, arms_of(**arms), (1, 2), hide_tests=False)
        return [identity_of(trial.entry, 0, {}) for trial in trials]

    assert len(set(identities(repairs=(0, 2)))) == 4
    assert identities(repairs=(0, 2)) == identities(repairs=(0, 2))
    assert identities(repairs=(0,))[0] == identities(repairs=(0, 2))[0]


def test_a_batch_without_settings_of_its_own_keeps_its_identities(tmp_path: Path):
    problem = read_set(set_file(tmp_path, LINE))[0]
    entry = Entry(job=problem.job("Own/1", hide_tests=False), line=1)

    assert entry.own.given() == {}
    assert identity_of(entry, 0, {}) != identity_of(entry, 1, {})


def test_without_settings_there_is_one_arm_and_a_long_name_is_cut_without_meeting_another(tmp_path: Path):
    assert [arm.name for arm in arms_of()] == ["as set"]
    problems = read_set(set_file(tmp_path, *({**LINE, "task_id": "Own/" + "x" * 140 + str(n)} for n in range(2))))
    names = {each.entry.job.id for each in trials_of(problems, arms_of(repairs=(0, 1)), (1,), hide_tests=True)}

    assert len(names) == 4
    assert max(map(len, names)) <= 150


@pytest.mark.parametrize(
    ("ids", "models"),
    [(("加法", "减法"), ()), (("a/b", "a-b"), ()), (("two fer", "two-fer"), ()), (("x",), ("m:1", "m-1"))],
)
def test_problems_and_settings_whose_names_look_alike_as_files_have_folders_and_patches_of_their_own(
    tmp_path: Path, ids: tuple[str, ...], models: tuple[str, ...]
):
    problems = read_set(
        set_file(tmp_path, *({**LINE, "task_id": each, "test": LINE["test"] + f"# {each}"} for each in ids))
    )
    trials = trials_of(problems, arms_of(models=models), (1,), hide_tests=False)
    place = BatchPlace(tmp_path / "out")

    async def make() -> list[tuple[Path, tuple[Path, ...]]]:
        folders = Folders(place)
        return [await folders.of(each.entry) for each in trials]

    made = asyncio.run(make())

    assert len({folder for folder, _ in made}) == len({place.patch(each.entry.file, 0) for each in trials}) == 2
    for trial, (folder, tests) in zip(trials, made, strict=True):
        assert f"# {trial.problem.id}" in tests[0].read_text(encoding="utf-8")
        assert folder.parent == place.work
        assert folder.name.isascii()
