"""The hits of a stage that declares what it reads, edited in real sandboxes."""

from __future__ import annotations

import pytest

from pipelines.wasm import Limits
from pipelines.wasm.pool import SandboxPool
from tests.pipelines.wasm.declaring import FOUR, Declared

# Edits


@pytest.mark.parametrize(
    ("body", "order"),
    [
        ("hits.rescore([1, 5.5, 2, 5.5])", "1320"),
        ("hits.rescore(lambda hit: hit['_source.n'])", "3210"),
        ("hits.rescore(float(n == 2) for n in range(4))", "2013"),
        ("hits.sort(key=lambda hit: hit['_source.n'] % 2)", "0213"),
        ("hits.sort(key=lambda hit: hit['_source.n'] % 2, reverse=True)", "1302"),
        ("hits.keep(lambda hit: hit['_source.n'] > 1)", "23"),
        ("hits[1].drop()\nhits[1].drop()", "03"),
        ("for hit in hits: hit.drop()", ""),
        ("hits[0].drop()\nhits.rescore([1, 2, 3])", "321"),
        ("hits.rescore([1, 2, 3, 4])\nhits[0].drop()\nhits[0].drop()", "10"),
    ],
)
async def test_order(declared: Declared, body: str, order: str) -> None:
    """Rescoring and sorting are stable; dropped hits are gone for what comes next."""
    assert await declared.order(body) == order


async def test_rescore_sets_scores(declared: Declared) -> None:
    """Of every hit and as `max_score`, as numbers with a point."""
    reply = await declared.edit("hits.rescore([1, 2, 3, 4.5])")
    assert [found["_score"] for found in reply.data["hits"]["hits"]] == [4.5, 3.0, 2.0, 1.0]
    assert '"max_score":4.5' in reply.payload
    assert '"_score":3.0' in reply.payload
    assert '"total":9' in reply.payload


async def test_set_and_delete(declared: Declared) -> None:
    """Any path, declared or not; a hit reads what it was given."""
    body = """
    for hit in hits:
        hit.set("why.rank", hit["_source.n"])
        hit.set("_source.secret", "x")
        assert hit["why"] == {"rank": hit["_source.n"]}
    hits[1].delete("_source.x")
    hits[2].set("_source.x.z", 2)
    hits[3].delete("_source.n")
    assert "_source.n" not in hits[3]
    """
    assert [found["_source"] for found in await declared.hits(body)] == [
        {"n": 0, "secret": "x"},
        {"n": 1, "secret": "x"},
        {"n": 2, "x": {"y": 1, "z": 2}, "secret": "x"},
        {"secret": "x"},
    ]


async def test_paths_that_meet_are_done_in_order(declared: Declared) -> None:
    """The last word counts, whatever leads into what."""
    body = """
    hits[0].set("a.b", 1)
    hits[0].set("a", {"c": 2})
    hits[1].set("a", {"c": 2})
    hits[1].set("a.b", 1)
    hits[2].set("a", 1)
    hits[2].delete("a")
    hits[2].set("a.b", 3)
    hits[3].set("a.b", 1)
    hits[3].delete("a")
    """
    found = [found.get("a") for found in await declared.hits(body)]
    assert found == [{"c": 2}, {"c": 2, "b": 1}, {"b": 3}, None]


async def test_what_came_to_nothing_is_no_change(declared: Declared) -> None:
    """Back and forth, the same value, and what was not there."""
    body = """
    hits.sort(key=lambda hit: -hit["_source.n"])
    hits.sort(key=lambda hit: hit["_source.n"])
    hits[0].set("_source.n", 5)
    hits[0].set("_source.n", 0)
    hits[1].delete("_source.nothing")
    hits.rescore([4.0, 3.0, 2.0, 1.0])
    """
    assert not (await declared.edit(body)).changed


