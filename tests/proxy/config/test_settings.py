"""Settings: where a value comes from, which ones are refused, and how that is said."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.config.settings import SETTINGS, Address, Settings, SettingsError, load

BY_NAME = {setting.name: setting for setting in SETTINGS}


def config(tmp_path: Path, text: str) -> Path:
    """A configuration file with this text."""
    path = tmp_path / "config.toml"
    path.write_text(text)
    return path


def test_defaults() -> None:
    """Without any source each setting has the default of its row."""
    settings = load({}, {})
    assert dataclasses.asdict(settings) | {"listen": settings.listen} == {
        setting.name: setting.default for setting in SETTINGS
    }


def test_table_and_dataclass_are_the_same() -> None:
    """Every row of the table is a field, in the same order, and has a help text."""
    assert [field.name for field in dataclasses.fields(Settings)] == list(BY_NAME)
    assert all(setting.help.endswith(".") for setting in SETTINGS)


def test_precedence(tmp_path: Path) -> None:
    """The command line beats the environment, which beats the file, which beats the default."""
    path = config(tmp_path, 'compat = "off"\nlog_level = "error"\nlisten = "0.0.0.0:1"\n')
    env = {"QUERYMILL_LOG_LEVEL": "debug", "QUERYMILL_LISTEN": "0.0.0.0:2"}
    settings = load({"listen": "[::1]:3", "backend": (), "log_format": None}, env, path)
    assert settings.compat == "off"
    assert settings.log_level == "debug"
    assert settings.listen == Address("::1", 3)
    assert settings.log_format == "console"


def test_empty_environment_variable_is_not_given() -> None:
    """A variable that is set to nothing leaves the default."""
    assert load({}, {"QUERYMILL_LISTEN": " "}).listen == Address("127.0.0.1", 9280)


def test_every_form_in_a_file(tmp_path: Path) -> None:
    """A file holds lists, numbers, sizes and paths as TOML has them."""
    path = config(
        tmp_path,
        'backend = ["http://a:9200/", "https://b"]\nbackend_timeout = 5\nsandbox_threads = 3\n'
        'max_request_bytes = "2 MB"\nmax_transform_bytes = 4096\n'
        'pipeline_headers = ["X-One", "x-two"]\ncache_dir = "~/cache"\nadmin_token = "12345678"\n',
    )
    settings = load({}, {}, path)
    assert settings.backend == ("http://a:9200", "https://b")
    assert settings.backend_timeout == 5.0
    assert settings.sandbox_threads == 3
    assert (settings.max_request_bytes, settings.max_transform_bytes) == (2 * 1024 * 1024, 4096)
    assert settings.pipeline_headers == ("x-one", "x-two")
    assert settings.cache_dir == Path("~/cache").expanduser()
    assert settings.admin_token == "12345678"


def test_several_backends_in_one_variable() -> None:
    """Commas separate the backends of an environment variable."""
    settings = load({}, {"QUERYMILL_BACKEND": "http://a:1, http://b:2"})
    assert settings.backend == ("http://a:1", "http://b:2")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("listen", "9280"),
        ("listen", ":9280"),
        ("listen", "localhost:"),
        ("listen", "localhost:65536"),
        ("listen", "::1:80"),
        ("listen", "localhost:\u0661"),
        ("backend", "localhost:9200"),
        ("backend", "ftp://localhost"),
        ("backend", "http://localhost/path"),
        ("backend", "http://localhost?x"),
        ("backend", "http://user:pass@localhost"),
        ("backend", "http://localhost:99999"),
        ("backend", "http://[::1"),
        ("backend", "http://"),
        ("backend", "http://a b"),
        ("backend", ","),
        ("compat", "maybe"),
        ("admin_token", "short"),
        ("admin_token", "caf\u00e9-caf\u00e9"),
        ("backend_timeout", "soon"),
        ("backend_timeout", "nan"),
        ("backend_timeout", "inf"),
        ("sandbox_threads", "1.5"),
        ("sandbox_threads", "-1"),
        ("sandbox_threads", True),
        ("max_request_bytes", "10 apples"),
        ("max_request_bytes", []),
        ("pipeline_headers", "x y"),
        ("cache_dir", 5),
    ],
)
def test_bad_values_name_their_place(name: str, value: object) -> None:
    """A bad value is refused with the option it came from and what was expected."""
    with pytest.raises(SettingsError, match=f"^{BY_NAME[name].option}: .*(expected|backend URL)"):
        load({name: value}, {})


def test_bad_value_in_the_environment_names_the_variable() -> None:
    """The place of a bad variable is its name."""
    with pytest.raises(SettingsError, match=r"^QUERYMILL_SANDBOX_THREADS: expected a whole number"):
        load({}, {"QUERYMILL_SANDBOX_THREADS": "many"})


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("QUERYMILL_BACKND", "; did you mean QUERYMILL_BACKEND?"),
        ("QUERYMILL_ADMIN_TOKN", "; did you mean QUERYMILL_ADMIN_TOKEN?"),
        ("QUERYMILL_CACHE", "; did you mean QUERYMILL_CACHE_DIR?"),
        ("QUERYMILL_CONFG", "; did you mean QUERYMILL_CONFIG?"),
        ("QUERYMILL_LOGLEVEL", "; did you mean QUERYMILL_LOG_LEVEL?"),
        ("QUERYMILL_LISTENER", "; did you mean QUERYMILL_LISTEN?"),
        ("QUERYMILL_ZZZ", ""),
        ("QUERYMILL_", ""),
        ("QUERYMILL_SERVICE", None),
        ("QUERYMILL_PORT", None),
    ],
)
def test_unknown_variables(name: str, message: str | None) -> None:
    """A variable that is none of ours is refused by name, with the nearest; its value is secret."""
    with pytest.raises(SettingsError) as caught:
        load({}, {name: "12345678-secret"})
    assert str(caught.value).startswith(f"{name}: no such environment variable")
    assert message is None or str(caught.value).endswith(f"no such environment variable{message}")
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("QUERYMILL_JAVA", "bundled"),
        ("QUERYMILL_CONFIG", "/etc/querymill.toml"),
        ("QUERYMILL_TEST_CALLS", "5200"),
        ("QUERYMILL_FUZZ_CASES", "1000"),
        ("QUERYMILL_BACKND", " "),
        ("QUERYMILL", "x"),
        ("OTHER_QUERYMILL_X", "x"),
        ("QUERYMILL_SERVICE_HOST", "10.0.0.1"),
        ("QUERYMILL_SERVICE_PORT", "9280"),
        ("QUERYMILL_SERVICE_PORT_HTTP", "9280"),
        ("QUERYMILL_PORT", "tcp://10.0.0.1:9280"),
        ("QUERYMILL_PORT_9280_TCP", "tcp://10.0.0.1:9280"),
        ("QUERYMILL_PORT_9280_TCP_ADDR", "10.0.0.1"),
        ("QUERYMILL_PORT_9280_TCP_PROTO", "tcp"),
        ("QUERYMILL_SEARCH_PROXY_SERVICE_HOST", "10.0.0.1"),
        ("QUERYMILL_SEARCH_PROXY_PORT", "tcp://10.0.0.1:9280"),
    ],
)
def test_variables_of_others(name: str, value: str) -> None:
    """Tests, the embedded backend and Kubernetes set variables that look like ours."""
    assert load({}, {name: value}) == load({}, {})


def test_password_of_a_backend_is_not_shown() -> None:
    """The message about credentials in a URL does not repeat them."""
    with pytest.raises(SettingsError) as caught:
        load({"backend": ("http://user:hunter2@localhost",)}, {})
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("lisen = 'x:1'", r"config\.toml: lisen: no such setting; did you mean listen\?"),
        ("zzz = 1", r"config\.toml: zzz: no such setting$"),
        ("listen = 9280", r"config\.toml: listen: expected text, got 9280"),
        ("listen = ", r"config\.toml: not valid TOML"),
    ],
)
def test_bad_file(tmp_path: Path, text: str, message: str) -> None:
    """A file with a wrong key or value is refused with its name and the key."""
    with pytest.raises(SettingsError, match=message):
        load({}, {}, config(tmp_path, text))


def test_file_that_is_not_there(tmp_path: Path) -> None:
    """A file that cannot be read is named."""
    with pytest.raises(SettingsError, match=r"nowhere\.toml: cannot be read"):
        load({}, {}, tmp_path / "nowhere.toml")


@pytest.mark.parametrize("name", [s.name for s in SETTINGS if s.kind in ("seconds", "count")])
def test_limits_obeyed(name: str) -> None:
    """The smallest and the largest value of a number are accepted."""
    setting = BY_NAME[name]
    for value in (setting.minimum, setting.maximum):
        text = repr(value)
        assert getattr(load({name: text}, {}), name) == value


@pytest.mark.parametrize("name", [s.name for s in SETTINGS if s.kind in ("seconds", "count")])
def test_limits_violated(name: str) -> None:
    """A number above its ceiling, or below its floor, is refused with both limits."""
    setting = BY_NAME[name]
    for value in (setting.minimum - 1, setting.maximum + 1):
        with pytest.raises(SettingsError, match="expected a"):
            load({name: repr(value)}, {})


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists, max_leaves=4))
def test_any_value_is_parsed_or_refused(value: object) -> None:
    """Whatever a source holds, the outcome is a setting or a SettingsError."""
    for setting in SETTINGS:
        try:
            settings = load({setting.name: value}, {})
        except SettingsError:
            continue
        else:
            json.dumps(dataclasses.asdict(settings), default=str)


def test_rows_describe_themselves() -> None:
    """A row knows its option, variable, and how its default is written."""
    assert BY_NAME["backend"].repeats
    assert BY_NAME["backend"].default_text == "http://127.0.0.1:9200"
    assert BY_NAME["admin_listen"].default_text == "none"
    assert BY_NAME["listen"].default_text == "127.0.0.1:9280"
    assert BY_NAME["backend_timeout"].default_text == "60"
    assert BY_NAME["on_conflict"].metavar == "off|chain|error"
    assert BY_NAME["max_request_bytes"].metavar == "SIZE"
    assert not BY_NAME["admin_token"].on_command_line
    assert str(Address("::1", 3)) == "[::1]:3"


def test_the_public_address_has_a_port_somebody_can_connect_to() -> None:
    """Unlike that of an address to listen on, it cannot be 0."""
    assert load({"public_address": "search.example:1"}, {}).public_address == Address(
        "search.example", 1
    )
    assert load({"listen": "127.0.0.1:0"}, {}).listen == Address("127.0.0.1", 0)
    with pytest.raises(SettingsError, match=r"expected a port from 1 to 65535, got '.*:0'"):
        load({"public_address": "search.example:0"}, {})
