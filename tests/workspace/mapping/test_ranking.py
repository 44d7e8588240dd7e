"""Which files come first, and what is said of them within a budget."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from infrastructure.workspace.mapping.graph import COMMON, graph_of
from infrastructure.workspace.mapping.parsing import tags_of
from infrastructure.workspace.mapping.ranking import Focus, callees, rank
from infrastructure.workspace.mapping.rendering import NO_MAP, MapBudget, render
from infrastructure.workspace.mapping.tags import FileTags
from infrastructure.workspace.mapping.tokens import estimate_tokens
from infrastructure.workspace.mapping.words import names_in, parts_of, words_in
from tests.fuzzing import examples

SOURCES = {
    "app/jar.py": "class CookieJar:\n    def expire(self): ...\n    def _sweep(self): ...\n\nLIMIT = 3\n",
    "app/client.py": "from app.jar import CookieJar\n\nclass Client:\n    def send(self): return CookieJar()\n",
    "app/report.py": "def print_report(rows): ...\n",
    "app/unused.py": "def nobody(): ...\n",
    "tests/test_jar.py": "from app.jar import CookieJar\n\ndef test_cookies_expire():\n    CookieJar().expire()\n",
    "web/jar.js": "export class CookieJar {}\n",
}


def tags(sources: Mapping[str, str] = SOURCES) -> dict[str, FileTags]:
    language = {"py": "python", "js": "javascript"}
    return {path: tags_of(text.encode(), language[path.rpartition(".")[2]]) for path, text in sources.items()}


def order(task: str, **focus: tuple[str, ...]) -> list[str]:
    return list(rank(graph_of(tags(), ["README.md", "docs/report.md"]), Focus(task=task, **focus)).files)


def words(text: str) -> int:
    return len(text.split())


def test_file_whose_words_the_task_has_comes_first():
    assert order("cookies that have expired are sent again")[0] == "app/jar.py"
    assert order("the report prints its rows twice")[0] == "app/report.py"


def test_name_of_a_definition_counts_more_than_words():
    assert order("`Client.send` prints the cookies of the jar")[0] == "app/client.py"


def test_named_file_comes_first_and_lifts_what_it_uses():
    found = order("make it faster", files=("app/client.py",))
    assert found[:2] == ["app/client.py", "app/jar.py"]


def test_failing_test_lifts_the_code_it_uses():
    assert order("make the tests pass", failing=("tests/test_jar.py",)).index("app/jar.py") < 2


def test_code_goes_before_its_tests():
    found = order("cookies expire")
    assert found.index("app/jar.py") < found.index("tests/test_jar.py")


def test_every_file_has_its_place_and_the_order_is_always_the_same():
    assert sorted(order("cookies")) == sorted([*SOURCES, "README.md", "docs/report.md"])
    assert order("cookies of the report") == order("cookies of the report")


def test_scores_are_shares_of_one():
    ranking = rank(graph_of(tags()), Focus(task="cookies"))
    assert sum(ranking.files.values()) <= 1.0000001
    assert all(score > 0 for score in ranking.files.values())


@pytest.mark.parametrize("task", ["", "的 ё ☃", "the and of", "x" * 10_000])
def test_task_that_says_nothing_still_ranks(task: str):
    assert len(order(task)) == len(SOURCES) + 2


def test_references_stay_within_a_language():
    edges = {(each.source, each.target) for each in graph_of(tags()).edges}
    paths = graph_of(tags()).paths
    assert not any("web/jar.js" in (paths[source], paths[target]) for source, target in edges)


def test_name_that_many_files_define_points_nowhere():
    many = {f"m{number}.py": "def main_program(): ...\n" for number in range(COMMON + 1)}
    assert not graph_of(tags({**many, "use.py": "main_program()\n"})).edges
    assert graph_of(tags({**dict(list(many.items())[:2]), "use.py": "main_program()\n"})).edges


def test_empty_repository_has_an_empty_map():
    graph = graph_of({})
    assert render(rank(graph, Focus(task="x")), {}, MapBudget(100)) == NO_MAP


# ------------------------------------------------------------------------------------------------ as text


def draw(tokens: int, task: str = "cookies expire", count: Callable[[str], int] = words) -> str:
    found = tags()
    return render(rank(graph_of(found, ["README.md"]), Focus(task=task)), found, MapBudget(tokens, count)).text


def test_map_shows_files_with_indented_signatures_and_no_bodies():
    text = draw(1000)
    assert text.startswith("app/jar.py\n  class CookieJar\n    def expire(self)\n")
    assert "return" not in text
    assert "README.md" in text.split("\n")


def test_method_brings_its_class():
    lines = draw(6).split("\n")
    assert lines[0] == "app/jar.py"
    assert all(line.startswith("  class") for line in lines[1:2])


@settings(max_examples=examples(30), deadline=None)
@given(
    tokens=st.integers(min_value=-1, max_value=400),
    count=st.sampled_from([words, estimate_tokens, len, lambda text: len(text) % 97]),
)
def test_map_is_never_over_its_budget(tokens: int, count: Callable[[str], int]):
    found = tags()
    drawn = render(rank(graph_of(found), Focus(task="cookies")), found, MapBudget(tokens, count))
    assert drawn == NO_MAP or count(drawn.text) == drawn.tokens <= tokens


def test_larger_budget_shows_at_least_as_much():
    sizes = [len(draw(tokens)) for tokens in range(0, 60, 3)]
    assert sizes == sorted(sizes)
    assert sizes[0] == 0


def test_map_counts_what_it_leaves_out():
    found = tags()
    drawn = render(rank(graph_of(found), Focus(task="cookies")), found, MapBudget(4, words))
    assert len(drawn.files) + drawn.left_out == len(found)


def test_interfaces_are_only_what_is_used_of_files_that_are_not_shown():
    found = tags()
    drawn = render(callees(graph_of(found), ["app/client.py"]), found, MapBudget(100, words), named_only=True)
    assert drawn.text == "app/jar.py\n  class CookieJar"


def test_interfaces_of_a_method_name_its_class():
    found = tags()
    drawn = render(callees(graph_of(found), ["tests/test_jar.py"]), found, MapBudget(100, words), named_only=True)
    assert drawn.text == "app/jar.py\n  class CookieJar\n    def expire(self)"


def test_files_can_be_left_out():
    ranking = rank(graph_of(tags()), Focus(task="cookies"))
    assert "app/jar.py" not in ranking.without({"app/jar.py"}).files


# ------------------------------------------------------------------------------------------------ words


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("CookieJar.get_all", ("cook", "jar", "get", "all")),
        ("HTTPServer", ("http", "serv")),
        ("parsing/parsers", ("pars", "pars")),
        ("x", ()),
        ("данные_пользователя", ("данные", "пользователя")),
    ],
)
def test_names_are_cut_into_words(name: str, parts: tuple[str, ...]):
    assert parts_of(name) == parts


def test_words_that_say_nothing_are_left_out():
    assert list(words_in("Fix the error when cookies are used")) == ["cook"]


def test_names_of_code_are_told_from_prose():
    assert list(names_in("Make Client.send use `read_rows` in HTTPServer, please. Done")) == [
        "Client",
        "send",
        "read_rows",
        "HTTPServer",
    ]


def test_estimate_is_above_a_tokenizer_of_four_bytes_a_token():
    code = "def rows(self, since: date) -> list[Row]:\n    return [row for row in self._rows if row.date >= since]\n"
    assert len(code) / 4 < estimate_tokens(code) < len(code) / 2
    assert estimate_tokens("") == 0
