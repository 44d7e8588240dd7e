"""What the simulated models say."""

import json

import pytest
from pydantic import ValidationError

from infrastructure.simulator import ModelSpec, default_models
from tests.simulator.talk import HI, Sim, ask, chat, settings, text_of


async def said(*, model: str = "m", spec: ModelSpec | None = None, messages: object = HI, **more: object) -> str:
    models = default_models() if spec is None else (spec,)
    async with Sim(settings(*models)) as sim:
        _, answer = await ask(sim, "/api/chat", model=model, messages=messages, stream=False, **more)
        return answer["message"]["content"]


async def test_echo_says_the_last_message():
    messages = [*HI, {"role": "assistant", "content": "yes?"}, {"role": "user", "content": "naïve\n\n  42 日本"}]

    assert await said(model="echo", messages=messages) == "naïve\n\n  42 日本"


async def test_random_says_the_same_for_the_same_seed_and_another_for_another():
    one = await said(model="random", options={"seed": 1})

    assert one == await said(model="random", options={"seed": 1})
    assert one != await said(model="random", options={"seed": 2})


async def test_random_says_as_many_tokens_as_asked_for():
    async with Sim(settings(*default_models())) as sim:
        last = (await chat(sim, "random", options={"num_predict": 300}))[-1]

        assert (last["eval_count"], last["done_reason"]) == (300, "length")


async def test_text_is_said_whatever_is_asked():
    assert await said(spec=ModelSpec(name="m", text="Just this.")) == "Just this."


async def test_turns_follow_the_conversation():
    spec = ModelSpec(name="m", turns=("first", "second"))
    later = [*HI, {"role": "assistant", "content": "first"}, *HI]

    assert await said(spec=spec) == "first"
    assert await said(spec=spec, messages=later) == "second"
    assert await said(spec=spec, messages=[*later, {"role": "assistant", "content": "x"}, *HI]) == "second"


async def test_a_script_starts_where_the_prompt_ends():
    spec = ModelSpec(name="m", pieces=("alpha", " bravo", " charlie"), tokenizer="bytes")
    async with Sim(settings(spec)) as sim:

        async def after(prompt: str) -> str:
            _, answer = await ask(sim, "/api/generate", model="m", prompt=prompt, raw=True, stream=False)
            return answer["response"]

        assert await after("x\n") == "alpha bravo charlie"
        assert await after("alpha bravo") == " charlie"
        assert await after("something else") == ""


async def test_a_format_overrules_what_a_model_would_say():
    schema = {"type": "object", "properties": {"n": {"type": "integer", "minimum": 3, "maximum": 3}}, "required": ["n"]}

    assert json.loads(await said(model="echo", format=schema)) == {"n": 3}
    assert isinstance(json.loads(await said(model="echo", format="json")), dict)


async def test_any_tag_of_the_oracle_is_the_oracle():
    assert "simulated" in await said(model="oracle:7b")


def test_a_script_has_one_kind_of_text():
    with pytest.raises(ValidationError):
        ModelSpec(name="m", text="a", turns=("b",))


async def test_the_answer_is_the_same_text_streamed_and_whole():
    for model in ("echo", "random", "schema"):
        async with Sim(settings(*default_models())) as sim:
            streamed = text_of(await chat(sim, model))
            _, whole = await ask(sim, "/api/chat", model=model, messages=HI, stream=False)
            assert streamed == whole["message"]["content"]


async def test_a_schema_that_no_value_fits_is_refused_before_the_first_token():
    async with Sim(settings(*default_models())) as sim:
        status, answer = await ask(sim, "/api/chat", model="schema", messages=HI, format={"type": "quaternion"})

        assert status == 400
        assert "unknown type quaternion" in json.loads(answer["error"])["error"]["message"]
        assert sim.truth.in_slots() == []
