"""Answers that will come to no end are recognised, and real files are not taken for them."""

from __future__ import annotations

from pathlib import Path

import pytest

from infrastructure.workflow.runaway import REPEATED_CHARS, StreamGuard, is_loop

ROOT = Path(__file__).parents[2]


def fed(text: str, piece: int = 7, *, thinking: bool = False) -> int | None:
    """After how many characters the guard says stop; None if it never does."""
    guard = StreamGuard(thinking_chars=3_000)
    for at in range(0, len(text), piece):
        if guard.feed(text[at : at + piece], thinking=thinking):
            return at + piece
    return None


FUNCTION = '''def handle_{0}(request):
    """Handle request number {0}."""
    return render(request, "{0}.html")


'''


@pytest.mark.parametrize("loop", ["and so on ", "\n", " ", "0, ", "    return None\n", FUNCTION.format(1)])
@pytest.mark.parametrize("before", ["", "def f():\n    return 1\n" + "".join(FUNCTION.format(n) for n in range(40))])
def test_a_loop_is_given_up_soon_after_it_is_one(loop: str, before: str):
    stopped = fed(before + "x" + loop * (8_000 // len(loop)))
    assert stopped is not None
    assert len(before) + REPEATED_CHARS <= stopped <= len(before) + max(REPEATED_CHARS, 6 * len(loop)) + 900


@pytest.mark.parametrize("file", sorted((ROOT / "infrastructure").rglob("*.py")), ids=lambda file: file.stem)
def test_the_files_of_this_project_are_no_loops(file: Path):
    assert fed(file.read_text(), 50) is None


@pytest.mark.parametrize(
    "text",
    [
        "".join(FUNCTION.format(number) for number in range(200)),
        "\n".join(f"    ({number}, {number * 7}, 'row {number}')," for number in range(500)),
        "# " + "=" * 1_000 + "\n",
        "def f():\n" + "".join(f"    x{n} = 0\n" for n in range(300)),
        (FUNCTION.format(1) * 5 + FUNCTION.format(2)) * 3,
    ],
)
def test_what_is_only_alike_is_no_loop(text: str):
    assert fed(text) is None


def test_thinking_without_an_answer_is_given_up_and_thinking_before_one_is_not():
    thought = " ".join(f"Then {number} is to be looked at." for number in range(200))
    assert fed(thought, thinking=True) == pytest.approx(3_000, abs=10)
    guard = StreamGuard(thinking_chars=3_000)
    assert not guard.feed(thought[:2_900], thinking=True)
    assert not guard.feed("The answer", thinking=False)
    assert not guard.feed(thought, thinking=True), "what is thought between words of the answer is not without one"


def test_thinking_in_a_loop_is_given_up_too():
    guard = StreamGuard()
    said = [guard.feed("But wait. ", thinking=True) for _ in range(300)]
    assert "repeated" in said


def test_a_loop_in_the_thinking_does_not_follow_into_the_answer():
    assert is_loop("wait " * 400)
    guard = StreamGuard()
    for _ in range(200):
        guard.feed("wait ", thinking=True)
    assert not guard.feed("wait " * 100, thinking=False), "a thousand characters of it are no loop"
