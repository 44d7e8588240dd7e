from pathlib import Path

import pytest

from infrastructure.config.errors import ConfigError
from infrastructure.config.fields import UnknownName, dotted, parse_name
from infrastructure.config.load import default_config_file, load_settings
from infrastructure.config.settings import ServerSettings, Settings

HOME = {"HOME": "/home/ada"}


@pytest.fixture
def file(tmp_path):
    return tmp_path / "corral.toml"


def problems(file, environ=None, flags=None):
    with pytest.raises(ConfigError) as refused:
        load_settings(file, environ or {}, flags)
    return refused.value.problems


def problem(file, environ=None, flags=None):
    (only,) = problems(file, environ, flags)
    return only


def test_nothing_given_is_all_defaults():
    loaded = load_settings(None, HOME)
    assert loaded.settings.pool == Settings().pool
    assert set(loaded.origins.values()) == {"default"}
    assert loaded.settings.paths.data == Path("/home/ada/.local/share/corral")


def test_origins_name_every_setting():
    origins = load_settings(None, HOME).origins
    assert {"model", "servers", "pool.num_predict", "pool.phases.connect", "run.budget.calls", "lanes"} <= set(origins)
    assert "pool" not in origins


def test_flag_over_environment_over_file_over_default(file):
    file.write_text('model = "f"\n[pool]\nnum_predict = 1\nqueue_length = 1\n')
    environ = {"CORRAL_MODEL": "e", "CORRAL_POOL__NUM_PREDICT": "2"}
    loaded = load_settings(file, environ, {"model": "g", "run.candidates": 3, "run.rounds": None})
    settings = loaded.settings
    assert (settings.model, settings.pool.num_predict, settings.pool.queue_length) == ("g", 2, 1)
    assert (settings.run.candidates, settings.run.rounds) == (3, 2)
    assert {
        name: loaded.origins[name] for name in ("model", "pool.num_predict", "pool.queue_length", "run.rounds")
    } == {
        "model": "flag",
        "pool.num_predict": "environment CORRAL_POOL__NUM_PREDICT",
        "pool.queue_length": f"file {file}",
        "run.rounds": "default",
    }


def test_tables_are_merged_and_lists_are_replaced(file):
    file.write_text('[lanes.big]\nmodel = "m"\nnum_ctx = 8192\n[run]\napprove = ["plan"]\n')
    environ = {
        "CORRAL_LANES__BIG__NUM_CTX": "4096",
        "CORRAL_LANES__BIG__KEEP_ALIVE": "-1",
        "CORRAL_RUN__APPROVE": "patch",
    }
    settings = load_settings(file, environ).settings
    lane = settings.lanes["big"]
    assert (lane.model, lane.num_ctx, lane.keep_alive) == ("m", 4096, -1)
    assert settings.run.approve == ("patch",)


@pytest.mark.parametrize(
    "text",
    [
        "gpu1, https://gpu2/ollama",
        '["gpu1", {"url": "https://gpu2/ollama"}]',
        '[{"url": "gpu1"}, "https://gpu2/ollama"]',
    ],
)
def test_servers_are_addresses_by_commas_or_json(text):
    loaded = load_settings(None, {"CORRAL_SERVERS": text})
    assert [server.url for server in loaded.settings.servers] == ["http://gpu1:11434", "https://gpu2:443/ollama"]
    assert loaded.origins["servers"] == "environment CORRAL_SERVERS"


def test_servers_in_a_file_may_be_plain_addresses_too(file):
    file.write_text('servers = ["gpu1", {url = "gpu2", slots = 4}]')
    assert load_settings(file, {}).settings.servers == (
        ServerSettings(url="gpu1"),
        ServerSettings(url="gpu2", slots=4),
    )


def test_tables_in_the_environment_are_json():
    loaded = load_settings(None, {"CORRAL_ROLES": '{"coder": "big"}', "CORRAL_ROLES__PLANNER": "small"})
    assert loaded.settings.roles == {"coder": "big", "planner": "small"}
    assert loaded.origins["roles.coder"] == "environment CORRAL_ROLES"
    assert loaded.origins["roles.planner"] == "environment CORRAL_ROLES__PLANNER"


