"""The spell-correction example: its algorithm against brute force, its behaviour in a sandbox."""

from __future__ import annotations

import re
from functools import cache
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.wasm.pool import SandboxPool
from tests.examples.loading import EXAMPLES, Example, native

# few letters make near misses and swaps likely
WORDS = st.text(alphabet="abc", min_size=1, max_size=9)


@pytest.fixture(scope="module")
def udf() -> dict[str, Any]:
    return native("spell-correction")


@pytest.fixture
def correction(patient_pool: SandboxPool) -> Example:
    return Example.load(patient_pool, "spell-correction")


def oracle_distance(left: str, right: str) -> int:
    """Optimal string alignment straight from its recurrence."""

    @cache
    def cost(i: int, j: int) -> int:
        if not i or not j:
            return i + j
        same = left[i - 1] == right[j - 1]
        best = min(cost(i - 1, j) + 1, cost(i, j - 1) + 1, cost(i - 1, j - 1) + (not same))
        if i > 1 and j > 1 and left[i - 1] == right[j - 2] and left[i - 2] == right[j - 1]:
            best = min(best, cost(i - 2, j - 2) + 1)
        return best

    return cost(len(left), len(right))


@given(left=WORDS, right=WORDS, limit=st.integers(0, 9))
def test_edit_distance_is_optimal_string_alignment(
    udf: dict[str, Any], left: str, right: str, limit: int
) -> None:
    """The distance is that of the recurrence, or `limit + 1` beyond the limit."""
    expected = min(oracle_distance(left, right), limit + 1)
    assert udf["edit_distance"](left, right, limit) == expected


@pytest.mark.parametrize(
    ("left", "right", "distance"),
    [("shose", "shoes", 1), ("hedphones", "headphones", 1), ("ca", "abc", 3), ("abc", "abc", 0)],
)
def test_edit_distance_of_known_pairs(
    udf: dict[str, Any], left: str, right: str, distance: int
) -> None:
    """A swap is one edit, and no letter is edited twice: "ca" to "abc" takes three."""
    assert udf["edit_distance"](left, right, 5) == distance


@settings(max_examples=200)
@given(
    known=st.dictionaries(WORDS, st.integers(1, 5), min_size=1, max_size=30),
    word=WORDS,
    limit=st.integers(0, 2),
)
def test_index_finds_what_a_scan_finds(
    udf: dict[str, Any], known: dict[str, int], word: str, limit: int
) -> None:
    """The correction is the closest, then most frequent word of the whole dictionary."""
    dictionary = udf["Dictionary"]([f"{w} {count}" for w, count in known.items()])
    ranked = sorted((oracle_distance(word, w), -count, w) for w, count in known.items())
    distance, _, best = ranked[0]
    expected = (best, distance) if distance <= limit else (word, 0)
    assert dictionary.correct(word, limit) == expected


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_index_of_the_real_dictionary_misses_nothing(
    udf: dict[str, Any], data: st.DataObject
) -> None:
    """Every dictionary word is among the candidates of a misspelling one or two edits away."""
    words = sorted(udf["DICTIONARY"].counts)
    word = data.draw(st.sampled_from(words))
    typo = list(word)
    for _ in range(2):
        at = data.draw(st.integers(0, max(len(typo) - 1, 0)))
        letter = data.draw(st.sampled_from("aeiostrx"))
        edit = data.draw(st.sampled_from(["insert", "replace", "delete", "swap"]))
        if edit == "insert":
            typo.insert(at, letter)
        elif edit == "replace" and typo:
            typo[at] = letter
        elif edit == "delete" and typo:
            del typo[at]
        elif len(typo) > at + 1:
            typo[at], typo[at + 1] = typo[at + 1], typo[at]
    text = "".join(typo)
    if oracle_distance(text, word) <= 2:
        assert word in set(udf["DICTIONARY"].candidates(text, 2))


def test_lookups_touch_a_fraction_of_the_dictionary(udf: dict[str, Any]) -> None:
    """Less than a fiftieth of the words is compared with a misspelt one."""
    dictionary = udf["DICTIONARY"]
    for word in ("wireles", "hedphones", "runing", "televison", "smartwach"):
        assert len(set(dictionary.candidates(word, 2))) < len(dictionary.counts) / 50


def test_dictionary_file_is_words_with_counts() -> None:
    """5,000 words and more, each once, lower case a to z, with a positive count."""
    lines = (EXAMPLES / "spell-correction" / "dictionary.txt").read_text().splitlines()
    entries = [line.split() for line in lines]
    words = {word for word, _ in entries}
    assert len(words) == len(entries) >= 5000
    assert all(word.isascii() and word.isalpha() and word.islower() for word in words)
    assert all(int(count) > 0 for _, count in entries)
    assert {"laptop", "headphones", "television", "sneakers", "beautiful"} <= words
    assert not {"runing", "shose", "wireles", "hedphones", "televison"} & words


