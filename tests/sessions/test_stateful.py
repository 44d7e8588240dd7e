"""Any order of operations, with restarts in between: what was acknowledged is there, in order and in pairs."""

from __future__ import annotations

import asyncio
import tempfile
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from agents.model import Message
from infrastructure.sessions.errors import BadCut, CallReused, SessionExists, UnknownCall, UnknownSession
from infrastructure.sessions.forking import NOT_DONE
from tests.fuzzing import examples
from tests.sessions.parts import Opened, asks, call, opened, user

NAMES = st.sampled_from(["a", "b", "c"])
CALLS = st.lists(st.sampled_from(["p", "q", "r", "s", "t"]), min_size=1, max_size=3, unique=True)
KEYS = st.sampled_from(["", "", "k", "l"])


class Kept:
    """What a session must have: the texts in order, and what is known of keys, calls and summaries."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.keys: dict[str, int] = {}
        self.asked: dict[str, int] = {}
        self.answered: dict[str, int] = {}
        self.upto = 0
        self.title = ""
        self.todos: tuple[str, ...] = ()
        self.agent = "ask"

    @property
    def open(self) -> list[str]:
        return [each for each in self.asked if each not in self.answered]

    def open_at(self, number: int) -> list[str]:
        """Calls asked for up to there whose result is not."""
        asked = [each for each, at in self.asked.items() if at <= number]
        return [each for each in asked if self.answered.get(each, number + 1) > number]


class Sessions(RuleBasedStateMachine):
    """Operations on three sessions and their forks, checked against plain lists."""

    @initialize()
    def begin(self) -> None:
        self.runner = asyncio.Runner()
        self.folder = tempfile.TemporaryDirectory()
        self.known: dict[str, Kept] = {}
        self.count = 0
        self.runner.run(self.open())

    async def open(self) -> None:
        self.stack = AsyncExitStack()
        self.app: Opened = await self.stack.enter_async_context(
            opened(Path(self.folder.name) / "corral.db", flushed=False)
        )

    @property
    def sessions(self):
        return self.app.sessions

    def text(self) -> str:
        self.count += 1
        return f"text {self.count}"

    @rule()
    def restart(self) -> None:
        """Without closing the manager, as after a crash."""
        self.runner.run(self.stack.aclose())
        self.runner.run(self.open())

    @rule(name=NAMES)
    def create(self, name: str) -> None:
        if name in self.known:
            with pytest.raises(SessionExists):
                self.runner.run(self.sessions.create(name))
        else:
            self.runner.run(self.sessions.create(name, agent="ask"))
            self.known[name] = Kept()

    @rule(name=NAMES, key=KEYS, several=st.integers(1, 4))
    def say(self, name: str, key: str, several: int) -> None:
        texts = [self.text() for _ in range(several)]

        async def appends() -> list[int]:
            keys = [key, *[""] * (several - 1)]
            return await asyncio.gather(
                *(
                    self.sessions.append_message(name, user(text), key=each)
                    for text, each in zip(texts, keys, strict=True)
                )
            )

        if name not in self.known:
            with pytest.raises(UnknownSession):
                self.runner.run(self.sessions.append_message(name, user("x")))
            return
        kept, numbers = self.known[name], self.runner.run(appends())
        for position, (number, text) in enumerate(zip(numbers, texts, strict=True)):
            if position == 0 and key and key in kept.keys:
                assert number == kept.keys[key]
                continue
            kept.texts.append(text)
            assert number == len(kept.texts)
            if position == 0 and key:
                kept.keys[key] = number

    @precondition(lambda self: self.known)
    @rule(data=st.data(), calls=CALLS)
    def ask(self, data: st.DataObject, calls: list[str]) -> None:
        name = data.draw(st.sampled_from(sorted(self.known)))
        kept, text = self.known[name], self.text()
        if any(each in kept.asked for each in calls):
            with pytest.raises(CallReused):
                self.runner.run(self.sessions.append_message(name, asks(*calls, text=text)))
            return
        number = self.runner.run(self.sessions.append_message(name, asks(*calls, text=text)))
        kept.texts.append(text)
        assert number == len(kept.texts)
        kept.asked |= dict.fromkeys(calls, number)

    @precondition(lambda self: self.known)
    @rule(data=st.data(), which=st.sampled_from(["p", "q", "r", "s", "t"]))
    def answer(self, data: st.DataObject, which: str) -> None:
        name = data.draw(st.sampled_from(sorted(self.known)))
        kept, text = self.known[name], self.text()
        if which not in kept.asked:
            with pytest.raises(UnknownCall):
                self.runner.run(self.sessions.append_tool_result(name, call(which), text))
            return
        number = self.runner.run(self.sessions.append_tool_result(name, call(which), text))
        if which in kept.answered:
            assert number == kept.answered[which]
            return
        kept.texts.append(text)
        assert number == len(kept.texts)
        kept.answered[which] = number

    @precondition(lambda self: self.known)
    @rule(data=st.data())
    def summarise(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(sorted(self.known)))
        kept, text = self.known[name], self.text()
        upto = data.draw(st.integers(1, len(kept.texts) + 1))
        if not kept.upto < upto <= len(kept.texts) or kept.open_at(upto):
            with pytest.raises(BadCut):
                self.runner.run(self.sessions.append_summary(name, text, upto, ""))
            return
        number = self.runner.run(self.sessions.append_summary(name, text, upto, ""))
        kept.texts.append(text)
        assert number == len(kept.texts)
        kept.upto = upto

    @precondition(lambda self: self.known)
    @rule(data=st.data())
    def fork(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(sorted(self.known)))
        kept = self.known[name]
        upto = data.draw(st.integers(0, len(kept.texts)))
        fork = self.runner.run(self.sessions.fork(name, upto))
        unanswered = kept.open_at(upto)
        messages = self.runner.run(self.sessions.page(fork.session, limit=10**6))
        assert [each.message.content for each in reversed(messages)] == kept.texts[:upto] + [NOT_DONE] * len(unanswered)
        assert {each.answers for each in messages[: len(unanswered)]} == set(unanswered)
        self.runner.run(self.sessions.delete(fork.session))

    @precondition(lambda self: self.known)
    @rule(data=st.data())
    def change(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(sorted(self.known)))
        title, todos = self.text(), (self.text(),)
        agent = data.draw(st.sampled_from(["ask", "coder"]))

        async def changes() -> None:
            await self.sessions.update(name, title=title)
            await self.sessions.set_todos(name, todos)
            await self.app.contexts.switch_agent(name, agent)

        self.runner.run(changes())
        kept = self.known[name]
        kept.title, kept.todos, kept.agent = title, todos, agent

    @precondition(lambda self: self.known)
    @rule(data=st.data())
    def delete(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(sorted(self.known)))
        self.runner.run(self.sessions.delete(name))
        del self.known[name]

    @invariant()
    def all_that_was_acknowledged_is_there(self) -> None:
        for name, kept in self.known.items():
            self.runner.run(self.check(name, kept))

    async def check(self, name: str, kept: Kept) -> None:
        record = await self.sessions.load(name)
        assert (record.last, record.title, record.todos) == (len(kept.texts), kept.title, kept.todos)
        assert (await self.app.contexts.get_or_create(name)).agent == kept.agent == record.agent
        page = tuple(reversed(await self.sessions.page(name, limit=10**6)))
        assert [each.number for each in page] == list(range(1, len(kept.texts) + 1))
        assert [each.message.content for each in page] == kept.texts
        history = self.sessions.get_history(name).messages
        shown = [each for each in page if each.number > kept.upto and not each.upto]
        assert sorted(each.content for each in history if each.role != "system") == sorted(
            each.message.content for each in shown
        )
        assert_in_pairs(history)

    def teardown(self) -> None:
        if hasattr(self, "stack"):
            self.runner.run(self.stack.aclose())
            self.runner.close()
            self.folder.cleanup()


def assert_in_pairs(history: tuple[Message, ...]) -> None:
    """Each result stands among those behind the message that asked for it."""
    asked: list[str] = []
    for each in history:
        if each.role == "tool":
            assert each.tool_call_id in asked
        else:
            asked = [wanted.id or "" for wanted in each.tool_calls]


TestSessions = Sessions.TestCase
TestSessions.settings = settings(
    max_examples=examples(15),
    stateful_step_count=20,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
TestSessions = pytest.mark.slow(TestSessions)