def test_ollamas_own_variable_names_the_server_when_nothing_else_does(file):
    loaded = load_settings(None, {"OLLAMA_HOST": "0.0.0.0:5000"})
    assert [server.url for server in loaded.settings.servers] == ["http://127.0.0.1:5000"]
    assert loaded.origins["servers"] == "environment OLLAMA_HOST"
    file.write_text('[[servers]]\nurl = "gpu1"\n')
    for file_, environ, flags in (
        (file, {}, {}),
        (None, {"CORRAL_SERVERS": "gpu1"}, {}),
        (None, {}, {"servers": "gpu1"}),
    ):
        settings = load_settings(file_, {"OLLAMA_HOST": "other", **environ}, flags).settings
        assert [server.url for server in settings.servers] == ["http://gpu1:11434"]


def test_empty_variables_count_as_unset():
    loaded = load_settings(None, {"CORRAL_MODEL": "", "CORRAL_POOL__NUM_PREDICT": " ", "OLLAMA_HOST": ""})
    assert loaded.settings.model is None
    assert set(loaded.origins.values()) == {"default"}


def test_variables_that_are_no_settings_are_left_alone():
    environ = {
        "CORRAL_CONFIG": "/x",
        "CORRAL_DEBUG": "1",
        "CORRAL_CORE": "interpreted",
        "CORRAL_COMPILE": "1",
        "CORRAL_TEST_OLLAMA": "gpu",
        "CORRAL_PORT": "tcp://10.0.0.1:80",
        "CORRAL_SERVICE_HOST": "10.0.0.1",
        "CORRAL_PORT_8765_TCP_ADDR": "10.0.0.1",
        "OTHER": "x",
    }
    assert set(load_settings(None, environ).origins.values()) == {"default"}


def test_process_environment_is_never_looked_at(monkeypatch):
    monkeypatch.setenv("CORRAL_MODEL", "users own")
    monkeypatch.setenv("OLLAMA_HOST", "users own")
    settings = load_settings(None, HOME).settings
    assert settings.model is None
    assert settings.servers == ()


def test_home_is_written_as_a_tilde(file):
    file.write_text('[paths]\ndata = "~/corral"\n[sandbox]\nread = ["~/lib", "/opt"]\n')
    settings = load_settings(file, HOME).settings
    assert settings.paths.data == Path("/home/ada/corral")
    assert settings.sandbox.read == (Path("/home/ada/lib"), Path("/opt"))
    assert settings.paths.config == file


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({"CORRAL_CONFIG": "/etc/corral.toml", "HOME": "/h"}, "/etc/corral.toml"),
        ({"CORRAL_CONFIG": "~/c.toml", "HOME": "/h"}, "/h/c.toml"),
        ({"XDG_CONFIG_HOME": "/xdg", "HOME": "/h"}, "/xdg/corral/corral.toml"),
        ({"XDG_CONFIG_HOME": "relative", "HOME": "/h"}, "/h/.config/corral/corral.toml"),
        ({"CORRAL_CONFIG": "", "HOME": "/h"}, "/h/.config/corral/corral.toml"),
    ],
)
def test_default_file_is_the_named_one_else_the_users(environ, expected):
    assert default_config_file(environ) == Path(expected)


def test_default_file_may_be_missing_but_a_named_one_may_not(tmp_path):
    environ = {"XDG_CONFIG_HOME": str(tmp_path)}
    assert load_settings(default_config_file(environ), environ).settings.model is None
    named = {**environ, "CORRAL_CONFIG": str(tmp_path / "typo.toml")}
    assert "no such file" in problem(default_config_file(named), named).what
    assert "no such file" in problem(tmp_path / "flag.toml", environ).what


def test_file_that_is_no_toml_says_where(file):
    file.write_text('model = "a"\nmodel = \n')
    found = problem(file)
    assert found.origin == f"file {file}"
    assert "line 2" in found.what


@pytest.mark.parametrize("content", [b"\xff\xfe", None])
def test_file_that_cannot_be_read_is_named(file, content):
    if content is None:
        file.mkdir()
    else:
        file.write_bytes(content)
    assert str(file) in str(problem(file))


