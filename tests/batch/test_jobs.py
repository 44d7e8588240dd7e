"""Lines of a jobs' file: what is taken, and what is told of a line that cannot be."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from infrastructure.batch import BadJobs, read_jobs
from tests.batch.conftest import job_line, problem, write_lines


def test_humaneval_problem_becomes_a_stub_with_its_test_and_no_solution(tmp_path: Path) -> None:
    (entry,) = read_jobs(write_lines(tmp_path / "jobs", [job_line(problem(3))]))
    assert entry.job.id == "Tiny/3"
    assert entry.job.prompt == "Implement add_3 in solution.py as its docstring says (problem Tiny/3)."
    assert entry.job.files == {"solution.py": problem(3).stub}
    assert entry.job.tests == {"test_solution.py": problem(3).test_file}
    assert entry.solution == "solution.py"
    assert "return x" not in entry.job.model_dump_json()


def test_own_form_finds_tests_in_the_repository_then_beside_the_file(tmp_path: Path) -> None:
    repo = tmp_path / "repo"
    repo.mkdir()
    (repo / "test_a.py").write_text("a")
    for place in (tmp_path, repo):
        (place / "test_both.py").write_text(str(place))
    (tmp_path / "test_b.py").write_text("b")
    line = {
        "id": "1",
        "prompt": "p",
        "repo": "repo",
        "tests": ["test_a.py", "test_b.py", "test_both.py"],
        "meta": {"a": [1]},
    }
    (entry,) = read_jobs(write_lines(tmp_path / "jobs", [line]))
    assert entry.repo == repo
    assert entry.tests == (repo / "test_a.py", tmp_path / "test_b.py", repo / "test_both.py")
    assert entry.job.meta == {"a": [1]}


def test_empty_lines_and_a_byte_order_mark_are_no_jobs(tmp_path: Path) -> None:
    file = tmp_path / "jobs"
    file.write_bytes(b"\xef\xbb\xbf" + b'{"id": "a", "prompt": "p"}\n\n  \n{"id": "b", "prompt": "p"}')
    assert [(entry.job.id, entry.line) for entry in read_jobs(file)] == [("a", 1), ("b", 4)]


GOOD = {"id": "good", "prompt": "p"}


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("{", "it is no JSON"),
        ("[1]", "it is no JSON object"),
        ("\udcff", "it is no JSON"),
        ({"prompt": "p"}, "id: Field required"),
        ({"id": "", "prompt": "p"}, "id: String should have at least 1 character"),
        ({"id": "x" * 151, "prompt": "p"}, "id: String should have at most 150 characters"),
        ({"id": 1, "prompt": "p"}, "id: Input should be a valid string"),
        ({"id": "a"}, "prompt: Field required"),
        ({"id": "a", "prompt": " \n"}, "prompt: it is empty"),
        ({"id": "a", "prompt": "p" * 101}, "prompt: 101 bytes; at most 100 are taken"),
        ({"id": "a", "prompt": "p", "promt": 1}, "promt: Extra inputs are not permitted"),
        ({"id": "a", "prompt": "p", "samples": 0}, "samples: Input should be greater than or equal to 1"),
        ({"id": "a", "prompt": "p", "test_command": "pytest '"}, "test_command: No closing quotation"),
        ({"id": "a", "prompt": "p", "repo": "gone"}, "repo: there is no folder"),
        ({"id": "a", "prompt": "p", "repo": "x" * 256}, "File name too long: "),
        ({"id": "a", "prompt": "p", "tests": ["x" * 256]}, "File name too long: "),
        ({"id": "a", "prompt": "p", "tests": ["gone.py"]}, "tests: there is no file gone.py"),
        ({"id": "a", "prompt": "p", "files": {"../up.py": ""}}, "files: the path '../up.py' "),
        ({"id": "a", "prompt": "p", "files": {"/etc/x": ""}}, "files: "),
        ({"id": "a", "prompt": "p", "files": {".git/config": ""}}, "files: "),
        ({"id": "a", "prompt": "p", "tests": {"a\\..\\b.py": ""}}, "tests: "),
        ({"id": "a", "prompt": "p", "files": {"t.py": ""}, "tests": {"t.py": ""}}, "tests: t.py is among the files"),
        ({"id": "a", "prompt": "p", "files": {"l/a.py": "", "l": ""}}, "files: l cannot be a file and hold l/a.py"),
        ({"id": "a", "prompt": "p", "files": {"c": ""}, "tests": {"c/t": ""}}, "tests: c cannot be a file and"),
        ({"id": "a", "prompt": "p", "files": {"l.py": "", "l/a.py": ""}, "tests": {"l/t.py": "", "la": ""}}, None),
        ({"id": "a", "prompt": "p", "repo": ".", "tests": {"c": "", "c/t": ""}}, None),
        ({"id": "a", "prompt": "p", "repo": ".", "files": {"a.py": ""}}, "files: only for a job without repo"),
        ({"id": "a", "prompt": "p", "repo": ".", "tests": {"x/t": "", "y/t": ""}}, "tests: two files of one name"),
        ({"id": "good", "prompt": "p"}, "id 'good' is that of line 1 too"),
        ({"id": "go/od-2", "prompt": "p", "samples": 1}, None),
        ({"id": "go|od", "prompt": "p"}, "both make the file name 'go-od'"),
        ({"task_id": "T/1", "prompt": "p", "test": "t"}, "entry_point: Field required"),
        ({"task_id": "T/1", "prompt": "p", "entry_point": "a b", "test": "t"}, "entry_point: String should match"),
    ],
)  # fmt: skip
def test_unusable_line_is_told_with_its_number_and_reason(tmp_path: Path, line: object, told: str | None) -> None:
    file = tmp_path / "jobs"
    text = line if isinstance(line, str) else json.dumps(line)
    lines = [json.dumps(GOOD), json.dumps({"id": "go/od", "prompt": "p"}), text]
    file.write_bytes("".join(f"{each}\n" for each in lines).encode("utf-8", "surrogateescape"))
    if told is None:
        assert len(read_jobs(file)) == 3
        return
    with pytest.raises(BadJobs) as caught:
        read_jobs(file, most_bytes=100)
    ((number, problem_told),) = caught.value.problems
    assert number == 3
    assert told in problem_told


def test_all_unusable_lines_are_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(BadJobs) as caught:
        read_jobs(write_lines(tmp_path / "jobs", ["{", GOOD, "[]", {"id": "x"}]))
    assert [number for number, _ in caught.value.problems] == [1, 3, 4]
    assert str(caught.value).count("\n  line ") == 3


@pytest.mark.parametrize("line", [{"repo": "."}, {"tests": ["test_a.py"]}])
def test_folder_whose_name_is_not_utf8_is_told_with_the_line(tmp_path: Path, line: dict[str, object]) -> None:
    folder = tmp_path / "\udcff"
    folder.mkdir()
    (folder / "test_a.py").touch()
    jobs = write_lines(folder / "jobs", [GOOD, {"id": "a", "prompt": "p"} | line])
    with pytest.raises(BadJobs) as caught:
        read_jobs(jobs)
    ((number, told),) = caught.value.problems
    assert number == 2
    assert told.startswith(f"{next(iter(line))}: the path is not UTF-8: ")
    told.encode()


def test_samples_of_one_job_may_not_take_the_file_name_of_another(tmp_path: Path) -> None:
    lines = [{"id": "a", "prompt": "p", "samples": 2}, {"id": "a-1", "prompt": "p"}]
    with pytest.raises(BadJobs, match="both make the file name 'a-1'"):
        read_jobs(write_lines(tmp_path / "jobs", lines))


def test_file_without_a_job_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadJobs, match="it has no job"):
        read_jobs(write_lines(tmp_path / "jobs", ["", " "]))


@pytest.mark.slow
def test_a_hundred_thousand_lines_are_read(tmp_path: Path) -> None:
    lines = ({"id": f"job-{number}", "prompt": "p"} for number in range(100_000))
    assert len(read_jobs(write_lines(tmp_path / "jobs", lines))) == 100_000
