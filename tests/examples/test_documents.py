"""The document examples, in a real sandbox: enrichment and validation."""

from __future__ import annotations

from typing import Any

import pytest

from pipelines.errors import StageError
from pipelines.wasm.pool import SandboxPool
from tests.examples.loading import Example

GOOD = {"sku": "QM-1", "title": "Tent", "price": 99.0, "popularity": 0.5, "tags": ["new"]}


@pytest.fixture
def enrichment(patient_pool: SandboxPool) -> Example:
    return Example.load(patient_pool, "document-enrichment")


@pytest.fixture
def validation(patient_pool: SandboxPool) -> Example:
    return Example.load(patient_pool, "document-validation")


async def refusal(example: Example, doc: dict[str, Any], **params: Any) -> tuple[list[str], int]:
    """The problems a document is refused for, and the status; none for one that passes."""
    reply = await example.run(doc, **params)
    assert not reply.changed
    if reply.rejected is None:
        return [], 200
    reason, status = reply.rejected
    return reason.removeprefix("document refused: ").split("; "), status


async def test_derived_fields_are_added(enrichment: Example) -> None:
    """A product gets its normalized title, slug, word count, price band and search text."""
    doc = {
        "title": " Café  CRÈME 2-in-1",
        "brand": "Lumora",
        "description": "Two cups.",
        "price": 60,
    }
    assert (await enrichment.run(doc)).data == doc | {
        "title_normalized": "cafe creme 2-in-1",
        "slug": "cafe-creme-2-in-1",
        "word_count": 5,
        "search_text": "cafe creme 2-in-1 lumora two cups.",
        "price_band": "standard",
    }


@pytest.mark.parametrize(
    ("price", "band"),
    [(0, "budget"), (49.99, "budget"), (50, "standard"), (799, "premium"), (800, "luxury")],
)
async def test_price_bands_end_below_their_limit(
    enrichment: Example, price: float, band: str
) -> None:
    """A band's limit belongs to the next one; the last band has none."""
    assert (await enrichment.run({"price": price})).data["price_band"] == band


@pytest.mark.parametrize(
    "doc", [{}, {"sku": "1"}, {"title": 5, "price": "5"}, {"title": None, "price": True}]
)
async def test_missing_sources_add_nothing(enrichment: Example, doc: dict[str, Any]) -> None:
    """Fields whose source is missing or of another type are left out."""
    assert not (await enrichment.run(doc)).changed


async def test_given_fields_win_unless_overwritten(enrichment: Example) -> None:
    """A field the document brings stays, null included; `overwrite` turns that around."""
    doc = {"title": "Big Tent", "slug": "my-slug", "word_count": None}
    kept = (await enrichment.run(doc)).data
    assert (kept["slug"], kept["word_count"]) == ("my-slug", None)
    replaced = (await enrichment.run(doc, overwrite=True)).data
    assert (replaced["slug"], replaced["word_count"]) == ("big-tent", 2)


async def test_enriching_twice_changes_nothing(enrichment: Example) -> None:
    """An enriched document comes through again as it is."""
    once = (await enrichment.run(GOOD)).data
    assert once != GOOD
    assert not (await enrichment.run(once)).changed
    assert not (await enrichment.run(once, overwrite=True)).changed


async def test_price_bands_are_a_parameter(enrichment: Example) -> None:
    """Bands may be given in any order."""
    bands: dict[str, Any] = {"price_bands": {"mid": 10, "low": 5}, "top_band": "high"}
    found = [(await enrichment.run({"price": p}, **bands)).data["price_band"] for p in (1, 7, 10)]
    assert found == ["low", "mid", "high"]


async def test_good_documents_pass(validation: Example) -> None:
    """A document that breaks no rule goes on unchanged; optional fields may be null."""
    assert await refusal(validation, GOOD) == ([], 200)
    assert await refusal(validation, GOOD | {"description": None, "other": {}}) == ([], 200)


async def test_all_problems_are_named_at_once(validation: Example) -> None:
    """One refusal with status 400 lists every problem of the document."""
    doc = {"sku": "x" * 33, "title": " ", "price": "cheap", "popularity": 7, "tags": "new"}
    assert await refusal(validation, doc) == (
        [
            "title: required",
            "price: has to be of type number, is text",
            "tags: has to be of type list, is text",
            "popularity: has to be at most 1, is 7",
            "sku: has to have at most 32 characters, has 33",
        ],
        400,
    )


@pytest.mark.parametrize("price", [0, 100000, 3.5])
async def test_range_obeyed(validation: Example, price: float) -> None:
    """Both ends of a range are allowed."""
    assert await refusal(validation, GOOD | {"price": price}) == ([], 200)


@pytest.mark.parametrize(
    ("price", "problem"),
    [(-0.01, "at least 0, is -0.01"), (100001, "at most 100000, is 100001")],
)
async def test_range_violated(validation: Example, price: float, problem: str) -> None:
    """What is beyond an end is refused with the end and the value."""
    expected = ([f"price: has to be {problem}"], 400)
    assert await refusal(validation, GOOD | {"price": price}) == expected


@pytest.mark.parametrize(
    ("kind", "good", "bad"),
    [
        ("text", "", 1),
        ("number", 1.5, True),
        ("integer", 2.0, 2.5),
        ("integer", 10**30, "7"),
        ("truth", False, 0),
        ("list", [], {}),
        ("object", {}, []),
    ],
)
async def test_types(validation: Example, kind: str, good: Any, bad: Any) -> None:
    """Each type takes its own values only; true is no number, 2.0 is an integer."""
    rules: dict[str, Any] = {"required": [], "types": {"a.b": kind}}
    rules |= {"ranges": {}, "max_lengths": {}}
    assert await refusal(validation, {"a": {"b": good}}, **rules) == ([], 200)
    (problem,), status = await refusal(validation, {"a": {"b": bad}}, **rules)
    assert problem.startswith(f"a.b: has to be of type {kind}, is ")
    assert status == 400


async def test_open_ranges_and_lists(validation: Example) -> None:
    """A null end is no bound; lists are measured in entries, below paths too."""
    rules = {"ranges": {"price": [None, 5], "stock": [1, None]}, "max_lengths": {"a.tags": 1}}
    doc = GOOD | {"price": -50, "stock": 10**12, "a": {"tags": ["x"]}}
    assert await refusal(validation, doc, **rules) == ([], 200)
    problems, _ = await refusal(validation, doc | {"a.tags": ["x", "y"]}, **rules)
    assert problems == ["a.tags: has to have at most 1 entries, has 2"]


async def test_without_rules_everything_passes(validation: Example) -> None:
    """Every parameter is optional."""
    bare = Example(validation.pool, validation.package, validation.phase, {})
    assert await refusal(bare, {}) == ([], 200)


async def test_many_problems_are_counted(validation: Example) -> None:
    """Twenty problems are spelt out, the rest is counted."""
    problems, _ = await refusal(validation, GOOD, required=[f"f{n}" for n in range(25)])
    assert len(problems) == 21
    assert problems[-1] == "and 5 more"


async def test_unknown_type_violated(validation: Example) -> None:
    """A rule with a type there is not fails the stage and names the rule."""
    with pytest.raises(StageError, match=r"types\.price: 'money' is none of text, number"):
        await validation.run(GOOD, types={"price": "money"})