@pytest.mark.parametrize(
    ("content", "name", "meant"),
    [
        ("num_predict = 5", "num_predict", "pool.num_predict"),
        ("[pool]\nnum_predct = 5", "pool.num_predct", "pool.num_predict"),
        ("[pol]\nnum_predict = 5", "pol", "pool"),
        ('modle = "x"', "modle", "model"),
        ("[run.budget]\nseconts = 5", "run.budget.seconts", "run.budget.seconds"),
        ("zzzzzz = 5", "zzzzzz", ""),
        ('[[servers]]\nurl = "a"\nslot = 2', "servers[0].slot", "servers[0].slots"),
    ],
)
def test_unknown_key_is_refused_with_what_was_probably_meant(file, content, name, meant):
    file.write_text(content)
    found = problem(file)
    assert (found.origin, found.name, found.meant) == (f"file {file}", name, meant)
    assert ("did you mean" in str(found)) == bool(meant)


def test_unknown_variable_and_flag_are_refused_with_what_was_probably_meant():
    found = problem(None, {"CORRAL_POOL__NUM_PREDIKT": "5"})
    assert (found.origin, found.meant) == ("environment CORRAL_POOL__NUM_PREDIKT", "pool.num_predict")
    found = problem(None, {}, {"run.candidate": 5})
    assert (found.origin, found.meant) == ("flag", "run.candidates")


@pytest.mark.parametrize(
    ("content", "name", "instead"),
    [
        ('[pool]\nnum_predict = "many"', "pool.num_predict", "a whole number"),
        ("[pool]\nnum_predict = 0", "pool.num_predict", "1 or more"),
        ("[pool]\nnum_predict = 1.5", "pool.num_predict", "a whole number"),
        ("[pool.phases]\nconnect = 0", "pool.phases.connect", "more than 0.0"),
        ("[sandbox]\nseconds = 1e300", "sandbox.seconds", "86400.0 or less"),
        ("[sandbox]\ntest_seconds = 86_401", "sandbox.test_seconds", "86400.0 or less"),
        ("[pool.phases]\nconnect = inf", "pool.phases.connect", "a finite number"),
        ('[pool]\nallow_cloud = "perhaps"', "pool.allow_cloud", "true or false"),
        ("pool = 5", "pool", "a table"),
        ('[sandbox]\nlevel = "strong"', "sandbox.level", "one of 'auto', 'bubblewrap', 'landlock' or 'none'"),
        ("[run]\napprove = 3", "run.approve", "a list in brackets"),
        ('[run]\napprove = ["all"]', "run.approve[0]", "one of 'plan' or 'patch'"),
        ("model = 5", "model", "a text in quotes"),
        ("[lanes.big]\nnum_ctx = 4096", "lanes.big.model", "model = …"),
        ('[lanes."q:1.5"]\nmodel = "m"\nnum_ctx = 1', 'lanes."q:1.5".num_ctx', "4 or more"),
        ('servers = [{url = "a", slots = 0}]', "servers[0].slots", "1 or more"),
    ],
)
def test_wrong_value_says_what_to_write_instead(file, content, name, instead):
    file.write_text(content)
    found = problem(file)
    assert (found.origin, found.name, found.instead) == (f"file {file}", name, instead)


def test_wrong_address_says_how_one_is_written():
    found = problem(None, {"CORRAL_SERVERS": "gpu1,ftp://gpu2"})
    assert found.name == "servers[1].url"
    assert "http://127.0.0.1:11434" in str(found)


def test_everything_that_is_wrong_is_told_at_once_each_with_its_own_origin(file):
    file.write_text("[pool]\nnum_predict = 0\nqueue_length = 0\n")
    found = problems(file, {"CORRAL_RUN__REPAIRS": "many", "CORRAL_POOL__QUEUE_LENGTH": "0"})
    assert {(item.name, item.origin) for item in found} == {
        ("pool.num_predict", f"file {file}"),
        ("pool.queue_length", "environment CORRAL_POOL__QUEUE_LENGTH"),
        ("run.repairs", "environment CORRAL_RUN__REPAIRS"),
    }


def test_secret_is_never_shown(file):
    file.write_text('[[servers]]\nurl = "gpu1"\ntoken = ["hunter2"]\n')
    assert "hunter2" not in str(problem(file))


