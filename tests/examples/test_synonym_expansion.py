"""The synonym-expansion example, in a real sandbox."""

from __future__ import annotations

from typing import Any

import pytest

from pipelines.wasm.pool import SandboxPool
from tests.examples.loading import Example


@pytest.fixture
def expansion(patient_pool: SandboxPool) -> Example:
    return Example.load(patient_pool, "synonym-expansion")


def should(clause: Any) -> list[Any]:
    """The alternatives of an expanded clause."""
    assert clause["bool"]["minimum_should_match"] == 1
    return list(clause["bool"]["should"])


async def test_match_becomes_boosted_alternatives(expansion: Example) -> None:
    """The short form of a match keeps the user's word above its synonyms."""
    assert should(await expansion.rewritten({"match": {"title": "laptop"}})) == [
        {"match": {"title": {"query": "laptop", "boost": 2.0}}},
        {"match_phrase": {"title": {"query": "notebook computer", "boost": 0.8}}},
    ]


async def test_options_stay_with_the_original(expansion: Example) -> None:
    """All options stay on the original, a synonym keeps the analyzer and no fuzziness."""
    options = {
        "query": "Television",
        "fuzziness": "AUTO",
        "analyzer": "english",
        "lenient": True,
        "boost": 3,
        "_name": "typed",
    }
    clause = await expansion.rewritten({"match": {"title": options}})
    kept = {"analyzer": "english", "lenient": True}
    original = {"query": "Television", "fuzziness": "AUTO", "boost": 6.0, **kept}
    first, tv, _ = should(clause)
    assert first == {"match": {"title": original}}
    assert tv["match"]["title"] == {
        "query": "tv",
        "boost": pytest.approx(2.4),
        **kept,
    }
    assert clause["bool"]["_name"] == "typed"


async def test_phrase_synonyms_drop_what_match_phrase_refuses(expansion: Example) -> None:
    """A synonym of several words becomes a match_phrase without `lenient`."""
    clause = await expansion.rewritten(
        {"match": {"title": {"query": "couch laptop", "lenient": True}}}
    )
    phrases = [c["match_phrase"]["title"] for c in should(clause) if "match_phrase" in c]
    assert phrases == [{"query": "notebook computer", "boost": 0.8}]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("running shoes", {"sneakers", "trainers"}),
        ("red Running Shoes, new", {"sneakers", "trainers"}),
        ("shoes", {"running shoes", "sneakers", "trainers", "boots"}),
        ("cell phone", {"smartphone", "mobile phone", "cellphone"}),
        ("sofa bike", {"couch", "bicycle"}),
    ],
)
async def test_longest_phrase_wins(expansion: Example, text: str, expected: set[str]) -> None:
    """Phrases are found in any case and beside punctuation, the longest one first."""
    alternatives = should(await expansion.rewritten({"match": {"title": text}}))[1:]
    assert {next(iter(c.values()))["title"]["query"] for c in alternatives} == expected


@pytest.mark.parametrize(
    "strict", [{"operator": "and"}, {"operator": "AND"}, {"minimum_should_match": "75%"}]
)
async def test_strict_match_asks_for_the_other_words(
    expansion: Example, strict: dict[str, str]
) -> None:
    """Where the text had to match as a whole, a synonym counts with all other words only."""
    options = {"query": "Gaming laptop cheap", "fuzziness": 1, **strict}
    original, phrase = should(await expansion.rewritten({"match": {"title": options}}))
    assert original == {"match": {"title": {**options, "boost": 2.0}}}
    rest = {"query": "Gaming cheap", "fuzziness": 1, "operator": "and"}
    assert phrase == {
        "bool": {
            "must": [
                {"match": {"title": rest}},
                {"match_phrase": {"title": {"query": "notebook computer"}}},
            ],
            "boost": 0.8,
        }
    }


async def test_strict_match_of_the_phrase_alone_needs_no_other_words(expansion: Example) -> None:
    """A text that is nothing but the phrase is replaced as a whole."""
    strict = {"query": "cell phone", "operator": "and"}
    _, smartphone, *_ = should(await expansion.rewritten({"match": {"title": strict}}))
    assert smartphone == {"match": {"title": {"query": "smartphone", "boost": 0.8}}}


