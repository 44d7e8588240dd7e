"""Images on their way to a server, and what the pool makes of prompts whose length it cannot tell."""

from __future__ import annotations

import pytest

from agents.model import Message
from infrastructure.simulator import Simulator, SimulatorSettings
from infrastructure.transport.errors import OllamaError
from tests.pool.servers import ENDLESS, WORDS, pool_over, simulator

SEEN = Message("user", "what is this?", images=("aGk=",))


def old(**more: int) -> Simulator:
    return Simulator(SimulatorSettings(version="0.24.0", models=(WORDS, ENDLESS), time_scale=0, **more))


async def test_images_reach_the_server_in_our_form_and_in_ollamas():
    async with pool_over(old()) as pool:
        ours = await pool.chat(model="words", messages=[SEEN])
        theirs = await pool.chat(
            model="words", messages=[{"role": "user", "content": "what is this?", "images": ["aGk="]}]
        )
        assert ours.text == theirs.text == "one two three four five"
        with pytest.raises(OllamaError, match="base64"):
            await pool.chat(model="words", messages=[Message("user", "and this?", images=("no base64",))])
    async with pool_over(simulator()) as pool:  # takes none, and says so: it saw that there is one
        with pytest.raises(OllamaError, match="Multimodal"):
            await pool.chat(model="words", messages=[SEEN])


async def test_an_answer_to_an_image_has_the_pools_longest_length_unless_it_is_given_one():
    async with pool_over(old(num_ctx=16384)) as pool:
        assert (await pool.chat(model="words", messages=[SEEN])).num_predict == 4096
        assert (await pool.chat(model="endless", messages=[SEEN], options={"num_predict": 9})).num_predict == 9


async def test_a_prompt_with_an_image_teaches_nothing_of_the_length_of_texts():
    text = Message("user", "words " * 400)
    async with pool_over(old()) as pool:
        before = (await pool.room("words")).ratio
        await pool.chat(model="words", messages=[Message("user", text.content, images=("aGk=",))])
        assert (await pool.room("words")).ratio == before
        await pool.chat(model="words", messages=[text])
        assert (await pool.room("words")).ratio != before
