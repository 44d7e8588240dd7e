"""A prompt is cut part by part, in the role's order, by each part's rule, until it keeps its budget; and it is told."""

from __future__ import annotations

from dataclasses import fields, replace

import pytest

from agents.codegen import CODER, PLANNER, REFLECTOR, CoderQuestion, PlannerQuestion, ReflectorQuestion, Repair
from agents.codegen.material import SourceFile
from agents.errors import WindowTooSmall, wide_enough
from agents.fitting import LONGEST_PROMPT, Room
from agents.model import Question
from agents.role import Again
from agents.trimming import Rule, Trim, cut, said, size_of, told
from infrastructure.transport.window import TOKENS_PER_BYTE, estimate_tokens
from infrastructure.workflow.lanes import ROLE_NAMES
from tests.agents.test_codegen import PLAN, questions

FILES = tuple(SourceFile(f"f{number}.py", f"x = {number}\n" * 200) for number in range(6))
PLANNED = PlannerQuestion(task="t", summary="s", files=FILES)


def words(question: Question) -> int:
    """A count that is easy to follow: a word is a token."""
    return sum(len(message.content.split()) for message in question.messages)


def room(window: int) -> Room:
    return Room(window=window, count=words)


def test_what_fits_is_sent_as_it_is() -> None:
    draft = PLANNER.question(PLANNED)
    fitted = draft.fit(room(100_000))
    assert fitted.question == Question(
        messages=draft.messages, format=draft.format, think=draft.think, options=draft.options
    )
    assert fitted.trimmed == ()
    assert "".join(section.text for section in fitted.sections if section.name not in ("system", "schema")).strip(
        "\n"
    ) == (draft.messages[1].content)


def test_sections_are_named_and_add_up() -> None:
    fitted = PLANNER.question(PLANNED).fit(room(100_000))
    assert [section.name for section in fitted.sections] == ["system", "schema", "files", "task", "summary"]
    assert sum(section.tokens for section in fitted.sections) == fitted.tokens == words(fitted.question)
    assert max(fitted.sections, key=lambda section: section.tokens).name == "files"


def test_pieces_go_whole_from_the_end_and_the_prompt_says_how_many() -> None:
    whole = words(PLANNER.question(PLANNED))
    window = whole * 3 // 2 - 900
    fitted = PLANNER.question(PLANNED).fit(room(window))
    (trimmed,) = fitted.trimmed
    assert (trimmed.part, trimmed.rule, trimmed.before, trimmed.unit) == ("files", Rule.FROM_END, 6, "pieces")
    assert trimmed.gone == tuple(file.path for file in FILES[trimmed.after :])
    user = fitted.question.messages[1].content
    assert FILES[trimmed.after - 1].content in user
    assert FILES[trimmed.after].path not in user
    assert f"({6 - trimmed.after} more left out for want of room)" in user
    one_more = replace(PLANNED, files=FILES[: trimmed.after + 1])
    said_words = len(["(1", "more", "left", "out", "for", "want", "of", "room)"])
    limit = room(window).prompt_limit(2_048)
    assert fitted.tokens <= limit < words(PLANNER.question(one_more)) + said_words


def test_less_important_parts_go_first_and_the_planned_files_never() -> None:
    repair = Repair("why " * 900, "E   assert\n" * 2_000, FILES[:1])
    plan = PLAN.model_copy(update={"files": ["f0.py", "f1.py"]})
    question = CoderQuestion(task="t", plan=plan, files=FILES, repair=repair)
    parts = [trim.part for trim in CODER.question(question).fit(room(7_600)).trimmed]
    assert parts == ["repair.failing", "repair.failing", "repair.diagnosis"], "the bound, then what the window wants"
    tight = CODER.question(question).fit(room(2_700))
    assert [trim.part for trim in tight.trimmed if trim.part == "files"] == ["files"]
    assert FILES[1].content in tight.question.messages[1].content
    with pytest.raises(WindowTooSmall):
        CODER.question(replace(question, repair=None)).fit(room(1_300))


