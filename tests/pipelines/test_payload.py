"""The payload, and what each type of pipeline takes."""

from __future__ import annotations

from typing import Any

import pytest

from pipelines.errors import StageError
from pipelines.payload import Payload, check_input


@pytest.mark.parametrize("source", ['{"a": "é"}', '{"a": "é"}'.encode()])
def test_parsing_keeps_the_text(source: bytes | str) -> None:
    """Text and bytes alike: the text is what came in, the data what it says."""
    payload = Payload.parse(source)
    assert (payload.text, payload.data, payload.changed) == ('{"a": "é"}', {"a": "é"}, False)


def test_a_number_of_any_length_survives_in_the_text() -> None:
    """What is forwarded is the text, in which no digit is lost."""
    source = '{"id": 123456789012345678901234567890, "f": 0.1000000000000000055511151231257827}'
    assert Payload.parse(source).text == source


@pytest.mark.parametrize("source", [b"[]", b"1", b'"x"', b"null"])
def test_what_is_no_object_is_refused(source: bytes) -> None:
    """A payload is an object, whatever else JSON may be."""
    with pytest.raises(ValueError, match="the body must be a JSON object"):
        Payload.parse(source)


@pytest.mark.parametrize(
    "source", [b"", b"{", b"{'a': 1}", b'{"a": NaN}', b'{"a": "\xff"}', b'{"a":' * 3000]
)
def test_what_is_no_json_is_refused_with_the_place(source: bytes) -> None:
    """Broken text, bytes that are no UTF-8 and endless nesting end in the same error."""
    with pytest.raises(ValueError, match="line 1 column"):
        Payload.parse(source)


def test_a_payload_is_made_of_values_too() -> None:
    """Its text is compact JSON."""
    assert Payload.of({"a": [1, "é"]}).text == '{"a":[1,"é"]}'


@pytest.mark.parametrize(
    ("phase", "data"),
    [
        ("query", {}),
        ("query", {"query": {"match_all": {}}, "size": 3}),
        ("document", {}),
        ("document", {"query": "a field like any other", "hits": 1}),
        ("result", {}),
        ("result", {"hits": {}}),
        ("result", {"hits": {"hits": [], "total": {"value": 0}}}),
    ],
)
def test_input_that_fits_is_taken(phase: str, data: dict[str, Any]) -> None:
    """A search without a clause and a response without hits are what they are."""
    check_input(phase, Payload.of(data))


@pytest.mark.parametrize(
    ("phase", "data", "place"),
    [
        ("query", {"query": "shoes"}, "[query]"),
        ("query", {"query": None}, "[query]"),
        ("query", {"query": []}, "[query]"),
        ("result", {"hits": []}, "[hits.hits]"),
        ("result", {"hits": None}, "[hits.hits]"),
        ("result", {"hits": {"hits": {}}}, "[hits.hits]"),
    ],
)
def test_input_that_does_not_fit_is_refused(phase: str, data: dict[str, Any], place: str) -> None:
    """The error is of kind `input_type` and names the place."""
    with pytest.raises(StageError) as caught:
        check_input(phase, Payload.of(data))
    assert caught.value.kind == "input_type"
    assert place in caught.value.reason
