"""One setting: its kind, default and limits, and how text becomes its value."""

from __future__ import annotations

import math
import re
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Final, Literal, get_args, get_type_hints

from proxy.http.origin import BadOriginError, Origin

Kind = Literal[
    "origins",
    "address",
    "secret",
    "choice",
    "seconds",
    "count",
    "bytes",
    "names",
    "path",
    "authority",
]

ENV_PREFIX: Final = "QUERYMILL_"
_METAVARS: Final[Mapping[Kind, str]] = {
    "origins": "URL",
    "address": "HOST:PORT",
    "secret": "TEXT",
    "seconds": "SECONDS",
    "count": "N",
    "bytes": "SIZE",
    "names": "NAMES",
    "path": "PATH",
    "authority": "PATH",
}
_UNITS: Final = {"": 1, "b": 1, "kb": 1024, "mb": 1024**2, "gb": 1024**3}
_BYTES: Final = re.compile(r"([0-9]{1,15})\s*([kmg]?b)?", re.ASCII | re.IGNORECASE)
_PORT: Final = re.compile(r"[0-9]{1,9}", re.ASCII)
_COUNT: Final = re.compile(r"[0-9]{1,15}", re.ASCII)
_TOKEN: Final = re.compile(r"[a-z0-9!#$%&'*+.^_`|~-]+", re.ASCII)


class BadValueError(ValueError):
    """A value is not what the setting takes; the message says what it takes."""


@dataclass(frozen=True, slots=True)
class Address:
    """A host and port to listen on; port 0 asks the system for a free one."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Setting:
    """What is known of one setting. `minimum` and `maximum` include themselves."""

    name: str
    kind: Kind
    default: object
    help: str
    minimum: float = 0
    maximum: float = math.inf
    choices: tuple[str, ...] = ()

    @property
    def env(self) -> str:
        """Name of its environment variable."""
        return ENV_PREFIX + self.name.upper()

    @property
    def option(self) -> str:
        """Name of its command line option."""
        return "--" + self.name.replace("_", "-")

    @property
    def metavar(self) -> str:
        """What its value looks like, for a help text."""
        return "|".join(self.choices) if self.choices else _METAVARS[self.kind]

    @property
    def default_text(self) -> str:
        """The default as somebody would write it."""
        if self.default is None:
            return "none"
        if isinstance(self.default, tuple):
            return ",".join(str(item) for item in self.default)
        return f"{self.default:g}" if isinstance(self.default, float) else str(self.default)

    @property
    def repeats(self) -> bool:
        """Whether the command line option may be given more than once."""
        return self.kind == "origins"

    @property
    def on_command_line(self) -> bool:
        """Secrets have no option: other users of the machine can read command lines."""
        return self.kind != "secret"

    def parse(self, value: object) -> object:
        """Return the parsed value of text, or of what a TOML file holds. Raises BadValueError."""
        return _PARSERS[self.kind](self, value)


def setting(
    kind: Kind, default: object, help: str, *, minimum: float = 0, maximum: float = math.inf
) -> Any:
    """A field of a class of settings: the one place where anything of it is written."""
    row = {"kind": kind, "help": help, "minimum": minimum, "maximum": maximum}
    return field(default=default, metadata=row)


def table_of(settings: type) -> tuple[Setting, ...]:
    """What the fields of a class of settings say; a choice is one of its type's values."""
    types = get_type_hints(settings)
    return tuple(
        Setting(
            each.name,
            default=each.default,
            choices=get_args(types[each.name]) if each.metadata["kind"] == "choice" else (),
            **each.metadata,
        )
        for each in fields(settings)
    )


def _origins(setting: Setting, value: object) -> tuple[str, ...]:
    del setting
    origins = _texts(value)
    if not origins:
        raise BadValueError("expected at least one URL such as http://127.0.0.1:9200")
    try:
        return tuple(str(Origin.parse(text)) for text in origins)
    except BadOriginError as exc:
        raise BadValueError(str(exc)) from exc


