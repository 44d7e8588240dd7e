"""Which files a candidate may not change, since they decide how it is judged."""

import pytest

from infrastructure.judge.steering import belongs_to_judge, is_test_by_name, named_by, names_pytest, steers


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


@pytest.mark.parametrize("command", ["pytest --doctest-modules src/calc.py", "pytest --doctest-glob='*.md' calc.py"])
def test_command_that_names_the_code_it_tests_leaves_it_to_the_patch(command: str) -> None:
    assert not {"calc.py", "src/calc.py"} & named_by(command)


@pytest.mark.parametrize(
    "path",
    ["cheat.dist-info/entry_points.txt", "src/cheat-1.0.dist-info/METADATA", "a.egg-info", "x/A.EGG-INFO/PKG-INFO",
     "x.egg/EGG-INFO/PKG-INFO"],
)  # fmt: skip
def test_package_metadata_steers_since_it_can_name_plugins(path: str) -> None:
    assert steers(path)
    assert belongs_to_judge(path)


@pytest.mark.parametrize("path", ["info.py", "dist-info.md", "egg-info.txt", "docs/egg.info/x"])
def test_other_names_do_not_steer(path: str) -> None:
    assert not steers(path)


@pytest.mark.parametrize(
    "path", ["test_a.py", "pkg/a_test.py", "tests.py", "a/test.py", "web/a.spec.ts", "x/y_test.go"]
)
def test_file_that_is_nothing_but_a_test_is_known_by_its_name(path: str) -> None:
    assert is_test_by_name(path)


@pytest.mark.parametrize(
    "path", ["testing.py", "tester.py", "contest.py", "tests/helper.py", "latest_a.py", "test_a.txt"]
)
def test_file_that_others_may_need_is_no_test_by_its_name(path: str) -> None:
    assert not is_test_by_name(path)


@pytest.mark.parametrize("path", ["src/add.test.js", "pkg/foo_test.go", "spec/a_spec.rb", "src/__tests__/a.tsx"])
def test_tests_of_other_languages_belong_to_the_judge(path: str) -> None:
    assert belongs_to_judge(path)
    assert not belongs_to_judge("src/add.js")


@pytest.mark.parametrize("text", ["x = " + "[" * 5000, "x = " + "9" * 5000])
def test_configuration_that_breaks_its_reader_is_only_unreadable(text: str) -> None:
    assert isinstance(names_pytest("pyproject.toml", text.encode()), bool)