def test_originals_go_last_where_the_last_attempt_has_changed_them() -> None:
    plan = PLAN.model_copy(update={"files": ["f0.py"]})
    question = CoderQuestion(task="t", plan=plan, files=FILES[:1], repair=Repair("why", "E", FILES[:1]))
    fitted = CODER.question(question).fit(room(1_250))
    last = fitted.trimmed[-1]
    assert (last.part, last.before, last.after) == ("files", 1, 0)
    assert FILES[0].content in fitted.question.messages[1].content, "as the last attempt left it"


def test_the_oldest_attempts_go_and_the_others_keep_their_numbers() -> None:
    attempts = tuple(f"attempt {number} " + "failed " * 60 for number in range(20))
    fitted = REFLECTOR.question(ReflectorQuestion(task="t", plan=PLAN, attempts=attempts)).fit(room(1_600))
    (trimmed,) = fitted.trimmed
    assert (trimmed.part, trimmed.rule) == ("attempts", Rule.OLDEST)
    user = fitted.question.messages[1].content
    assert "attempt 19 " in user
    assert "attempt 0 " not in user
    assert "## Attempt 20 (data" in user
    assert f"(The first {20 - trimmed.after} attempts are left out" in user


def test_the_answer_gets_what_is_left_and_at_least_its_share() -> None:
    small, large = (PLANNER.question(PLANNED).fit(room(window)) for window in (1_500, 30_000))
    assert small.answer == 1_500 - small.tokens
    assert small.answer >= 1_500 // 3
    assert small.question.options["num_predict"] == small.answer
    assert large.answer == large.question.options["num_predict"] == PLANNER.options["num_predict"]


def test_no_prompt_is_longer_than_models_can_follow() -> None:
    huge = replace(PLANNED, files=tuple(SourceFile(f"f{number}.py", "word " * 9_000) for number in range(9)))
    fitted = PLANNER.question(huge).fit(room(1_000_000))
    assert LONGEST_PROMPT // 2 < fitted.tokens <= LONGEST_PROMPT


def test_a_bad_answer_is_cut_before_anything_that_came_before_it() -> None:
    again = Again(answer="bad " * 2_000, wanted="Answer again.")
    fitted = PLANNER.question(PLANNED, again).fit(room(6_000))
    assert [trim.part for trim in fitted.trimmed] == ["again.answer"]
    assert fitted.question.messages[:2] == PLANNER.question(PLANNED).messages
    assert fitted.question.messages[3].content == "Answer again."


@pytest.mark.parametrize(
    ("estimated", "counted", "window", "after"),
    [
        (1_000, 2_000, None, (8_192, 2.1)),
        (1_000, None, None, (8_192, 1.5)),
        (3_000, 3_000, 2_048, (2_048, 1.0)),
        (1_000, 9_000, 8_192, (8_192, 9.45)),
        (1_000, None, 2_048, (2_048, 1.5)),
        (5_000, 4_800, 4_096, (4_096, 1.0)),
    ],
)
def test_a_refusal_makes_the_room_smaller(
    estimated: int, counted: int | None, window: int | None, after: tuple[int, float]
) -> None:
    found = room(8_192).after_refusal(estimated, counted, window)
    assert (found.window, pytest.approx(found.factor)) == after


def test_an_error_says_the_window_the_need_and_what_to_do() -> None:
    with pytest.raises(WindowTooSmall) as caught:
        PLANNER.question(PLANNED).fit(room(100))
    error = caught.value
    assert error.need > error.window == 100
    assert f"{error.need:,}" in str(error)
    assert f"{wide_enough(error.need):,}" in error.hint


@pytest.mark.parametrize(("need", "window"), [(1, 1), (4_096, 4_096), (4_097, 8_192), (20_000, 32_768)])
def test_a_window_is_proposed_that_is_wide_enough(need: int, window: int) -> None:
    assert wide_enough(need) == window


# ------------------------------------------------------------------------------------------ rules


