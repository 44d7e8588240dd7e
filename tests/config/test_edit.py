import errno
import fcntl
import stat
import threading

import pytest

from infrastructure.config import edit
from infrastructure.config.edit import set_value, unset_value
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


def test_of_two_changes_at_once_none_is_lost(file, monkeypatch):
    """The second begins while the first has read and not yet written."""
    real, second = edit._replace, []

    def late(target, text, *, private):
        if not second:
            second.append(threading.Thread(target=set_value, args=(file, "run.repairs", "3")))
            second[0].start()
            second[0].join(timeout=0.2)  # it waits; without a lock it would be done by then
        return real(target, text, private=private)

    monkeypatch.setattr(edit, "_replace", late)
    set_value(file, "run.rounds", "2")
    second[0].join()
    settings = load_settings(file, environ={}).settings
    assert (settings.run.rounds, settings.run.repairs) == (2, 3)


def test_what_is_wrong_makes_no_folder(tmp_path):
    with pytest.raises(ConfigError):
        set_value(tmp_path / "new" / "corral.toml", "pool.num_predict", "-1")
    assert not (tmp_path / "new").exists()


def test_file_is_changed_where_folders_cannot_be_locked(file, monkeypatch):
    def flock(descriptor, how):
        raise OSError(errno.EBADF, "no locks for folders")

    monkeypatch.setattr(fcntl, "flock", flock)
    set_value(file, "model", "big")
    assert 'model = "big"' in file.read_text()


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
        ("serve.password", "12345678", lambda settings: settings.serve.password.get_secret_value() == "12345678"),
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
        ("CORRAL_POOL__NUM_PREDICT", "5", "did you mean pool.num_predict"),
        ("server.password", "12345678", "did you mean serve.password"),
        ("password", "12345678", r"did you mean servers\[0\].password or serve.password"),
        ("servers[0].tokn", "x", r"did you mean servers\[0\].token"),
        ("servers[0].token", "x", "names no such server"),
        ("num_ctx", "4096", "did you mean lanes.NAME.num_ctx"),
        ("paths.config", "/x", "CORRAL_CONFIG"),
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


def mode_of(file):
    return stat.S_IMODE(file.stat().st_mode)


def test_mode_of_a_file_without_a_secret_stays(file):
    file.chmod(0o640)
    assert not set_value(file, "model", "big").narrowed
    assert mode_of(file) == 0o640


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("serve.password", "hush-hush"),
        ("servers", '[{"url": "gpu1", "token": "hush"}]'),
        ("servers", "https://me:hush@gpu1"),
    ],
)
def test_file_that_comes_to_hold_a_secret_is_its_owners_alone(file, name, text):
    file.chmod(0o644)
    written = set_value(file, name, text)
    assert (written.narrowed, written.secret) == (True, True)
    assert mode_of(file) == 0o600


def test_file_that_holds_a_secret_is_narrowed_whatever_is_set(file):
    file.write_text('[serve]\npassword = "hush-hush"\n')
    file.chmod(0o644)
    written = set_value(file, "model", "big")
    assert (written.narrowed, written.secret, written.value) == (True, False, "big")
    assert mode_of(file) == 0o600


def test_stricter_mode_of_a_file_with_a_secret_stays(file):
    file.chmod(0o400)
    assert not set_value(file, "serve.password", "hush-hush").narrowed
    assert mode_of(file) == 0o400


def test_what_was_written_is_told_as_it_will_be_read(file):
    assert set_value(file, "servers", "gpu1").value[0].url == "http://gpu1:11434"
    assert not set_value(file, "servers", "gpu1").secret


@pytest.mark.parametrize(
    "before", ['servers = ["gpu1", "gpu2"]\n', '[[servers]]\nurl = "gpu1"\n[[servers]]\nurl = "gpu2"\n']
)
def test_one_server_of_several_is_changed_alone(file, before):
    file.write_text(f"{before}# the end\n")
    set_value(file, "servers[1].token", "12345")
    one, two = load_settings(file, {}).settings.servers
    assert (one.token, two.token.get_secret_value()) == (None, "12345")
    assert (one.url, two.url) == ("http://gpu1:11434", "http://gpu2:11434")
    assert "# the end" in file.read_text()


def test_value_is_taken_out_and_every_other_byte_stays(file):
    unset_value(file, "pool.num_predict")
    assert file.read_text() == BEFORE.replace("num_predict = 100  # tokens\n", "")
    assert load_settings(file, {}).settings.pool.num_predict == 4096


