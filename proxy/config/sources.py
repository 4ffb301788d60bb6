"""Where settings come from: the command line, the environment and a file, in this order.

What is given under a name that no setting has is refused, with the nearest name there is.
"""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from proxy.config.option import ENV_PREFIX, BadValueError, Setting

CONFIG_VARIABLE: Final = ENV_PREFIX + "CONFIG"
# Of the embedded backend, which reads it itself.
_JAVA: Final = ENV_PREFIX + "JAVA"
# Of this project's own tests, which start commands.
_OF_TESTS: Final = (ENV_PREFIX + "TEST_", ENV_PREFIX + "FUZZ_")
# What Kubernetes gives every container about a service that is called querymill or querymill-...
_OF_SERVICES: Final = re.compile(
    r"QUERYMILL(_\w+)?_(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT_\d+_(TCP|UDP|SCTP)(_\w+)?)", re.ASCII
)
_OF_SERVICE_URL: Final = re.compile(r"(tcp|udp|sctp)://", re.ASCII)


class SettingsError(Exception):
    """A setting is wrong; the message names the place and what it should be."""


def read_values(
    table: Sequence[Setting],
    cli_values: Mapping[str, object],
    env: Mapping[str, str],
    config_path: Path | None,
) -> dict[str, Any]:
    """Return a value for each setting of `table`, parsed.

    `cli_values` holds only what was given, None and () count as not given, and so does a variable
    that is blank. Raises SettingsError for an unknown name, a bad value or a file that cannot be
    read.
    """
    by_name = {setting.name: setting for setting in table}
    values: dict[str, Any] = {setting.name: setting.default for setting in table}
    check_variables(table, env)
    if config_path is not None:
        values |= _from_file(config_path, by_name)
    for setting in table:
        text = env.get(setting.env, "")
        if text.strip():
            values[setting.name] = _parse(setting, text, setting.env)
    for name, value in cli_values.items():
        if value is not None and value != ():
            values[name] = _parse(by_name[name], value, by_name[name].option)
    return values


def peek(
    setting: Setting,
    cli_values: Mapping[str, object],
    env: Mapping[str, str],
    config_path: Path | None,
) -> object:
    """The value of one setting where others are wrong; its default if it is so itself."""
    try:
        if (value := cli_values.get(setting.name)) is not None:
            return setting.parse(value)
        if (text := env.get(setting.env, "")).strip():
            return setting.parse(text)
        if config_path is not None:
            document = tomllib.loads(config_path.read_text(encoding="utf-8"))
            return setting.parse(document.get(setting.name, setting.default))
    except (BadValueError, OSError, ValueError, RecursionError):
        pass
    return setting.default


def check_variables(table: Sequence[Setting], env: Mapping[str, str]) -> None:
    """Refuse a variable that looks like one of ours and is none. Raises SettingsError."""
    known = {setting.env for setting in table} | {CONFIG_VARIABLE, _JAVA}
    for name, value in env.items():
        if name in known or not name.startswith(ENV_PREFIX) or not value.strip():
            continue
        if name.startswith(_OF_TESTS) or _is_of_a_service(name, value):
            continue
        raise SettingsError(f"{name}: no such environment variable{_nearest(name, known)}")


def _is_of_a_service(name: str, value: str) -> bool:
    if name.endswith("_PORT") and _OF_SERVICE_URL.match(value):
        return True
    return _OF_SERVICES.fullmatch(name) is not None


def _from_file(path: Path, by_name: Mapping[str, Setting]) -> dict[str, Any]:
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as exc:
        raise SettingsError(
            f"{path}: cannot be read ({exc.strerror}); check --config or QUERYMILL_CONFIG"
        ) from exc
    except (ValueError, RecursionError) as exc:
        # Not every error of the reader is a TOMLDecodeError: a number may have too many digits.
        raise SettingsError(f"{path}: not valid TOML: {exc}") from exc
    values: dict[str, Any] = {}
    for key, value in document.items():
        setting = by_name.get(key)
        if setting is None:
            raise SettingsError(f"{path}: {key}: no such setting{_nearest(key, by_name)}")
        values[key] = _parse(setting, value, f"{path}: {key}")
    return values


def _nearest(name: str, known: Iterable[str]) -> str:
    # Compared without what all begin with, which would make any two of them alike.
    own = {each.removeprefix(ENV_PREFIX): each for each in sorted(known)}
    close = difflib.get_close_matches(name.removeprefix(ENV_PREFIX), own, n=1)
    return f"; did you mean {own[close[0]]}?" if close else ""


def _parse(setting: Setting, value: object, place: str) -> Any:
    try:
        return setting.parse(value)
    except BadValueError as exc:
        raise SettingsError(f"{place}: {exc}") from exc