@pytest.mark.parametrize(
    ("trim", "size", "keep", "left"),
    [
        (Trim(part="files", rule=Rule.FROM_END), 6, 2, FILES[:2]),
        (Trim(part="files", rule=Rule.OLDEST), 6, 2, FILES[4:]),
        (Trim(part="files", rule=Rule.FROM_END), 6, 0, ()),
        (Trim(part="files", rule=Rule.OLDEST), 6, 0, ()),
    ],
)
def test_pieces(trim: Trim, size: int, keep: int, left: object) -> None:
    assert size_of(PLANNED, trim) == size
    assert cut(PLANNED, trim, keep).files == left


@pytest.mark.parametrize("keep", [0, 10, 100])
def test_the_middle_of_every_text_goes_and_that_is_said(keep: int) -> None:
    trim = Trim(part="files", rule=Rule.MIDDLE)
    for file, before in zip(cut(PLANNED, trim, keep).files, FILES, strict=True):
        gone = len(before.content) - keep
        assert file.content.startswith(before.content[: keep // 2])
        assert f"[… {gone} characters left out …]" in file.content
        assert len(file.content) < keep + 50


def test_inner_fields_and_pydantic_values_are_cut_in_copies() -> None:
    question = CoderQuestion(task="t", plan=PLAN, files=(), repair=Repair("d", "x" * 100, ()))
    shorter = cut(question, Trim(part="repair.failing", rule=Rule.MIDDLE), 10)
    assert shorter.repair.failing.startswith("x" * 5 + "\n[…")
    fewer = cut(question, Trim(part="plan.steps", rule=Rule.FROM_END), 1)
    assert fewer.plan.steps == PLAN.steps[:1]
    assert len(question.plan.steps) > 1
    nothing = replace(question, repair=None)
    assert cut(nothing, Trim(part="repair.failing", rule=Rule.MIDDLE), 10) == nothing
    assert size_of(nothing, Trim(part="repair.failing", rule=Rule.MIDDLE)) == 0


def test_a_cut_is_told_in_a_few_words() -> None:
    trim = Trim(part="files", rule=Rule.FROM_END)
    assert said(told(PLANNED, trim, 6, 4)) == "files: 4 of 6 pieces (whole pieces from the end)"


# ------------------------------------------------------------------------------------------ every role


@pytest.mark.parametrize("name", sorted(ROLE_NAMES))
def test_every_part_that_is_cut_is_a_field_with_a_section(name: str) -> None:
    role, question = questions("t")[name]
    for trim in (*role.bounds, *role.trims):
        size_of(question, trim)
        assert trim.where in role.source.blocks("user")


@pytest.mark.parametrize("edit_format", ["whole", "search_replace"])
@pytest.mark.parametrize("name", sorted(ROLE_NAMES))
def test_what_is_fixed_of_a_prompt_takes_1500_tokens_at_most(name: str, edit_format: str) -> None:
    """By the count that is used before anything is known of a model. The rest of the smallest prompt counts as well."""
    role, question = questions("t")[name]
    if name == "coder":
        question = replace(question, edit_format=edit_format)
    assert estimate_tokens(messages=role.question(question).messages[:1], ratio=TOKENS_PER_BYTE) <= 1_500


@pytest.mark.parametrize("window", [2_048, 4_096])
@pytest.mark.parametrize("name", sorted(ROLE_NAMES))
def test_every_part_of_every_role_may_be_endless(name: str, window: int) -> None:
    """What no window ever holds, in every field at once. (What the plan changes is small: it is never cut.)"""
    role, question = questions("word " * 400)[name]
    values = {field.name: getattr(question, field.name) for field in fields(question)}
    long = {field: value * 4_000 for field, value in values.items() if isinstance(value, (str, tuple))}
    endless = {field: value for field, value in long.items() if field not in ("framework", "edit_format")}
    if name == "coder":
        others = tuple(SourceFile(f"other{number}.py", "word " * 900) for number in range(400))
        endless |= {"files": question.files + others, "repair": Repair("why " * 9_000, "E " * 9_000, question.files)}
    counted = Room(window=window, count=lambda asked: estimate_tokens(messages=asked.messages))
    fitted = role.question(replace(question, **endless)).fit(counted)
    assert fitted.tokens + fitted.answer <= window
    assert fitted.trimmed
