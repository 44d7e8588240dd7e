"""Which files a candidate may not change, since they decide how it is judged."""

import pytest

from infrastructure.judge.steering import belongs_to_judge, named_by, names_pytest


@pytest.mark.parametrize(
    ("command", "path"),
    [
        ("make test", "Makefile"),
        ("sh run_tests.sh", "run_tests.sh"),
        ("./check.py", "check.py"),
        ("python3 check.py --all", "check.py"),
        ("npm test", "package.json"),
    ],
)
def test_command_names_what_it_does_its_work_by(command: str, path: str) -> None:
    assert path in named_by(command)


def test_module_that_tests_a_file_does_not_make_it_the_judge() -> None:
    assert "calc.py" not in named_by("python -m doctest calc.py")
    assert named_by("") == frozenset()


@pytest.mark.parametrize("path", ["src/add.test.js", "pkg/foo_test.go", "spec/a_spec.rb", "src/__tests__/a.tsx"])
def test_tests_of_other_languages_belong_to_the_judge(path: str) -> None:
    assert belongs_to_judge(path)
    assert not belongs_to_judge("src/add.js")


@pytest.mark.parametrize("text", ["x = " + "[" * 5000, "x = " + "9" * 5000])
def test_configuration_that_breaks_its_reader_is_only_unreadable(text: str) -> None:
    assert isinstance(names_pytest("pyproject.toml", text.encode()), bool)
