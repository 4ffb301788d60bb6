"""The catalogue, the dictionary, the showcases and the folders of the examples."""

from __future__ import annotations

import json
import re
import runpy
from collections.abc import Callable
from typing import Any, cast

import pytest

from pipelines.definitions.pipeline import read_pipeline
from pipelines.stages import KINDS
from pipelines.wasm.pool import SandboxPool
from tests.examples.loading import CATALOGUE, EXAMPLES, NAMES, Example, definition, package

Product = dict[str, Any]


@pytest.fixture(scope="module")
def products() -> list[Product]:
    lines = (CATALOGUE / "products.ndjson").read_text().splitlines()
    return [json.loads(line) for line in lines]


SHOWCASES: list[dict[str, Any]] = json.loads((CATALOGUE / "showcase.json").read_text())


def tokens(text: str) -> list[str]:
    return re.findall(r"\w+", text.lower())


def matches(clause: Any, product: Product) -> bool:
    """What the backend's standard analyzer finds, for the clauses the showcases are made of."""
    ((kind, body),) = clause.items()
    if kind == "bool":
        inner = [matches(c, product) for c in body.get("should", [])]
        rest = [*body.get("must", []), *body.get("filter", [])]
        return (any(inner) or not inner) and all(matches(c, product) for c in rest)
    if kind == "range":
        return cast(bool, product["price"] <= body["price"]["lte"])
    if kind == "multi_match":
        kind, body = "match_phrase" if body.get("type") == "phrase" else "match", {"title": body}
    options = body["title"] if isinstance(body["title"], dict) else {"query": body["title"]}
    wanted, title = tokens(options["query"]), tokens(product["title"])
    if kind == "match_phrase":
        return f" {' '.join(wanted)} " in f" {' '.join(title)} "
    every: Callable[..., bool] = all if options.get("operator") == "and" else any
    return every(word in title for word in wanted)


def test_catalogue_is_what_the_script_makes() -> None:
    """products.ndjson is the output of make_catalogue.py, byte for byte."""
    made = runpy.run_path(str(CATALOGUE / "make_catalogue.py"))["catalogue_text"]()
    assert (CATALOGUE / "products.ndjson").read_text() == made


def test_dictionary_is_what_the_script_makes() -> None:
    """dictionary.txt is the output of make_dictionary.py, byte for byte."""
    made = runpy.run_path(str(CATALOGUE / "make_dictionary.py"))["dictionary_text"]()
    assert (EXAMPLES / "spell-correction" / "dictionary.txt").read_text() == made


def test_products_are_complete(products: list[Product]) -> None:
    """1,200 products with all fields; about a fifth have no description."""
    assert len({p["sku"] for p in products}) == len(products) == 1200
    always = {"sku", "title", "brand", "category", "price", "popularity", "created"}
    assert all(always <= p.keys() <= always | {"description"} for p in products)
    assert all(0 <= p["popularity"] <= 1 and p["price"] > 0 for p in products)
    assert 0.15 < sum("description" not in p for p in products) / len(products) < 0.25


def test_products_use_one_word_for_what_they_are(products: list[Product]) -> None:
    """Laptops never say notebook, televisions never say TV, and the other way round."""
    for one, other in (("laptop", "notebook"), ("tv", "television"), ("sofa", "couch")):
        for product in products:
            words = tokens(product["title"] + " " + product.get("description", ""))
            assert not (one in words and other in words)


@pytest.mark.parametrize("name", NAMES)
def test_folder_is_complete(name: str) -> None:
    """The definition is valid; names, version and type agree with the UDF and the README."""
    defined = definition(name)
    assert read_pipeline(defined, KINDS, name=name).label == f"{name}@1.0.0"
    udf = package(name)
    (stage,) = defined["stages"]
    assert defined["name"] == name
    assert stage["config"]["udf_name"] == udf.name
    assert stage["config"]["udf_version"] == udf.version
    assert f"# @udf: category={defined['type']}_pipeline" in udf.source
    readme = (EXAMPLES / name / "README.md").read_text()
    assert readme.count("<!-- measured:begin -->") == readme.count("<!-- measured:end -->") == 1
    assert all(f"`{parameter}`" in readme for parameter in stage["config"]["parameters"])


def test_every_example_has_a_showcase() -> None:
    """Showcases have names of their own and show all five examples."""
    assert {case["example"] for case in SHOWCASES} == set(NAMES)
    assert len({case["id"] for case in SHOWCASES}) == len(SHOWCASES)
    assert all(case["example"] in case["pipelines"] for case in SHOWCASES)


@pytest.mark.parametrize(
    "case", [c for c in SHOWCASES if c["kind"] == "search"], ids=lambda case: str(case["id"])
)
async def test_searches_find_what_they_promise(
    case: dict[str, Any], patient_pool: SandboxPool, products: list[Product]
) -> None:
    """The query pipelines change which products match, as the showcase expects."""
    request = case["request"]
    before = [p["title"] for p in products if matches(request["query"], p)]
    for name in case["pipelines"]:
        if definition(name)["type"] == "query":
            request = (await Example.load(patient_pool, name).run(request)).data
    after = [p["title"] for p in products if matches(request["query"], p)]
    expect = case["expect"]
    assert (len(before), len(after)) == (expect["total_before"], expect["total_after"])
    if "title_gained" in expect:
        assert not any(expect["title_gained"] in title for title in before)
        assert any(expect["title_gained"] in title for title in after)
    if "first_title_before" in expect:
        assert expect["first_title_before"] == min(before, key=len)


@pytest.mark.parametrize(
    "case", [c for c in SHOWCASES if c["kind"] == "index"], ids=lambda case: str(case["id"])
)
async def test_documents_become_what_they_promise(
    case: dict[str, Any], patient_pool: SandboxPool
) -> None:
    """The document pipelines add the fields, or refuse with the reasons, that are expected."""
    (name,) = case["pipelines"]
    reply = await Example.load(patient_pool, name).run(case["document"])
    expect = case["expect"]
    assert (reply.rejected is None) == (expect["status"] < 400)
    assert reply.data.items() >= expect.get("fields_gained", {}).items()
    reason = reply.rejected[0] if reply.rejected else ""
    assert all(wanted in reason for wanted in expect.get("reasons", []))
