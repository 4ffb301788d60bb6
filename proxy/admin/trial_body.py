"""What is to be tried: the body of ``_execute``, read and checked before anything runs."""

from __future__ import annotations

import codecs
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import orjson

from pipelines.definitions.fields import NAME, NAME_RULE, Fields, json_type
from pipelines.definitions.udf import read_package, source_headers
from pipelines.errors import DefinitionError
from pipelines.jsontext.json_text import refuse_repeated
from pipelines.jsontext.slices import elements, members
from pipelines.payload import Payload
from pipelines.trial import GivenUdf
from proxy.config.execute_settings import ExecuteSettings
from proxy.http.errors import ErrorResponse

_KEYS: Final = ("input", "inputs", "request", "response", "index", "id", "udfs")
_INLINE_KEYS: Final = (*_KEYS, "pipeline", "pipelines")


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialBody:
    """The body, each payload with its text as it was sent.

    `inputs` are what the first pipeline is given, None where that is read from the backend;
    `several` tells that they came as a list. `pipelines` are names and definitions in their order,
    None where the path or the index says which.
    """

    inputs: tuple[Payload, ...] | None
    several: bool
    request: Payload | None
    response: Payload | None
    index: str
    id: str | None
    udfs: Mapping[str, GivenUdf]
    pipelines: tuple[tuple[str, Any], ...] | None


def read_trial(body: bytes, limits: ExecuteSettings, *, inline: bool) -> TrialBody:
    """Raises `DefinitionError`, `ErrorResponse`. Takes a while for what is large."""
    value, texts = _parsed(body)
    fields = Fields(value, "", _INLINE_KEYS if inline else _KEYS)
    one = fields.object("input", default=None)
    several = fields.array("inputs", default=None)
    if several is not None and one is not None:
        raise DefinitionError("inputs", "goes without [input]; put that one into the list")
    if several is not None and not 1 <= len(several) <= limits.execute_max_inputs:
        most = f"1 to {limits.execute_max_inputs} are allowed (execute_max_inputs)"
        reason = f"has {len(several)} payloads; {most}"
        raise DefinitionError("inputs", reason)
    doc_id = fields.string("id", default=None, longest=512)
    if several is not None and doc_id is not None:
        raise DefinitionError("id", "goes with one document, not with [inputs]")
    inputs: tuple[Payload, ...] | None = None
    if one is not None:
        inputs = (Payload(texts["input"], one),)
    elif several is not None:
        inputs = _payloads(several, texts["inputs"])
    return TrialBody(
        inputs=inputs,
        several=several is not None,
        request=_payload(fields, "request", texts),
        response=_payload(fields, "response", texts),
        index=fields.string("index", default=""),
        id=doc_id,
        udfs=_udfs(fields.object("udfs", default={}), limits.execute_max_udfs),
        pipelines=_pipelines(fields, limits.execute_max_pipelines) if inline else None,
    )


def _parsed(body: bytes) -> tuple[Any, dict[str, str]]:
    """The body, and the text of each of its members."""
    body = body.removeprefix(codecs.BOM_UTF8)
    if not body.strip():
        raise ErrorResponse(400, "parse_exception", "the body is empty; send a JSON object")
    try:
        value = orjson.loads(body)
        text = body.decode()
        refuse_repeated(text, value)
        if not isinstance(value, dict):
            return value, {}
        return value, {part.key: text[part.start : part.end] for part in members(text)}
    except ValueError as error:
        reason = f"the body is not usable JSON: {error}"
        raise ErrorResponse(400, "parse_exception", reason) from error


def _payload(fields: Fields, key: str, texts: Mapping[str, str]) -> Payload | None:
    value = fields.object(key, default=None)
    return None if value is None else Payload(texts[key], value)


def _payloads(values: list[Any], text: str) -> tuple[Payload, ...]:
    for position, value in enumerate(values):
        if not isinstance(value, dict):
            reason = f"must be an object, not {json_type(value)}"
            raise DefinitionError(f"inputs[{position}]", reason)
    return tuple(
        Payload(text[part.start : part.end], value)
        for part, value in zip(elements(text), values, strict=True)
    )


def _udfs(given: Mapping[str, Any], most: int) -> dict[str, GivenUdf]:
    if len(given) > most:
        reason = f"has {len(given)} UDFs; {most} are allowed (execute_max_udfs)"
        raise DefinitionError("udfs", reason)
    udfs: dict[str, GivenUdf] = {}
    for name, value in given.items():
        path = f"udfs.{name[:100]}"
        if not NAME.fullmatch(name):
            raise DefinitionError(path, f"[{name[:100]}] {NAME_RULE}")
        if not isinstance(value, dict):
            raise DefinitionError(path, f"must be an object, not {json_type(value)}")
        try:
            package = read_package(name, orjson.dumps(value), format="json")
        except DefinitionError as error:
            place = f"{path}.{error.path}" if error.path else path
            raise DefinitionError(place, error.reason) from error
        except TypeError as error:
            raise DefinitionError(path, str(error)) from error
        versioned = "version" in value or "version" in source_headers(package.source)
        udfs[name] = GivenUdf(package, versioned)
    return udfs


def _pipelines(fields: Fields, most: int) -> tuple[tuple[str, Any], ...] | None:
    """Each with its place in the body."""
    one = fields.object("pipeline", default=None)
    several = fields.array("pipelines", default=None)
    if one is not None and several is not None:
        raise DefinitionError("pipelines", "goes without [pipeline]; put that one into the list")
    if several is not None and not 1 <= len(several) <= most:
        reason = f"has {len(several)} pipelines; 1 to {most} are allowed (execute_max_pipelines)"
        raise DefinitionError("pipelines", reason)
    given = [("pipeline", one)] if one is not None else []
    given += [(f"pipelines[{position}]", each) for position, each in enumerate(several or ())]
    for path, each in given:
        try:
            orjson.dumps([[[[each]]]])
        except TypeError as error:
            raise DefinitionError(path, f"is nested too deeply: {error}") from error
    return tuple(given) if given else None
