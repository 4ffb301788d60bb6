"""The errors of natural mistakes say what to write instead, in real sandboxes."""

from __future__ import annotations

import json

import pytest

from pipelines.wasm import Call, Limits, Phase
from pipelines.wasm.pool import SandboxPool
from tests.pipelines.wasm.declaring import Declared
from tests.pipelines.wasm.udfs import Runner, udf, using

PATHS = ("_score", "_source.n", "response.hits.total")


@pytest.mark.parametrize(
    ("body", "said"),
    [
        # a hit is no dict
        ("hits[0]['_score'] = 2", "a hit is no dict: write hit.set('_score', ...)"),
        ("hits[0]['_score'] += 2", "a hit is no dict: write hit.set('_score', ...)"),
        ("hits[0]['a.b'] = 2", "a hit is no dict: write hit.set('a.b', ...)"),
        ("del hits[0]['_score']", "a hit is no dict: write hit.delete('_score')"),
        ("dict(hits[0])", 'write hit["_source.title"] for each path that is read'),
        ("for key in hits[0]: pass", "a hit is no dict"),
        ("hits[0][0]", "a path is a text such as '_source.title', not int"),
        ("hits[0].get(None)", "a path is a text such as '_source.title', not NoneType"),
        ("hits[0].score", 'write hit["_score"] to read it, hit.set("_score", value) to change it'),
        ("hits[0]._score = 2", 'write hit["_score"] to read it, hit.set("_score", value)'),
        ("hits[0].source = {}", 'write hit["_source"] to read it, hit.set("_source", value)'),
        ("hits[0].title", 'write hit["title"] to read it'),
        ("hits[0].remove()", "write hit.drop()"),
        ("hits[0].pop('x')", "write hit.delete(path)"),
        ("hits[0].update({'x': 1})", "write hit.set(path, value)"),
        ("hits[0].items()", 'write hit["_source.title"], path by path'),
        ("hits[0].delet('x')", "did you mean hit.delete()?"),
        ("hits[0].dropp()", "did you mean hit.drop()?"),
        # context.hits is no list
        ("hits[0] = hits[1]", "write hit.set(path, value) to change a hit"),
        ("del hits[1:]", "write hit.drop() to leave a hit out"),
        ("hits['hits']", "write for hit in context.hits: hit['hits']"),
        ("hits.append({})", "hits cannot be added"),
        ("hits.remove(hits[0])", "write hit.drop() for a hit of them"),
        ("hits.filter(None)", "write context.hits.keep(function)"),
        ("hits.reverse()", "write context.hits.sort(key, reverse=True)"),
        ("hits.total", 'write response["hits"]["total"], if it is declared'),
        ("hits.hits", "write for hit in context.hits: ..."),
        ("hits.rescor([1])", "did you mean context.hits.rescore()?"),
        ("context.hits = hits[:1]", "context.hits was given another value, which does nothing"),
        ("context.hits = None", "context.hits was given another value, which does nothing"),
        # what is read is a copy
        ("hits[0]['_source']['n'] = 1", "write hit.set('_source.n', value) or hit.delete"),
        ("hits[0].get('_source')['new'] = 1", "write hit.set('_source.new', value)"),
        ("hits[0]['_source'].update(n=1)", "write hit.set('_source....', value)"),
        ("del hits[0]['_source']['n']", "hit.delete('_source.n') to change the hit"),
        ("hits[0]['_source'].pop('n')", "write hit.set('_source.n', value)"),
        ("hits[0]['_source'].setdefault('n', 1)", "write hit.set('_source.n', value)"),
        ("hits[0]['_source'].clear()", "to change the hit, dict(...) for a copy of your own"),
        ("source = hits[0]['_source']; source |= {'n': 1}", "this is a copy of what the hit has"),
        ("response['took'] = 1", "cannot change the response, only its hits"),
        ("response['hits']['total'] = 1", "cannot change the response, only its hits"),
        ("response['hits'].pop('total')", "cannot change the response, only its hits"),
        ("hits[0]['_source.n']\nhits[0].delete('_source.n')\nhits[0]['_source.n']", "hit.get('_s"),
    ],
)
async def test_hits(declared: Declared, body: str, said: str) -> None:
    """Each wrong way to edit hits is told the right one; nothing is lost without a word."""
    error = await declared.fails(body, *[_of(4), *PATHS])
    assert error.kind in ("udf_exception", "invalid_result"), error.reason
    assert said in error.reason


def _of(count: int) -> str:
    hits = [{"_id": str(n), "_score": 1.0, "_source": {"n": n}} for n in range(count)]
    return json.dumps({"took": 1, "hits": {"total": {"value": count}, "hits": hits}})


