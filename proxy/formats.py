"""The formats a backend speaks beside JSON: told apart by media type, turned into JSON and back."""

from __future__ import annotations

import base64
import math
import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final, Literal, cast

import cbor2
import yaml

from pipelines.json_text import parse, write

Format = Literal["json", "yaml", "cbor", "smile"]

YAML_MAX: Final = 1024 * 1024
_DEPTH_MAX: Final = 200
_TYPE: Final = re.compile(
    r"application/(?:vnd\.(?:elasticsearch|opensearch)\+)?(json|x-ndjson|yaml|cbor|smile|\*)"
    r"(?=\s*(?:;|$))",
    re.ASCII | re.IGNORECASE,
)
# Tags of CBOR that refer to other parts of the same data, by which a little can stand for a lot.
_REFERENCES: Final = (25, 28, 29, 256)


class FormatError(ValueError):
    """A body is not valid in its format, or holds what JSON cannot; the message says which."""


def format_of(media_type: str) -> Format | None:
    """The format that a Content-Type or Accept names; None for lists and for what is unknown."""
    found = _TYPE.match(media_type.strip())
    if found is None:
        return None
    name = found[1].lower()
    return "json" if name in ("x-ndjson", "*") else cast(Format, name)


def format_named(name: str) -> Format:
    """What ``?format=`` asks for; the backend takes a name it does not know for JSON."""
    lowered = name.lower()
    return cast(Format, lowered) if lowered in ("yaml", "cbor", "smile") else "json"


def as_json_type(media_type: str) -> str:
    """A media type of another format as that of JSON; a vendor's stays the vendor's."""
    return _TYPE.sub(lambda found: media_type[: found.start(1)].strip() + "json", media_type)


def content_type(format: Format) -> str:
    return "application/json; charset=UTF-8" if format == "json" else f"application/{format}"


def to_json(body: bytes, format: Format) -> bytes:
    """A YAML or CBOR body as JSON. Raises `FormatError`."""
    try:
        value = _read_yaml(body) if format == "yaml" else _read_cbor(body)
        return write(_plain(value, _DEPTH_MAX)).encode()
    except (yaml.YAMLError, cbor2.CBORError, UnicodeDecodeError, RecursionError) as error:
        reason = " ".join(str(error).split())[:300] or "it is nested too deeply"
        raise FormatError(f"the {format.upper()} body cannot be read: {reason}") from error
    except FormatError:
        raise
    except (ValueError, TypeError, OverflowError, MemoryError) as error:
        raise FormatError(f"the {format.upper()} body cannot be read: {error}") from error


def from_json(text: str, format: Format) -> bytes:
    """The JSON `text` in YAML or CBOR."""
    value = parse(text)
    if format == "cbor":
        return cbor2.dumps(value)
    written = yaml.dump(
        value,
        Dumper=_YamlWriter,
        explicit_start=True,
        sort_keys=False,
        allow_unicode=True,
        width=2**30,
        encoding="utf-8",
    )
    return cast(bytes, written)


class _YamlReader(yaml.CSafeLoader):
    """Plain scalars mean what they mean to the backend: dates, yes and no are strings."""

    yaml_implicit_resolvers: Mapping[str, Any] = {}  # type: ignore[assignment]


def _resolve(tag: str, pattern: str, first: str) -> None:
    _YamlReader.add_implicit_resolver(f"tag:yaml.org,2002:{tag}", re.compile(pattern), [*first, ""])


_resolve("bool", r"(?:true|True|TRUE|false|False|FALSE)\Z", "tTfF")
_resolve("null", r"(?:~|null|Null|NULL|)\Z", "~nN")
_resolve("int", r"-?(?:0|[1-9][0-9]*)\Z", "-0123456789")
_resolve("float", r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?\Z", "-0123456789")


class _YamlWriter(yaml.CSafeDumper):
    """Strings in quotes, as the backend writes them, so that no reader takes one for a number."""

    def ignore_aliases(self, data: object) -> bool:
        return True


_BARE_KEY: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*\Z", re.ASCII)
_WORDS: Final = frozenset({"true", "false", "null", "yes", "no", "on", "off", "y", "n"})


def _write_string(writer: _YamlWriter, value: str) -> yaml.ScalarNode:
    return writer.represent_scalar("tag:yaml.org,2002:str", value, style='"')


def _write_mapping(writer: _YamlWriter, value: dict[str, Any]) -> yaml.MappingNode:
    node = writer.represent_mapping("tag:yaml.org,2002:map", value.items())
    for key, _ in node.value:
        if _BARE_KEY.match(key.value) and key.value.lower() not in _WORDS:
            key.style = None
    return node


_YamlWriter.add_representer(str, _write_string)
_YamlWriter.add_representer(dict, _write_mapping)


def _read_yaml(body: bytes) -> Any:
    if len(body) > YAML_MAX:
        raise FormatError(f"the YAML body has more than {YAML_MAX} bytes; send JSON")
    # An alias repeats what may be large, so a little can stand for a lot.
    if b"*" in body and any(
        isinstance(event, yaml.AliasEvent) for event in yaml.parse(body, Loader=_YamlReader)
    ):
        raise FormatError("the YAML body has aliases; write out what they stand for")
    return yaml.load(body, Loader=_YamlReader)  # noqa: S506


def _read_cbor(body: bytes) -> Any:
    return cbor2.loads(
        body,
        max_depth=_DEPTH_MAX,
        semantic_decoders=dict.fromkeys(_REFERENCES, _refuse_reference),
        strict_hashable_types=True,
    )


def _refuse_reference(*_: object) -> Any:
    raise FormatError("the CBOR body has references; write out what they stand for")


def _plain(value: Any, depth: int) -> Any:
    """The value as JSON has it: binary data as Base64, keys as text."""
    if depth == 0:
        raise FormatError(f"the body is nested too deeply; {_DEPTH_MAX} levels are allowed")
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, dict):
        return {_key(name): _plain(member, depth - 1) for name, member in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(element, depth - 1) for element in value]
    if isinstance(value, float | Decimal):
        if not math.isfinite(value):
            raise FormatError(f"the body has the number {value}, which JSON cannot hold")
        return float(value)
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    raise FormatError(f"the body has a value of type {type(value).__name__}; JSON has none")


def _key(name: Any) -> str:
    if isinstance(name, str):
        return name
    if name is None or isinstance(name, bool | int | float):
        return write(name)
    raise FormatError(f"the body has a key of type {type(name).__name__}; a key is text")
