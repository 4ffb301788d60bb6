"""YAML as the backend reads and writes it, which is not quite as other readers do."""

from __future__ import annotations

import re
from collections.abc import Hashable, Mapping
from typing import Any, Final

import yaml
from yaml.constructor import ConstructorError

from proxy.formats.limits import DEPTH_MAX, YAML_MAX

YamlError = yaml.YAMLError

_TRUTHS: Final = ("true", "false", "yes", "no", "on", "off")
_BACKEND_FLOAT: Final = re.compile(r"-?[0-9]\.[0-9]+E-?[0-9]+\Z", re.ASCII)
_BARE_KEY: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*\Z", re.ASCII)
_WORDS: Final = frozenset({*_TRUTHS, "null", "y", "n"})


def read_yaml(body: bytes) -> Any:
    """The value of a YAML document. Raises `YamlError`, and `ValueError` for a broken number."""
    if len(body) > YAML_MAX:
        raise YamlError(f"it has more than {YAML_MAX} bytes; send JSON")
    _check_events(body)
    try:
        return yaml.load(body, Loader=_YamlReader)
    except (AttributeError, LookupError) as error:
        # What the reader's constructors do with a value they do not expect, as in !!bool maybe.
        raise YamlError("it has a tag that does not fit its value") from error


def _check_events(body: bytes) -> None:
    """Refuse aliases, and nesting, for which the reader's time grows with the square of it."""
    depth = 0
    for event in yaml.parse(body, Loader=_YamlReader):
        if isinstance(event, yaml.AliasEvent):
            # It repeats what may be large, so a little can stand for a lot.
            raise YamlError("it has aliases; write out what they stand for")
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > DEPTH_MAX:
                raise YamlError(f"it is nested too deeply; {DEPTH_MAX} levels are allowed")
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1


class WrittenFloat(str):
    """A float as its JSON had it."""


def written_float(text: str) -> float | WrittenFloat:
    """A float of JSON text: one in the backend's own form (``1.0E-10``) stays so in YAML."""
    return WrittenFloat(text) if _BACKEND_FLOAT.match(text) else float(text)


def write_yaml(value: Any) -> bytes:
    """A YAML document of plain values and `WrittenFloat`s."""
    return yaml.dump(
        value,
        Dumper=_YamlWriter,
        explicit_start=True,
        sort_keys=False,
        allow_unicode=True,
        width=2**30,
        encoding="utf-8",
    )


class _YamlReader(yaml.CSafeLoader):
    """Plain scalars mean what they mean to the backend: dates are text, 012 is ten, keys are text.

    A key that comes twice is refused.
    """

    yaml_implicit_resolvers: Mapping[str, Any] = {}  # type: ignore[assignment]

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        mapping: dict[Hashable, Any] = {}
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise ConstructorError(None, None, "a key has to be text", key.start_mark)
            if key.value in mapping:
                reason = f"the key [{key.value[:50]}] comes twice"
                raise ConstructorError(None, None, reason, key.start_mark)
            mapping[key.value] = self.construct_object(value, deep=deep)
        return mapping


def _read_whole(_: _YamlReader, node: yaml.ScalarNode) -> int:
    digits = node.value.lstrip("+-")
    prefix = digits[:2]
    base = 16 if prefix == "0x" else 8 if len(digits) > 1 and digits[0] == "0" else 10
    value = int(digits[2:] if prefix in ("0x", "0o") else digits, base)
    return -value if node.value.startswith("-") else value


def _resolve(tag: str, pattern: str, first: str) -> None:
    _YamlReader.add_implicit_resolver(
        f"tag:yaml.org,2002:{tag}", re.compile(rf"(?:{pattern})\Z", re.ASCII), [*first, ""]
    )


_resolve("bool", "|".join(f"{w}|{w.title()}|{w.upper()}" for w in _TRUTHS), "yYnNtTfFoO")
_resolve("null", "~|null|Null|NULL|", "~nN")
_resolve("int", "[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", "-+0123456789")
_resolve(
    "float",
    r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?"
    r"|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)",
    "-+.0123456789",
)
_YamlReader.add_constructor("tag:yaml.org,2002:int", _read_whole)


class _YamlWriter(yaml.CSafeDumper):
    """Strings in quotes, as the backend writes them, so that no reader takes one for a number."""

    def ignore_aliases(self, data: object) -> bool:
        return True


def _write_string(writer: _YamlWriter, value: str) -> yaml.ScalarNode:
    return writer.represent_scalar("tag:yaml.org,2002:str", value, style='"')


def _write_mapping(writer: _YamlWriter, value: dict[str, Any]) -> yaml.MappingNode:
    node = writer.represent_mapping("tag:yaml.org,2002:map", value.items())
    for key, _ in node.value:
        if _BARE_KEY.match(key.value) and key.value.lower() not in _WORDS:
            key.style = None
    return node


def _write_float(writer: _YamlWriter, value: WrittenFloat) -> yaml.ScalarNode:
    return writer.represent_scalar("tag:yaml.org,2002:float", str(value))


# Without it, the form that YAML 1.1 does not know would be given a tag.
_YamlWriter.add_implicit_resolver("tag:yaml.org,2002:float", _BACKEND_FLOAT, [*"-0123456789"])
_YamlWriter.add_representer(WrittenFloat, _write_float)
_YamlWriter.add_representer(str, _write_string)
_YamlWriter.add_representer(dict, _write_mapping)