async def test_what_was_not_edited_is_as_it_was_written(declared: Declared) -> None:
    """Numbers, spaces and keys of hits that moved, and of the response around them."""
    first = '{"_id":"1","_score":1.10,"_source":{ "p" : 1e2, "q": [1.50] }}'
    second = '{"_id":"2","_score":2.50,"_source":{"p":"\\u00e9"}}'
    payload = f'{{"took":1.0,"hits":{{"max_score":2.50,"hits":[{first}, {second}]}}}}'
    reply = await declared.edit("hits[1].set('_score', 0.5)\nhits.sort(key=lambda h: 0)", payload)
    lower = second.replace("2.50", "0.5")
    expected = f'{{"took":1.0,"hits":{{"max_score":1.1,"hits":[{first},{lower}]}}}}'
    assert reply.payload == expected
    moved = await declared.edit("hits.sort(key=lambda h: h['_score'], reverse=True)", payload)
    assert moved.payload == f'{{"took":1.0,"hits":{{"max_score":2.50,"hits":[{second},{first}]}}}}'


async def test_state_metadata_and_reject(declared: Declared) -> None:
    """Work as they do with a whole response."""
    body = "context.state['s'] = 1\ncontext.metadata['m'] = 2\nhits[0].drop()"
    reply = await declared.edit(body, metadata={"before": 1})
    assert (reply.state, reply.metadata) == ({"s": 1}, {"before": 1, "m": 2})
    refused = await declared.edit("hits[0].drop()\nreject('no', 404)")
    assert (refused.rejected, refused.changed) == (("no", 404), False)


async def test_the_first_style_edits_too(declared: Declared) -> None:
    """`context` is built in; fields are read from the declared part of the response."""
    source = """
    def udf_main():
        assert get_field("hits.total") == 9 and get_field("hits") == {"total": 9}
        context.hits.rescore(range(4))
    """
    reply = await declared.run(source, FOUR, "response.hits.total")
    assert [h["_id"] for h in reply.data["hits"]["hits"]] == list("3210")


# What is refused


@pytest.mark.parametrize(
    ("body", "kind", "said"),
    [
        ("return response", "invalid_result", "result() returned a value of type dict"),
        ("return False", "invalid_result", "edits context.hits and returns nothing"),
        ("hits.rescore([1])", "udf_exception", "1 scores for 4 hits"),
        ("hits.rescore(lambda hit: None)", "udf_exception", "a score is a number, not NoneType"),
        ("hits.rescore([True] * 4)", "udf_exception", "a score is a number, not bool"),
        ("hits.rescore([float('nan')] * 4)", "udf_exception", "infinite or not a number"),
        ("hits.rescore(7)", "udf_exception", "TypeError"),
        ("hits[4]", "udf_exception", "IndexError"),
        ("hits[0]['_score'] = 1", "udf_exception", "a hit is no dict: write hit.set"),
        ("hits[0].set('a..b', 1)", "udf_exception", "is no path"),
        ("hits[0].set(3, 1)", "udf_exception", "a path is a text"),
        ("hits[0].set('_source.n.m', 1)", "udf_exception", "'n' is int, not an object"),
        ("hits[1].set('_source.x.m', 1)", "invalid_result", "of hit 1: [x] is no object"),
        ("hits[0].set('_score', 'x')", "invalid_result", "_score that is no number"),
        ("hits[0].set('a', {1, 2})", "invalid_result", "an object of type set is not JSON"),
        ("hits[0].set('a', float('inf'))", "invalid_result", "not JSON compliant"),
        ("x = []\nfor _ in range(300): x = [x]\nhits[0].set('a', x)", "invalid_result", "250"),
        ("hits[0].set('a', 'x' * 2000)", "output_too_large", "its limit is 1500"),
        ("for hit in hits: hit.set('a' * 480, 1)", "output_too_large", "1940 bytes of paths"),
    ],
)
async def test_edits_that_are_refused(declared: Declared, body: str, kind: str, said: str) -> None:
    """With what is wrong, where it can be told with the UDF's own line."""
    error = await declared.fails(body, limits=Limits(timeout_ms=5000, output_bytes=1500))
    assert error.kind == kind
    assert said in error.reason


