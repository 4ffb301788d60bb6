"""Read one JSON object of an upload key by key; refuse unknown keys first, then wrong types."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Any

from pipelines.definitions.spelling import nearest
from pipelines.errors import DefinitionError

_MISSING: Any = object()

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}")
VERSION = re.compile(r"[0-9A-Za-z][0-9A-Za-z.+_-]{0,63}")
NAME_RULE = "must be 1 to 100 letters, digits, '_', '-' or '.', beginning with a letter or digit"
VERSION_RULE = "must be 1 to 64 letters, digits, '.', '-', '_' or '+', as in 1.0.0"


def hint_to_make(what: str, name: str) -> str:
    """How a pipeline or UDF (`what`) that is missing could be made, if it could have that name."""
    if not NAME.fullmatch(name):
        return f"a name {NAME_RULE}"
    return f"{'upload' if what == 'udf' else 'create'} it with PUT /_{what}/{name}"


def json_type(value: object) -> str:
    """The JSON name of a parsed value's type, with its article, for messages."""
    match value:
        case None:
            return "null"
        case bool():
            return "a boolean"
        case int() | float():
            return "a number"
        case str():
            return "a string"
        case list():
            return "an array"
        case _:
            return "an object"


class Fields:
    """One JSON object at `path`; every reader takes a key."""

    def __init__(self, value: object, path: str, known: Collection[str]) -> None:
        """`known` are all keys it may have. Raises `DefinitionError` for another one.

        A misspelt key is told before anything else: what is missing is most often that key.
        """
        if not isinstance(value, dict):
            what = "" if path else "the body "
            raise DefinitionError(path, f"{what}must be an object, not {json_type(value)}")
        self._value: dict[str, Any] = value
        self._path = path
        for key in value:
            if key not in known:
                meant = nearest(key, known)
                hint = f"did you mean {meant}? " if meant else ""
                reason = f"unknown key; {hint}known are {', '.join(sorted(known))}"
                raise DefinitionError(self.path(key[:100]), reason)

    def path(self, key: str) -> str:
        """The full path of `key`, as it appears in error messages."""
        return f"{self._path}.{key}" if self._path else key

    def string(
        self,
        key: str,
        *,
        default: str | Any = _MISSING,
        choices: Collection[str] | None = None,
        pattern: re.Pattern[str] | None = None,
        rule: str = "",
        longest: int = 1000,
    ) -> str:
        value = self._take(key, str, "a string", default)
        if value is default:
            return value
        if choices is not None and value not in choices:
            listed = ", ".join(choices)
            raise DefinitionError(self.path(key), f"[{value[:100]}] is not one of {listed}")
        if pattern is not None and not pattern.fullmatch(value):
            raise DefinitionError(self.path(key), f"[{value[:100]}] {rule}")
        if len(value) > longest:
            raise DefinitionError(self.path(key), f"is longer than {longest} characters")
        return value  # type: ignore[no-any-return]

    def name(self, key: str, *, default: str | Any = _MISSING) -> str:
        """A name a pipeline, stage or UDF can have."""
        return self.string(key, default=default, pattern=NAME, rule=NAME_RULE)

    def integer(self, key: str, *, default: int, minimum: int, maximum: int) -> int:
        value = self._take(key, int, "a whole number", default)
        if isinstance(value, bool):
            raise DefinitionError(self.path(key), "must be a whole number, not a boolean")
        if not minimum <= value <= maximum:
            reason = f"{value} is out of range: {minimum} to {maximum}"
            raise DefinitionError(self.path(key), reason)
        return value  # type: ignore[no-any-return]

    def boolean(self, key: str, *, default: bool) -> bool:
        return self._take(key, bool, "true or false", default)  # type: ignore[no-any-return]

    def object(self, key: str, *, default: Mapping[str, Any] | Any = _MISSING) -> dict[str, Any]:
        return self._take(key, dict, "an object", default)  # type: ignore[no-any-return]

    def array(self, key: str, *, default: list[Any] | Any = _MISSING) -> list[Any]:
        return self._take(key, list, "an array", default)  # type: ignore[no-any-return]

    def _take(self, key: str, wanted: type, article: str, default: Any) -> Any:
        value = self._value.get(key, _MISSING)
        if value is _MISSING:
            if default is _MISSING:
                raise DefinitionError(self.path(key), "required")
            return default
        if not isinstance(value, wanted):
            raise DefinitionError(self.path(key), f"must be {article}, not {json_type(value)}")
        return value
