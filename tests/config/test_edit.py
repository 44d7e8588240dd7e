import stat

import pytest

from infrastructure.config.edit import set_value
from infrastructure.config.errors import ConfigError
from infrastructure.config.load import load_settings

BEFORE = """\
# my machine
model = "small"  # good enough

[pool]
# the rest is fine
num_predict = 100  # tokens

[lanes."q:1.5"]
model = "q:1.5"
"""


@pytest.fixture
def file(tmp_path):
    file = tmp_path / "corral.toml"
    file.write_text(BEFORE)
    return file


def test_value_is_changed_and_every_other_byte_stays(file):
    set_value(file, "model", "big")
    set_value(file, "pool.num_predict", "200")
    assert file.read_text() == BEFORE.replace('"small"', '"big"').replace("100", "200")


@pytest.mark.parametrize(
    ("name", "text", "read"),
    [
        ("run.candidates", "3", lambda settings: settings.run.candidates == 3),
        ("pool.allow_cloud", "true", lambda settings: settings.pool.allow_cloud is True),
        ("pool.phases.connect", "2.5", lambda settings: settings.pool.phases.connect == 2.5),
        ("run.approve", "plan,patch", lambda settings: settings.run.approve == ("plan", "patch")),
        ("servers", "gpu1,gpu2", lambda settings: [s.url for s in settings.servers][1] == "http://gpu2:11434"),
        ("servers", '[{"url": "gpu1", "slots": 4}]', lambda settings: settings.servers[0].slots == 4),
        ('lanes."q:1.5".num_ctx', "8192", lambda settings: settings.lanes["q:1.5"].num_ctx == 8192),
        ('lanes."q:1.5".keep_alive', "30m", lambda settings: settings.lanes["q:1.5"].keep_alive == "30m"),
        ('lanes."q:1.5".keep_alive', "-1", lambda settings: settings.lanes["q:1.5"].keep_alive == -1),
        ("roles.coder", "q:1.5", lambda settings: settings.roles == {"coder": "q:1.5"}),
        ("sandbox.read", "/opt/lib", lambda settings: [str(path) for path in settings.sandbox.read] == ["/opt/lib"]),
    ],
)
def test_set_value_is_loaded_back_and_the_comments_are_there(file, name, text, read):
    set_value(file, name, text)
    assert read(load_settings(file, {}).settings)
    for comment in ("# my machine", "# good enough", "# the rest is fine", "# tokens"):
        assert comment in file.read_text()


def test_servers_can_be_set_again(file):
    set_value(file, "servers", "gpu1,gpu2")
    set_value(file, "servers", "gpu3")
    assert [server.url for server in load_settings(file, {}).settings.servers] == ["http://gpu3:11434"]


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("pool.num_predict", "many", "whole number"),
        ("pool.num_predict", "0", "1 or more"),
        ("pool.num_predct", "5", "did you mean pool.num_predict"),
        ("servers", "ftp://gpu", "ftp"),
        ("pool", "5", "table"),
        ("lanes", "{", "JSON"),
        ("lanes.new.num_ctx", "4096", "lanes.new.model"),
        ('x = 1\nmodel = "evil"\ny', "1", "no such setting"),
    ],
)
def test_wrong_value_is_refused_and_the_file_is_left_as_it_was(file, name, text, told):
    with pytest.raises(ConfigError, match=told):
        set_value(file, name, text)
    assert file.read_text() == BEFORE
    assert [found.name for found in file.parent.iterdir()] == ["corral.toml"]


def test_text_that_looks_like_toml_stays_text(file):
    set_value(file, "model", 'x"\n[pool]\nnum_predict = 1')
    assert load_settings(file, {}).settings.model == 'x"\n[pool]\nnum_predict = 1'
    assert load_settings(file, {}).settings.pool.num_predict == 100


def test_missing_file_is_made_for_its_owner_alone(tmp_path):
    file = tmp_path / "new" / "corral.toml"
    set_value(file, "model", "big")
    assert file.read_text() == 'model = "big"\n'
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_mode_of_the_file_stays(file):
    file.chmod(0o640)
    set_value(file, "model", "big")
    assert stat.S_IMODE(file.stat().st_mode) == 0o640


def test_link_stays_a_link(file, tmp_path):
    link = tmp_path / "link.toml"
    link.symlink_to(file)
    set_value(link, "model", "big")
    assert link.is_symlink()
    assert '"big"' in file.read_text()


def test_broken_file_is_not_touched(file):
    file.write_text("model = \n")
    with pytest.raises(ConfigError, match="TOML"):
        set_value(file, "model", "big")
    assert file.read_text() == "model = \n"


def test_wrong_value_can_be_mended(file):
    file.write_text("[pool]\nnum_predict = 0\n")
    set_value(file, "pool.num_predict", "5")
    assert load_settings(file, {}).settings.pool.num_predict == 5


def test_place_that_cannot_be_written_is_told(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="cannot be changed"):
        set_value(tmp_path / "file" / "corral.toml", "model", "big")