def _address(setting: Setting, value: object) -> Address:
    host, colon, port = _text(value).rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        colon = ""
    if not colon or not host or _PORT.fullmatch(port) is None or int(port) > 65535:
        raise BadValueError(
            f"expected HOST:PORT such as 127.0.0.1:9280 or [::1]:9280, got {value!r}"
        )
    if int(port) < setting.minimum:
        raise BadValueError(f"expected a port from {setting.minimum:g} to 65535, got {value!r}")
    return Address(host, int(port))


def _secret(setting: Setting, value: object) -> str:
    del setting
    text = _text(value)
    if not text.isascii() or not text.isprintable() or len(text) < 8:
        raise BadValueError("expected at least 8 printable ASCII characters")
    return text


def _choice(setting: Setting, value: object) -> str:
    text = _text(value).lower()
    if text not in setting.choices:
        raise BadValueError(f"expected one of {', '.join(setting.choices)}, got {value!r}")
    return text


def _seconds(setting: Setting, value: object) -> float:
    try:
        number = float(_number_text(value))
    except ValueError:
        raise BadValueError(f"expected a number of seconds, got {value!r}") from None
    return float(_within(setting, number, value))


def _count(setting: Setting, value: object) -> int:
    text = _number_text(value)
    if _COUNT.fullmatch(text) is None:
        raise BadValueError(f"expected a whole number, got {value!r}")
    return int(_within(setting, int(text), value))


def _bytes(setting: Setting, value: object) -> int:
    match = _BYTES.fullmatch(_number_text(value))
    if match is None:
        raise BadValueError(f"expected a size such as 1048576 or 10mb, got {value!r}")
    size = int(match[1]) * _UNITS[(match[2] or "").lower()]
    return int(_within(setting, size, value))


def _names(setting: Setting, value: object) -> tuple[str, ...]:
    del setting
    names = tuple(text.lower() for text in _texts(value))
    for name in names:
        if _TOKEN.fullmatch(name) is None:
            raise BadValueError(f"expected header names separated by commas, got {name!r}")
    return names


def _path(setting: Setting, value: object) -> Path:
    del setting
    try:
        return Path(_text(value)).expanduser()
    except (RuntimeError, ValueError) as exc:
        raise BadValueError(f"expected a path, got {value!r}: {exc}") from exc


def _authority(setting: Setting, value: object) -> Path:
    path = _path(setting, value)
    try:
        ssl.create_default_context(cafile=path)
    except ssl.SSLError:
        raise BadValueError(f"{path} holds no certificate in PEM form") from None
    except OSError as exc:
        raise BadValueError(f"{path} cannot be read ({exc.strerror})") from exc
    except ValueError as exc:
        raise BadValueError(f"expected a path, got {value!r}: {exc}") from exc
    return path


def _text(value: object) -> str:
    if not isinstance(value, str) or not value.strip():
        raise BadValueError(f"expected text, got {value!r}")
    return value.strip()


def _texts(value: object) -> tuple[str, ...]:
    """Split comma-separated text, or take a list of such texts."""
    items = value if isinstance(value, list | tuple) else [value]
    return tuple(part.strip() for item in items for part in _text(item).split(",") if part.strip())


def _number_text(value: object) -> str:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise BadValueError(f"expected a number, got {value!r}")
    return str(value).strip()


def _within(setting: Setting, number: float, value: object) -> float:
    # NaN compares false with everything, so the test has to be for what is right.
    if not setting.minimum <= number <= setting.maximum:
        raise BadValueError(
            f"expected a value from {setting.minimum:g} to {setting.maximum:g}, got {value!r}"
        )
    return number


_PARSERS: Final[Mapping[Kind, Callable[[Setting, object], object]]] = {
    "origins": _origins,
    "address": _address,
    "secret": _secret,
    "choice": _choice,
    "seconds": _seconds,
    "count": _count,
    "bytes": _bytes,
    "names": _names,
    "path": _path,
    "authority": _authority,
}
