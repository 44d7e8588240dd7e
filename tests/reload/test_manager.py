"""Reading the settings again: exchanged whole, or not at all."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from infrastructure.config.errors import ConfigError, Problem
from infrastructure.config.manager import ConfigurationManager, Fixed, NotReloaded, Reloaded
from infrastructure.config.settings import Settings
from infrastructure.events.reloads import event_of
from tests.reload.files import HOME, Told, manager_of

SECRETS = ("hush-token", "hush-password", "hush-door")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    place = tmp_path / "corral.toml"
    place.write_text("[pool]\nqueue_length = 10\n")
    return place


async def test_a_changed_file_is_another_snapshot_and_the_one_before_stays_as_it_was(file: Path):
    manager, told = await manager_of(file), Told()
    manager.subscribe(told)
    before = manager.current
    file.write_text("[pool]\nqueue_length = 20\n")

    news = await manager.reload()

    assert news == Reloaded(before, manager.current, ("pool.queue_length",))
    assert (before.pool.queue_length, manager.current.pool.queue_length) == (10, 20)
    assert told.news == [news]
    assert event_of(news).model_dump(include={"kind", "changed", "later"}) == {
        "kind": "config.reloaded", "changed": ("pool.queue_length",), "later": (),
    }  # fmt: skip


async def test_an_invalid_file_changes_nothing_and_says_why_in_the_words_of_loading(file: Path):
    manager, told = await manager_of(file), Told()
    manager.subscribe(told)
    before = manager.current
    file.write_text('[pool]\nqueue_length = 0\nnum_predct = 5\nphases = "x"\n')

    news = await manager.reload()

    with pytest.raises(ConfigError) as raised:
        await manager_of(file)
    assert news == NotReloaded(raised.value.problems)
    assert len(raised.value.problems) == 3
    assert manager.current is before
    assert manager.problems == raised.value.problems
    assert "did you mean pool.num_predict?" in str(told.news[0])
    assert event_of(news).model_dump()["problems"] == tuple(map(str, raised.value.problems))


async def test_a_file_that_is_right_again_is_told_although_nothing_is_different(file: Path):
    manager, told = await manager_of(file), Told()
    manager.subscribe(told)
    right = file.read_text()
    file.write_text("[pool")
    await manager.reload()
    file.write_text(right)
    await manager.reload()
    await manager.reload()

    assert [type(news) for news in told.news] == [NotReloaded, Reloaded]
    assert str(told.news[1]) == "settings read: they are what holds already"
    assert manager.problems == ()


async def test_what_wants_a_new_start_is_told_and_left_as_it_is(file: Path, tmp_path: Path):
    manager = await manager_of(file)
    data = manager.current.paths.data
    file.write_text(f'[pool]\nqueue_length = 20\n[serve]\nport = 9999\n[paths]\ndata = "{tmp_path}"\n')

    news = await manager.reload()

    assert isinstance(news, Reloaded)
    assert (news.changed, news.later) == (
        ("pool.queue_length", "paths.data", "serve.port"),
        ("paths.data", "serve.port"),
    )
    assert (manager.current.paths.data, manager.current.serve.port) == (data, 8765)
    assert manager.waiting == ("paths.data", "serve.port")
    assert str(news) == "settings reloaded: pool.queue_length; paths.data, serve.port want a new start"

    file.write_text("[pool]\nqueue_length = 20\n")
    news = await manager.reload()
    assert isinstance(news, Reloaded)
    assert (news.changed, news.later) == (("paths.data", "serve.port"), ())
    assert manager.waiting == ()


async def test_a_file_that_is_gone_takes_nothing_away_and_one_that_is_back_holds(file: Path):
    manager = await manager_of(file)
    file.unlink()
    news = await manager.reload()
    assert isinstance(news, NotReloaded)
    assert str(news.problems[0]) == f"file {file}: it is gone; an empty file means the defaults"
    assert manager.current.pool.queue_length == 10

    file.write_text("")
    assert isinstance(await manager.reload(), Reloaded)
    assert manager.current.pool.queue_length == 1000


async def test_a_file_that_was_never_there_counts_from_when_it_is(tmp_path: Path):
    file = tmp_path / "home" / ".config" / "corral" / "corral.toml"
    manager = await manager_of(file, {"HOME": str(tmp_path / "home")})
    assert isinstance(await manager.reload(), Reloaded)
    file.parent.mkdir(parents=True)
    file.write_text('model = "m"\n')
    await manager.reload()
    assert manager.current.model == "m"


async def test_flags_and_environment_still_go_before_the_file(file: Path):
    manager = await manager_of(file, {**HOME, "CORRAL_POOL__QUEUE_LENGTH": "7"}, {"model": "said"})
    file.write_text('model = "written"\n[pool]\nqueue_length = 20\nnum_predict = 9\n')
    news = await manager.reload()
    assert isinstance(news, Reloaded)
    assert news.changed == ("pool.num_predict",)
    assert (manager.current.model, manager.current.pool.queue_length) == ("said", 7)
    assert manager.origins["pool.num_predict"] == f"file {file}"


async def test_no_secret_is_in_what_is_told(file: Path):
    manager, told = await manager_of(file), Told()
    manager.subscribe(told)
    with_secrets = (
        'servers = [{ url = "http://me:hush-password@gpu1", token = "hush-token" }]\n[serve]\npassword = "hush-door"\n'
    )
    wrong = with_secrets.replace('"hush-token"', '["hush-token"]').replace('"hush-door"', '{ a = "hush-door" }')
    for text in (with_secrets, wrong, with_secrets.replace("hush-token", "hush-token-2"), with_secrets + "}"):
        file.write_text(text)
        await manager.reload()

    assert len(told.news) == 4
    said = [str(news) for news in told.news] + [event_of(news).model_dump_json() for news in told.news]
    assert not [text for text in said for secret in SECRETS if secret in text]
    assert "servers[0].token" in said[2]


async def test_a_certificate_file_that_cannot_be_read_is_found_before_it_is_needed(file: Path):
    manager = await manager_of(file)
    file.write_text('servers = [{ url = "https://gpu1", ca_file = "/no/such.pem" }]\n')
    news = await manager.reload()
    assert str(news) == (
        f"settings not reloaded, those before stay: file {file}: servers[0].ca_file: /no/such.pem cannot be read"
        " (No such file or directory); write the path of a PEM file"
    )


async def test_a_part_that_fails_keeps_the_news_from_nobody(file: Path, caplog: pytest.LogCaptureFixture):
    manager, told = await manager_of(file), Told()

    def fail(news: object) -> None:
        raise RuntimeError("defect")

    manager.subscribe(fail)
    end = manager.subscribe(told)
    file.write_text('model = "m"\n')
    await manager.reload()
    assert len(told.news) == 1
    assert "a part could not take the news" in caplog.text

    end()
    file.write_text('model = "n"\n')
    await manager.reload()
    assert len(told.news) == 1


async def test_reloads_that_come_together_take_turns(file: Path):
    manager, told = await manager_of(file), Told()
    manager.subscribe(told)
    file.write_text('model = "m"\n')
    await asyncio.gather(*(manager.reload() for _ in range(5)))
    assert len(told.news) == 1


async def test_settings_without_a_file_are_fixed():
    manager = ConfigurationManager.fixed(Settings())
    with pytest.raises(Fixed):
        await manager.reload()
    with pytest.raises(Fixed):
        await manager.watch()


@dataclass
class Words:
    """A companion: a folder of files of one word each."""

    folder: Path
    holds: dict[str, str] = field(default_factory=dict[str, str])

    @property
    def places(self) -> Sequence[Path]:
        return [self.folder]

    def read(self, settings: Settings) -> _Read:
        found = {file.stem: file.read_text() for file in self.folder.iterdir()}
        if bad := [name for name, text in found.items() if " " in text]:
            raise ConfigError(Problem(f"file {self.folder / bad[0]}", "", "it has two words", "one"))
        return _Read(self, found)


@dataclass
class _Read:
    words: Words
    found: dict[str, str]

    @property
    def changed(self) -> tuple[str, ...]:
        return tuple(f"words.{name}" for name, text in self.found.items() if self.words.holds.get(name) != text)

    def apply(self) -> None:
        self.words.holds = self.found


async def test_companions_are_exchanged_with_the_settings_or_neither_is(file: Path, tmp_path: Path):
    manager, words = await manager_of(file), Words(tmp_path / "words")
    words.folder.mkdir()
    await manager.include(words)
    (words.folder / "a").write_text("one")
    file.write_text('model = "m"\n')
    news = await manager.reload()
    assert isinstance(news, Reloaded)
    assert news.changed == ("model", "pool.queue_length", "words.a")

    (words.folder / "a").write_text("two")
    (words.folder / "b").write_text("one two")
    file.write_text('model = "n"\n')
    assert isinstance(await manager.reload(), NotReloaded)
    assert (manager.current.model, words.holds) == ("m", {"a": "one"})

    (words.folder / "b").write_text("three")
    await manager.reload()
    assert (manager.current.model, words.holds) == ("n", {"a": "two", "b": "three"})