async def test_copies_of_what_a_hit_has_are_the_udfs_own(declared: Declared) -> None:
    """Made with `dict`, `copy`, `|` or `**`, they can be changed, and given to the hit."""
    body = """
    import copy
    for made in (dict(hits[0]["_source"]), copy.deepcopy(hits[0]["_source"]),
                 hits[0]["_source"].copy(), hits[0]["_source"] | {}, {**hits[0]["_source"]}):
        made["n"] = made["n"] + 7
        assert type(made) is dict and hits[0]["_source.n"] == 0
    hits[0].set("_source", made)
    """
    assert (await declared.hits(body, _of(1), *PATHS))[0]["_source"] == {"n": 7}


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("context.param", "context has no 'param'; did you mean context.params?"),
        ("context.parameters", "write context.params"),
        ("context.header", "did you mean context.headers?"),
        ("context.meta", "it has deadline_ms, headers"),
        ("context.meta_data", "did you mean context.metadata?"),
        ("context.timeout_ms", "write context.deadline_ms"),
        ("context.user = 1", "what is yours goes into context.state"),
        ("context.get('x')", "write context.params.get(name)"),
        ("context.log('x')", "write log(...), which is built in"),
        ("context.get_field('x')", "write get_field(...), which is built in"),
        ("context['params']", "write context.params['params'] for a parameter"),
        ("context['x'] = 1", "write context.state['x'] = ... for a later stage"),
        ("del context['x']", "write context.state.pop('x', None)"),
        ("'x' in context", "context is no dict"),
        ("context.hits", "context.hits is there in a result stage that declares its `input`"),
        ("request.query", 'it is a dict: write ["query"], or .get("query") where it may be'),
        ("request.size = 3", 'it is a dict: write ["size"]'),
        ("context.params.boost", 'it is a dict: write ["boost"]'),
        ("request.itmes()", "did you mean .items()?"),
        ("request.drop()", "drop() is one of context.hits, in a stage that declares its `input`"),
        ("[].rescore([1])", "rescore() is one of context.hits"),
        ("request['qeury']", "the request has no 'qeury'; did you mean 'query'?"),
        ("request['aggs']", "the request has no 'aggs'; write .get('aggs') where it may be"),
        ("log.info('x')", "log is a function: write log(...), without .info"),
        ("ctx.params", "write context"),
        ("params['x']", "write context.params"),
        ("get_feild('x')", "did you mean get_field?"),
        ("get_field_str('x')", "did you mean get_field_string?"),
        ("import querymill\nquerymill.get_feild", "did you mean get_field?"),
        ("from querymill import get_feild", "did you mean get_field?"),
        ("document['x']", 'write get_field("document")'),
        ("return None", "query() returned nothing; it has to return the request as a dict; end"),
        ("request.update(size=3)", "as a dict; end it with `return request`"),
        ("return json.dumps(request)", "a value of type str; it has to return the request as a"),
    ],
)
async def test_query(runner: Runner, body: str, said: str) -> None:
    """What does not exist is named together with what does."""
    lines = "".join(f"    {line}\n" for line in body.splitlines())
    source = f"import json\ndef query(request, context):\n{lines}"
    error = await runner.fails(source, {"query": {"match_all": {}}})
    assert said in error.reason


@pytest.mark.parametrize(
    ("source", "phase", "said"),
    [
        ("def document(doc, context): doc['x'] = 1", "document", "end it with `return doc`"),
        ("def document(doc, context): doc['pric']", "document", "the document has no 'pric'; did"),
        ("def document(doc, context): doc.price", "document", 'write ["price"]'),
        ("def document(doc, context): reponse['hits']", "document", "(sample.py line 1"),
        ("def result(response, context): pass", "result", "end it with `return response`"),
        ("def result(response, context): response['hit']", "result", "did you mean 'hits'?"),
        (
            "def result(response, context): response['hits']['hits'].rescore([1])",
            "result",
            "rescore() is one of context.hits, in a stage that declares its `input`",
        ),
        ("def udf_main(): pass", "query", "end it with `return json.dumps(...)`"),
        ("def udf_main(): return request['query']", "query", 'write get_field("request")'),
        ("def udf_main(): return response['hits']", "result", 'write get_field("results")'),
    ],
)
async def test_other_stages(pool: SandboxPool, source: str, phase: Phase, said: str) -> None:
    """Documents, responses and the first style alike."""
    payload = '{"price":1}' if phase == "document" else '{"hits":{"hits":[]},"query":{}}'
    call = Call(phase=phase, payload=payload, request="{}" if phase == "result" else None)
    with pytest.raises(Exception, match="sample") as caught:
        await pool.run(using(udf(source), Limits(timeout_ms=20_000)), call)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("raise KeyError('query')", "KeyError: 'query' (sample.py"),
        ("raise KeyError", "KeyError (sample.py"),
        ("{}[('a',)]", "KeyError: ('a',) (sample.py"),
        ("raise AttributeError('mine')", "AttributeError: mine (sample.py"),
        ("class A: pass\n    A().x", "'A' object has no attribute 'x' (sample.py"),
        ("class A(dict): pass\n    A().x", "'A' object has no attribute 'x' (sample.py"),
        ("raise NameError('mine', name=3)", "NameError: mine (sample.py"),
        ("None.x", "'NoneType' object has no attribute 'x' (sample.py"),
        ("(lambda: 1).info", "'function' object has no attribute 'info' (sample.py"),
        ("zzz", "name 'zzz' is not defined (sample.py"),
    ],
)
async def test_other_errors_are_as_they_are(runner: Runner, body: str, said: str) -> None:
    """No hint where nothing is certain, and none that a UDF's own objects could disturb."""
    source = f"def query(request, context):\n    {body}"
    assert said in (await runner.fails(source, {"query": {"match_all": {}}})).reason
