"""The shipped fake of the language model."""

import pytest

from agents.errors import ScriptEndedError
from agents.model import Completion, Message, Question
from agents.scripted import ScriptedModel

QUESTION = Question(messages=(Message(role="user", content="hello"),))


async def test_replies_come_in_order_and_questions_are_kept():
    model = ScriptedModel(["one", Completion(text="two", finish="length")])
    assert await model.answer(QUESTION) == Completion(text="one")
    assert (await model.answer(QUESTION)).finish == "length"
    assert model.asked == [QUESTION, QUESTION]


async def test_a_used_up_script_is_an_error_that_counts():
    model = ScriptedModel(["one"])
    await model.answer(QUESTION)
    with pytest.raises(ScriptEndedError) as caught:
        await model.answer(QUESTION)
    assert caught.value.answers == 1
    assert len(model.asked) == 2


async def test_a_function_sees_the_question():
    model = ScriptedModel(lambda question: question.messages[0].content.upper())
    assert (await model.answer(QUESTION)).text == "HELLO"