async def test_metadata_says_what_was_corrected(correction: Example) -> None:
    """The client gets the text before and after, and each word with its distance."""
    reply = await correction.run({"query": {"match": {"title": "wireles hedphones"}}, "size": 5})
    assert reply.data == {"query": {"match": {"title": "wireless headphones"}}, "size": 5}
    assert reply.metadata == {
        "spell_correction": {
            "original": "wireles hedphones",
            "corrected": "wireless headphones",
            "corrections": [
                {"original": "wireles", "corrected": "wireless", "distance": 1},
                {"original": "hedphones", "corrected": "headphones", "distance": 1},
            ],
        }
    }


@pytest.mark.parametrize(
    ("typed", "searched"),
    [
        ("runing shose", "running shoes"),
        ("televison", "television"),
        ("headfones", "headphones"),
        ("RUNING", "running"),
        ("labtop, 16gb", "laptop, 16gb"),
        ("noise-canceling hedphones", "noise-canceling headphones"),
    ],
)
async def test_common_misspellings(correction: Example, typed: str, searched: str) -> None:
    """Missing, doubled, swapped and wrong letters are put right; punctuation is kept."""
    clause = await correction.rewritten({"match": {"title": typed}})
    assert clause["match"]["title"] == searched


@pytest.mark.parametrize(
    "text",
    ["wireless headphones", "rtx4090 a1b2c3", "20252", "shp teh", "xqzjkwv", "Müllr", "don't", ""],
)
async def test_texts_that_stay(correction: Example, text: str) -> None:
    """Known, short and far-off words, numbers, codes and other alphabets stay as typed."""
    reply = await correction.run({"query": {"match": {"title": text}}})
    assert not reply.changed
    assert reply.metadata == {}


@pytest.mark.parametrize(
    "build",
    [
        lambda text: {"match": {"title": {"query": text, "operator": "and"}}},
        lambda text: {"match_phrase": {"title": text}},
        lambda text: {"match_phrase_prefix": {"title": text}},
        lambda text: {"multi_match": {"query": text, "fields": ["title", "brand"]}},
        lambda text: {
            "bool": {"should": [{"nested": {"path": "a", "query": {"match": {"a.b": text}}}}]}
        },
    ],
)
async def test_clauses_that_are_corrected(correction: Example, build: Any) -> None:
    """Full-text clauses are corrected wherever they stand, with their options kept."""
    assert await correction.rewritten(build("runing")) == build("running")


@pytest.mark.parametrize(
    "clause",
    [
        {"match_all": {}},
        {"match": {"price": 5}},
        {"match": {"title": None}},
        {"match": "runing"},
        {"match": {"title": {"operator": "and"}}},
        {"multi_match": {"fields": ["title"]}},
        {"match_bool_prefix": {"title": "runing"}},
        {"prefix": {"title": "runing"}},
        {"term": {"sku": "runing"}},
        {"query_string": {"query": "titel:runing"}},
    ],
)
async def test_clauses_that_stay(correction: Example, clause: dict[str, Any]) -> None:
    """Exact, unfinished and malformed clauses go on unchanged."""
    assert not (await correction.run({"query": clause})).changed


async def test_request_without_query_stays(correction: Example) -> None:
    """A search without a query is left as it is."""
    assert not (await correction.run({"size": 1})).changed


async def test_corrections_of_several_clauses_are_collected(correction: Example) -> None:
    """The first text is shown whole, the words of all clauses are listed."""
    clauses = [{"match": {"title": "runing"}}, {"match": {"brand": "televison"}}]
    reply = await correction.run({"query": {"bool": {"must": clauses}}})
    report = reply.metadata["spell_correction"]
    assert (report["original"], report["corrected"]) == ("runing", "running")
    assert [word["corrected"] for word in report["corrections"]] == ["running", "television"]


async def test_parameters_bound_the_corrections(correction: Example) -> None:
    """Distance, word length and number of words are limited by the stage's parameters."""
    clause = {"match": {"title": "headfones runing televison"}}

    async def searched(**params: Any) -> str:
        return str((await correction.rewritten(clause, **params))["match"]["title"])

    assert await searched(max_distance=0) == "headfones runing televison"
    assert await searched(max_distance=1) == "headfones running television"
    assert await searched(max_distance=9) == "headphones running television"
    assert await searched(min_word_length=7) == "headphones runing television"
    assert await searched(max_words=1) == "headphones runing televison"


def test_the_readme_begins_with_what_its_words_do_to_others(udf: dict[str, Any]) -> None:
    """Above its first heading it says whose words they are, and what becomes of some others."""
    top = (EXAMPLES / "spell-correction" / "README.md").read_text().partition("\n## ")[0]
    assert "The dictionary is that of the demo catalogue" in top
    pairs = re.findall(r"`([a-z]+)` becomes\s+`([a-z]+)`", top)
    assert ("nike", "bike") in pairs
    dictionary = udf["DICTIONARY"]
    for word, becomes in pairs:
        limit = 1 if len(word) < udf["LONG_WORD"] else udf["MAX_DISTANCE"]
        assert dictionary.correct(word, limit)[0] == becomes
