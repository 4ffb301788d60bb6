"""The members of JSON texts, whoever else can read them."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from proxy.protocol.bodies.lenient_json import as_json
from proxy.protocol.bodies.members import first_text, texts_beside, texts_under
from proxy.protocol.store_guard import named_in
from tests.steps import calls_of

INDEX = frozenset({"index", "_index"})
ID = frozenset({"id", "path"})


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('{"index": "a"}', {"a"}),
        ('{"index": ["a", "b"], "other": "c"}', {"a", "b"}),
        ('{"index": {"deep": [{"x": "a"}]}, "other": "c"}', {"deep", "x", "a"}),
        ('{"index": {"index": {"index": "a"}}}', {"index", "a"}),
        ('{"index": 1, "other": "c"}', set()),
        ('{"index", "a"}', set()),
        ('{"index" /* one */ // two\n : /* three */ "a"}', {"a"}),
        ('{"index" /* : */, "a"}', set()),
        ('{"index": "a", "_index": "b", "index": "c"}', {"a", "b", "c"}),
        ('{"\\u0069ndex": "a", "i\\u006Edex": ["b"]}', {"a", "b"}),
        ('{"\\u0069ndexes": "a", "x\\"\\u0069": "b"}', set()),
        ('{"index": "\\u0061\\n"}', {"a\n"}),
        ('{"index": "\\q"}', {"\\q"}),
        ('/* "index": "a" */', {"a"}),
        ('{"index": [/* "b" */ "a"]}', {"a"}),
        ('/* "index": [ /* */ "a"', {"a"}),
        ('{"x": "no end, "index": "a"}', {"a"}),
        ('{"index": {"x": /* no end, "y": "a"}', {"x", "y", "a"}),
        ('{"index": "a"}}}] {"index": "b"', {"a", "b"}),
        ('"index":[/*"index":[["a"*/"b"],"c"]"d"', {"a", "b", "c"}),
    ],
)  # fmt: skip
def test_texts_under_a_member(text: str, found: set[str]) -> None:
    """They are found however deep, doubled, escaped or broken the text is."""
    assert set(texts_under(text, INDEX)) == found


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('{"index": "a", "id": 1}', ["a"]),
        ('{"id": 1, "index": "a"}', ["a"]),
        ('{"index": "a"}', []),
        ('{"index": "a", "x": {"id": 1}}', []),
        ('{"x": {"index": "a"}, "id": 1}', []),
        ('[{"index": "a", "id": 1}, {"index": "b"}, {"_index": "c", "path": 1}]', ["a", "c"]),
        ('{"index": {"index": "a", "id": 1}, "id": 1}', ["index", "a", "id"]),
        ('{"\\u0069ndex": /**/ "a", /**/ "\\u0069d" /**/ : 1}', ["a"]),
        ('{"index": ["a", {"b": "c"}], "id": 1', ["a", "b", "c"]),
        ('{"index": 1, "x": "a", "id": 1}', []),
        ('}}{"index": "a", "id": 1}', ["a"]),
    ],
)
def test_texts_beside_a_member(text: str, found: list[str]) -> None:
    """They are those of objects with one of the other members, each told once."""
    assert list(texts_beside(text, INDEX, ID)) == found


def test_the_first_text() -> None:
    """Comments and what has no end come before none."""
    assert first_text('/* "a" */ // "b"\n {"c": "d"}') == "c"
    assert first_text('{"\\u0061": 1}') == "a"
    assert first_text('/* "a"') == "a"
    assert first_text('{"a') is None
    assert first_text("") is None


def test_comments_without_an_end_stay() -> None:
    """A text that they break is not made whole."""
    assert as_json(b'{"a": /* b */ 1} // c\n/* d') == '{"a":   1}  \n/* d'
    assert as_json(b'{"a": "/* b */, /* c */') == '{"a": "/* b */, /* c */'


# Texts of a size: keys inside keys, and all that begins and has no end, or one far away.
SHAPES: dict[str, Callable[[int], str]] = {
    "nested": lambda size: '{"index":' * size,
    "nested, escaped": lambda size: '{"\\u0069ndex":' * size,
    "nested, with others": lambda size: '{"index":{"id":"x","index":' * size,
    "nested arrays": lambda size: '"index":[' * size,
    "escapes": lambda size: "\\u0061" * size,
    "escapes in a string": lambda size: '"' + "\\u0061" * size,
    "quotes in a string": lambda size: '"' + '\\"' * size,
    "keys in a string": lambda size: '"' + '\\"index":' * size,
    "comments": lambda size: "/* " * size,
    "keys and comments": lambda size: '"index"/*' * size,
    "keys in a comment": lambda size: '"index"/*' * size + "*/",
    "keys in a line": lambda size: '"index"//' * size,
    "keys in a run of comments": lambda size: '/*"index"//*/\n' * size,
    "values out of a comment": lambda size: '"index":[/*' * size + "*/" + "," * size,
    "values out of a line": lambda size: '"index":[//' * size + "\n" + "," * size,
    "keys alone": lambda size: '"index" ' * size,
}
READINGS: dict[str, Callable[[str], object]] = {
    "under": lambda text: list(texts_under(text, INDEX)),
    "beside": lambda text: list(texts_beside(text, INDEX, ID)),
    "first": first_text,
    "named": lambda text: named_in(text.encode()),
    "plain": lambda text: as_json(text.encode()),
}


@pytest.mark.parametrize("reading", sorted(READINGS))
@pytest.mark.parametrize("shape", sorted(SHAPES))
def test_work_grows_with_the_text(shape: str, reading: str) -> None:
    """Twice the text is twice the steps, whatever it is made of."""
    once, twice = (calls_of(READINGS[reading], SHAPES[shape](size)) for size in (200, 400))
    assert twice <= 2.2 * once + 20


@pytest.mark.parametrize(
    "shape",
    ["escapes in a string", "quotes in a string", "comments", "keys in a comment"],
)
def test_no_step_is_long(shape: str) -> None:
    """A large text is read to its end; steps that each go through it all would take minutes."""
    text = SHAPES[shape](100_000)
    for read in READINGS.values():
        read(text)