@pytest.mark.parametrize("name", ["serve.password", "run.budget.calls", "servers", "servers[0].token"])
def test_taking_out_what_is_not_there_says_so(file, name):
    with pytest.raises(ConfigError, match=r"does not set it|no such server"):
        unset_value(file, name)
    assert file.read_text() == BEFORE


def test_taking_out_what_something_else_needs_is_refused(file):
    with pytest.raises(ConfigError, match=r"model: it is missing"):
        unset_value(file, 'lanes."q:1.5".model')
    assert file.read_text() == BEFORE


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


BROKEN = """\
modle = "x"  # mistyped
model = 3
[run]
map_tokens = -1
[sandbox]
level = "nope"
[paths]
config = "/elsewhere.toml"
"""


def test_file_with_several_mistakes_is_mended_one_at_a_time(file):
    file.write_text(BROKEN)
    unset_value(file, "modle")
    set_value(file, "model", "big")
    assert set_value(file, "run.map_tokens", "5").value == 5
    unset_value(file, "sandbox.level")
    with pytest.raises(ConfigError, match="CORRAL_CONFIG"):
        load_settings(file, {})
    unset_value(file, "paths.config")
    settings = load_settings(file, {}).settings
    assert (settings.model, settings.run.map_tokens, settings.sandbox.level) == ("big", 5, "auto")


def test_wrong_value_is_refused_beside_mistakes_too_and_only_that_is_told(file):
    file.write_text(BROKEN)
    with pytest.raises(ConfigError) as refused:
        set_value(file, "run.map_tokens", "-5")
    (told,) = refused.value.problems
    assert (told.name, told.origin) == ("run.map_tokens", "")
    with pytest.raises(ConfigError, match="there is no such setting; did you mean pool"):
        unset_value(file, "pol")
    assert file.read_text() == BROKEN


@pytest.mark.parametrize(
    "broken", [BROKEN, '[serve]\nport = "x"\n', '[[servers]]\nurl = 5\n[[servers]]\nurl = "gpu2"\n']
)
@pytest.mark.parametrize("name", ["serve.password", "servers[1].token"])
def test_secret_that_is_set_beside_mistakes_is_kept_and_shown_as_one(file, name, broken):
    if name.startswith("servers") and "servers" not in broken:
        broken = f'servers = ["gpu1", "gpu2"]\n{broken}'
    file.write_text(broken)
    file.chmod(0o644)
    written = set_value(file, name, "12345678")
    assert (written.secret, written.narrowed) == (True, True)
    assert "12345678" not in repr(written)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_what_is_no_secret_is_no_reason_to_narrow_a_file_with_mistakes(file):
    file.write_text(BROKEN)
    file.chmod(0o644)
    assert not set_value(file, "servers", "gpu1").narrowed
    assert stat.S_IMODE(file.stat().st_mode) == 0o644


def test_mark_before_the_text_is_no_mistake(file):
    file.write_text(BEFORE, encoding="utf-8-sig")
    assert load_settings(file, {}).settings.model == "small"
    set_value(file, "model", "big")
    assert file.read_text() == BEFORE.replace('"small"', '"big"')


@pytest.mark.parametrize("content", [b'model = "x\n', b"model = '\xff'\n"])
def test_file_that_no_command_can_change_is_to_be_edited(file, content):
    file.write_bytes(content)
    for refusing in (
        lambda: load_settings(file, {}),
        lambda: set_value(file, "model", "big"),
        lambda: unset_value(file, "model"),
    ):
        with pytest.raises(ConfigError) as refused:
            refusing()
        assert refused.value.hint == f"Edit {file}: no command can change it as it is."
    assert file.read_bytes() == content


def test_folder_and_missing_file_have_advice_that_works(file, tmp_path):
    for refusing in (lambda: load_settings(tmp_path, {}), lambda: set_value(tmp_path, "model", "big")):
        with pytest.raises(ConfigError) as refused:
            refusing()
        assert refused.value.hint.startswith(f"See to it that {tmp_path} is a file")
    missing = tmp_path / "none.toml"
    with pytest.raises(ConfigError) as refused:
        load_settings(missing, {})
    assert "`corral config set NAME VALUE` with the same --config or CORRAL_CONFIG makes it" in refused.value.hint
    set_value(missing, "model", "big")
    assert load_settings(missing, {}).settings.model == "big"