async def test_a_run_leaves_nothing_to_the_garbage_collector(pool: SandboxPool) -> None:
    """Nothing of a run refers to itself: a collection in the midst of another would hold it up."""
    source = """import gc
gc.disable()
def result(response, context):
    context.metadata["found"] = gc.collect()
    context.hits.rescore(lambda hit: -hit["_score"])
    for hit in context.hits:
        hit.set("_source.a.b", [hit.get("_source.n")])
"""
    declared = Declared(pool)
    await declared.run(source)
    reply = await declared.run(source)
    assert (reply.metadata, reply.changed) == ({"found": 0}, True)


# A function of a hit is lent one object for all of them, unless it holds on to it


@pytest.mark.parametrize(
    "keep",
    [
        "held.append(hit)",
        "held.append(hit) if hit['_source.n'] == 2 else None",
        "held.append(hit) if hit is hits[len(seen) - 1] else None",
        "held.append(hit) if hits.sort(key=lambda other: 0) is None else None",
        "held.append(hit) if hits[3] is not hit else hits[3]",
    ],
)
@pytest.mark.parametrize("how", ["sort", "rescore", "keep"])
async def test_a_hit_that_is_held_stays_the_same(declared: Declared, keep: str, how: str) -> None:
    """Whoever holds a hit of a function, holds the one that is found in the list."""
    body = f"""
    held, seen = [], []
    def function(hit):
        seen.append(hit["_source.n"])
        {keep}
        return hit["_source.n"]
    hits.{how}(function)
    assert seen == [0, 1, 2, 3], seen
    assert held
    all = {{hit["_source.n"]: hit for hit in held}}
    assert len(all) == len(held), held
    assert [hit for hit in hits if all.get(hit["_source.n"], hit) is not hit] == []
    """
    await declared.edit(body)


async def test_a_key_can_be_the_hit(declared: Declared) -> None:
    """Or hold it in some other way: a method, a generator, a default."""
    body = """
    class Key:
        def __init__(self, hit):
            self.hit = hit
        def __lt__(self, other):
            return self.hit["_source.n"] > other.hit["_source.n"]
    hits.sort(key=Key)
    methods = []
    hits.keep(lambda hit: methods.append(hit.get) is None)
    assert [get("_source.n") for get in methods] == [3, 2, 1, 0]
    later = []
    hits.keep(lambda hit: later.append(n for n in [hit]) is None)
    assert [next(each)["_source.n"] for each in later] == [3, 2, 1, 0]
    """
    assert [found["_id"] for found in await declared.hits(body)] == ["3", "2", "1", "0"]


async def test_edits_in_a_function_are_of_its_hit(declared: Declared) -> None:
    """Set, deleted and dropped is what it was lent for."""
    body = """
    def function(hit):
        number = hit["_source.n"]
        hit.set("_source.n", number + 10)
        if number == 1:
            hit.drop()
        return -number
    hits.sort(function)
    assert [hit["_source.n"] for hit in hits] == [13, 12, 10]
    """
    found = await declared.hits(body)
    assert [(each["_id"], each["_source"]["n"]) for each in found] == [
        ("3", 13),
        ("2", 12),
        ("0", 10),
    ]


async def test_a_function_that_fails_leaves_the_order(declared: Declared) -> None:
    """And nothing lent: a UDF that goes on has its hits."""
    body = """
    def function(hit):
        return 1 // (hit["_source.n"] - 2)
    try:
        hits.sort(function)
    except ZeroDivisionError:
        hits[0].drop()
    hits.sort(key=lambda hit: -hit["_source.n"])
    """
    assert [found["_id"] for found in await declared.hits(body)] == ["3", "2", "1"]