async def test_multi_match_is_expanded_over_its_fields(expansion: Example) -> None:
    """A synonym is looked for in the same fields, one of several words as a phrase."""
    body = {"query": "laptop sofa", "fields": ["title^2", "description"], "tie_breaker": 0.3}
    assert should(await expansion.rewritten({"multi_match": body})) == [
        {"multi_match": {**body, "boost": 2.0}},
        {"multi_match": {**body, "query": "notebook computer", "boost": 0.8, "type": "phrase"}},
        {"multi_match": {**body, "query": "couch", "boost": 0.8}},
    ]


@pytest.mark.parametrize(
    "wrap",
    [
        lambda clause: {"bool": {"must": [clause], "filter": {"term": {"in_stock": True}}}},
        lambda clause: {"nested": {"path": "parts", "query": clause}},
        lambda clause: {"function_score": {"query": clause, "boost": 2}},
        lambda clause: {"dis_max": {"queries": [{"constant_score": {"filter": clause}}]}},
    ],
)
async def test_nested_clauses_are_reached(expansion: Example, wrap: Any) -> None:
    """A match is expanded in place wherever it stands; what surrounds it is kept."""
    clause = {"match": {"title": "sofa"}}
    expanded = await expansion.rewritten(clause)
    assert await expansion.rewritten(wrap(clause)) == wrap(expanded)


@pytest.mark.parametrize(
    "clause",
    [
        {"match_all": {}},
        {"match": {"title": "umbrella"}},
        {"match": {"title": ""}},
        {"match": {"price": 20}},
        {"match": {"title": {"operator": "and"}}},
        {"match": {"title": "tv", "brand": "tv"}},
        {"match": "tv"},
        {"match_phrase": {"title": "cell phone"}},
        {"match_bool_prefix": {"title": "tv"}},
        {"multi_match": {"query": "tv", "fields": ["title"], "type": "phrase"}},
        {"multi_match": {"query": "tv", "fields": ["title"], "type": "bool_prefix"}},
        {"query_string": {"query": "title:tv"}},
        {"term": {"title": "tv"}},
    ],
)
async def test_other_clauses_stay(expansion: Example, clause: dict[str, Any]) -> None:
    """Exact, unfinished and malformed clauses, and texts without synonyms, go on unchanged."""
    assert not (await expansion.run({"query": clause, "size": 3})).changed


async def test_request_without_query_stays(expansion: Example) -> None:
    """A search without a query is left without one."""
    assert not (await expansion.run({"size": 3})).changed


async def test_boosts_are_parameters(expansion: Example) -> None:
    """The boosts of original and synonyms come from the stage."""
    clause = await expansion.rewritten(
        {"match": {"title": "sofa"}}, boost_original=5, boost_synonym=0.1
    )
    assert [c["match"]["title"]["boost"] for c in should(clause)] == [5.0, 0.1]


@pytest.mark.parametrize("most", [0, 1, 4])
async def test_max_expansions_obeyed(expansion: Example, most: int) -> None:
    """At most `max_expansions` clauses are added to a request, however many words it has."""
    clauses = [{"match": {"title": "shoes phone tv"}}, {"match": {"title": "laptop"}}]
    query = {"bool": {"should": clauses}}
    request = (await expansion.run({"query": query}, max_expansions=most)).data
    added = 0
    for clause in request["query"]["bool"]["should"]:
        added += len(should(clause)) - 1 if "bool" in clause else 0
    assert added == most


async def test_expansion_is_deterministic(expansion: Example) -> None:
    """The same query is expanded alike each time, in new sandboxes too."""
    query = {"query": {"match": {"title": "shoes luggage phone"}}}
    other = {"query": {"match": {"title": "tv"}}}
    first = await expansion.run(query)
    await expansion.run(other)
    # another parameter set is another sandbox
    fresh = await expansion.run(query, note="fresh")
    assert first.payload == (await expansion.run(query)).payload == fresh.payload