def test_broken_json_in_a_variable_is_told():
    found = problem(None, {"CORRAL_LANES": "{model}"})
    assert found.name == "lanes"
    assert "JSON" in str(found)


@pytest.mark.parametrize(
    "name", [("pool", "num_predict"), ("lanes", "qwen2.5-coder:14b", "num_ctx"), ("a b", 'q"'), ("ü",)]
)
def test_dotted_name_reads_back(name):
    assert parse_name(dotted(name)) == name


@pytest.mark.parametrize("text", ["", "a..b", "a = 1\nb", "a\nb", '"open', "[a]", "a=b", "# a"])
def test_what_is_no_name_is_refused(text):
    with pytest.raises(UnknownName):
        parse_name(text)


@pytest.mark.parametrize(
    ("variable", "text"),
    [
        ("CORRAL_SERVE__PASSWORD", "hush"),
        ("CORRAL_SERVE", '"hush"'),
        ("CORRAL_SERVE", '{"password": ["hush"]}'),
        ("CORRAL_SERVERS", '{"url": "gpu", "token": "hush"}'),
        ("CORRAL_SERVERS", '[["hush"]]'),
        ("CORRAL_SERVERS", '[{"url": "gpu", "token": {"is": "hush"}}]'),
        ("CORRAL_SERVERS", "http://me:hush@gpu:99999"),
        ("CORRAL_SERVERS", '[{"url": "ftp://me:hush@gpu"}]'),
    ],
)
def test_complaint_never_shows_a_secret(variable, text):
    found = problems(None, {variable: text})
    assert "hush" not in "".join(map(str, found))


def test_password_that_is_too_short_says_how_long_one_is():
    assert problem(None, {"CORRAL_SERVE__PASSWORD": "hush"}).instead == "at least 8 characters"


@pytest.mark.parametrize(
    ("server", "username", "password", "url"),
    [
        ("https://me:hush@gpu/x", "me", "hush", "https://gpu:443/x"),
        ("https://me:p%40ss@gpu", "me", "p@ss", "https://gpu:443"),
        ("https://me@gpu", "me", None, "https://gpu:443"),
        ("me:hush@gpu:5000", "me", "hush", "http://gpu:5000"),
        ("https://gpu/a@b", None, None, "https://gpu:443/a@b"),
    ],
)
def test_user_and_password_of_an_address_are_settings_and_never_shown(server, username, password, url):
    (read,) = load_settings(None, {"CORRAL_SERVERS": server}).settings.servers
    assert (read.url, read.username) == (url, username)
    assert (read.password and read.password.get_secret_value()) == password
    assert "hush" not in repr(read) + read.label


def test_user_that_is_set_goes_before_that_of_the_address():
    assert ServerSettings(url="https://me:hush@gpu", username="you").username == "you"


def test_place_of_the_file_is_no_setting_of_it(file):
    file.write_text('[paths]\nconfig = "/elsewhere.toml"\n')
    assert "CORRAL_CONFIG" in problem(file).instead
    assert "CORRAL_CONFIG" in problem(None, {"CORRAL_PATHS__CONFIG": "/x"}).instead


@pytest.mark.parametrize(
    ("content", "environ", "hint"),
    [
        ("", {"CORRAL_RUN__REPAIRS": "x"}, "unset CORRAL_RUN__REPAIRS"),
        ('modle = "x"', {}, "corral config set"),
    ],
)
def test_hint_says_what_to_do_by_where_the_problem_stands(file, content, environ, hint):
    file.write_text(content)
    with pytest.raises(ConfigError) as refused:
        load_settings(file, environ)
    assert hint in refused.value.hint


def test_empty_table_is_complained_of_where_it_lacks_something_and_takes_nothing_away(file):
    file.write_text("[lanes.big]\n")
    assert problem(file).name == "lanes.big.model"
    file.write_text("[pool]\nnum_predict = 5\n[run]\n")
    assert load_settings(file, {"CORRAL_POOL": "{}"}).settings.pool.num_predict == 5
    assert problem(file, {"CORRAL_LANES__BIG": "{}"}).name == "lanes.big.model"


def test_a_model_to_be_loaded_ahead_has_a_name(file):
    file.write_text('[pool]\npreload = ["words", " "]\n')
    assert "a name is empty" in str(problem(file))
