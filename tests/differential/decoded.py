"""Answers as values, to be compared where not their bytes but their JSON has to be the same.

Numbers stay as they were written: 1, 1.0 and 1e0 are three different ones.
"""

from __future__ import annotations

import json
import re
import struct
from typing import Any, Final

import cbor2
import yaml

from pipelines.definitions.attachment import SETTINGS
from tests.differential.sides import Seen

# What no two responses share, wherever it stands.
VOLATILE: Final = frozenset(
    {
        "took",
        "creation_date",
        "creation_date_string",
        "creation_time",
        "throttled_millis",
        "throttled_until_millis",
        "index_uuid",
        "uuid",
        "batches",
        "stack_trace",
        "_scroll_id",
        "pit_id",
    }
)
_MADE_ID: Final = re.compile(r"[\w+/.-]{20,}={0,2}|(?<=found for id )[\w\[\]-]+")
# The target a backend was asked with, where it tells it: parts of a response's form are ours.
_ASKED: Final = re.compile(r"(?<= for uri \[)[^\]]*")
_NUMBER: Final = re.compile(r"-?\d+(\.\d+)?([eE][+-]?\d+)?")


def same_response(direct: Seen, proxied: Seen) -> bool:
    """Whether both have the same status and media type, and bodies of the same value."""
    if (direct.status, media_type(direct)) != (proxied.status, media_type(proxied)):
        return False
    return bool(value_of(direct) == value_of(proxied))


def media_type(seen: Seen) -> bytes:
    """The Content-Type of a response."""
    fields = {name.lower(): value for name, value in seen.fields}
    return fields.get(b"content-type", b"").lower()


def value_of(seen: Seen) -> Any:
    """The parsed body less what is volatile or ours; its bytes where it is in no such format."""
    kind = media_type(seen).partition(b";")[0]
    if not seen.whole:
        return b""
    if kind.endswith(b"cbor"):
        return _shape(_measured(cbor2.loads(seen.whole)))
    if kind.endswith(b"yaml"):
        return _shape(_of_node(yaml.compose(seen.whole.decode(), yaml.CSafeLoader)))
    if kind.endswith(b"json"):
        return _shape(json.loads(seen.whole, parse_int=_written, parse_float=_written))
    return seen.body


def _written(text: str) -> tuple[str]:
    return (text,)


def _of_node(node: yaml.Node | None) -> Any:
    if isinstance(node, yaml.MappingNode):
        return {_of_node(name): _of_node(value) for name, value in node.value}
    if isinstance(node, yaml.SequenceNode):
        return [_of_node(element) for element in node.value]
    assert isinstance(node, yaml.ScalarNode)
    # Quoted text is text whatever stands in it; YAML 1.1 takes 1e3 for text, JSON does not.
    if node.style is None and _NUMBER.fullmatch(node.value):
        return (node.value,)
    return node.value if node.tag.endswith(":str") else (node.tag, node.value)


def _measured(value: Any) -> Any:
    """CBOR's numbers by kind and value.

    The backend writes its 32-bit numbers as such, which JSON shows in their shortest form: those
    are the same number if they are the same in 32 bits.
    """
    if isinstance(value, dict):
        return {name: _measured(member) for name, member in value.items()}
    if isinstance(value, list):
        return [_measured(element) for element in value]
    if isinstance(value, float):
        return ("float", struct.pack(">f", value))
    return ("int", value) if type(value) is int else value


def _shape(value: Any) -> Any:
    if isinstance(value, dict):
        kept = {name: _shape(member) for name, member in value.items() if name not in VOLATILE}
        return without_attachments(kept)
    if isinstance(value, list):
        return [_shape(element) for element in value]
    return _MADE_ID.sub("ID", _ASKED.sub("", value)) if isinstance(value, str) else value


def without_attachments(value: dict[str, Any]) -> dict[str, Any]:
    """The settings of one index less ours, nested or flat, and less what that leaves empty."""
    if "settings" not in value or not isinstance(value["settings"], dict):
        return value
    return {**value, "settings": _less_ours(value["settings"], "")}


def _less_ours(value: dict[str, Any], prefix: str) -> dict[str, Any]:
    kept: dict[str, Any] = {}
    for name, member in value.items():
        path = f"{prefix}{name}"
        if path in SETTINGS:
            continue
        inner = _less_ours(member, f"{path}.") if isinstance(member, dict) else member
        if inner != {} or member == {}:
            kept[name] = inner
    return kept
