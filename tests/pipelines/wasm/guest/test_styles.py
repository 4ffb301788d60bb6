"""Both styles of UDF, in all three phases."""

from __future__ import annotations

import pytest

from pipelines.wasm import Phase
from tests.pipelines.wasm.udfs import Runner, udf

REQUEST = {"query": {"match": {"title": "phone"}}, "size": 5, "source.excludes": ["a"]}
DOCUMENT = {"title": "Phone", "brand": {"name": "Acme"}, "tags": ["new", "red"], "a.b": 1, "n": "7"}
RESPONSE = {"hits": {"total": {"value": 2}, "hits": [{"_id": "1"}, {"_id": "2"}]}}


async def test_first_style_query(runner: Runner) -> None:
    """`udf_main` gets the query clause by `get_field_string` and its JSON text replaces it."""
    reply = await runner.run(
        """
        # @udf: name=synonyms
        # @udf: version=1.0.0
        # @udf: category=query_pipeline
        import json
        def udf_main():
            query = json.loads(get_field_string("query"))
            return json.dumps({"bool": {"must": [query]}})
        """,
        REQUEST,
    )
    assert reply.data == {**REQUEST, "query": {"bool": {"must": [REQUEST["query"]]}}}
    assert reply.changed


async def test_first_style_document(runner: Runner) -> None:
    """In a document stage fields are read by dotted path and the result replaces the document."""
    reply = await runner.run(
        """
        def udf_main():
            doc = get_field("document")
            return {**doc, "label": get_field_string("brand.name") + " " + get_field("tags.1")}
        """,
        DOCUMENT,
        phase="document",
    )
    assert reply.data == {**DOCUMENT, "label": "Acme red"}


async def test_first_style_result(runner: Runner) -> None:
    """In a result stage `results` is the response, `request` and `query` what was asked."""
    reply = await runner.run(
        """
        def udf_main():
            results = get_field("results")
            results["asked"] = [
                get_field("query.match.title"),
                get_field("request.size"),
                get_field("results.hits.total.value"),
                get_field("hits.hits.1._id"),
                get_field("request.nothing", "-"),
            ]
            return results
        """,
        RESPONSE,
        phase="result",
        request=REQUEST,
    )
    assert reply.data["asked"] == ["phone", 5, 2, "2", "-"]


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ('get_field("brand")', {"name": "Acme"}),
        ('get_field_string("brand")', '{"name":"Acme"}'),
        ('get_field_string("tags")', '["new","red"]'),
        ('get_field_string("a.b")', "1"),
        ('get_field("tags.0")', "new"),
        ('get_field("tags.2", "none")', "none"),
        ('get_field("tags.x")', None),
        ('get_field("title.0")', None),
        ('get_field("deep.0.k")', "v"),
        ('get_field("x.y.z")', 9),
        ('get_field_string("nothing")', None),
        ('get_field_string("nothing", "d")', "d"),
        ('get_field_string("null", "d")', "d"),
        ('[has_field("null"), has_field("nothing"), has_field("brand.name")]', [True, False, True]),
        ('get_field_int("n")', 7),
        ('get_field_int("price")', 3),
        ('get_field_int("title", -1)', -1),
        ('get_field_int("brand", -1)', -1),
        ('get_field_float("price")', 3.5),
        ('get_field_float("n")', 7.0),
        (
            '[get_field_bool("yes"), get_field_bool("no"), get_field_bool("n", True)]',
            [True, False, True],
        ),
        ('[get_field_bool("price"), get_field_bool("brand", "d")]', [True, "d"]),
        ('[get_param("boost"), get_param("nothing", 1)]', [2.5, 1]),
        ('[get_param_string("boost"), get_param_string("deep")]', ["2.5", '{"k":[1]}']),
        ('[get_param_int("boost"), get_param_float("n"), get_param_bool("on")]', [2, 4.0, True]),
        ('get_param("deep.k.0")', 1),
    ],
)
async def test_getters(runner: Runner, expression: str, value: object) -> None:
    """Getters take paths and convert; what is missing or not convertible gives the default."""
    document = {
        **DOCUMENT,
        "null": None,
        "price": 3.5,
        "yes": "True",
        "no": False,
        "deep": [{"k": "v"}],
        "x.y": {"z": 9},
        "x": {"other": 1},
    }
    reply = await runner.run(
        f"def udf_main():\n    return {{'it': {expression}}}",
        document,
        phase="document",
        params={"boost": 2.5, "n": "4", "on": "true", "deep": {"k": [1]}},
    )
    assert reply.data == {"it": value}


async def test_no_query_is_match_all(runner: Runner) -> None:
    """A request without a query gives `match_all`, and returning that leaves the request alone."""
    source = "def udf_main():\n    return get_field_string('query')"
    reply = await runner.run(source, {"size": 1})
    assert reply.data == {"size": 1}
    assert not reply.changed
    added = await runner.run("def udf_main():\n    return {'term': {'a': 1}}", {"size": 1})
    assert added.data == {"size": 1, "query": {"term": {"a": 1}}}
    asked = await runner.run(source, {"query": {"match_all": {}}})
    assert asked.data == {"query": {"match_all": {}}}


async def test_query_stage_paths(runner: Runner) -> None:
    """In a query stage other names than `query` are members of the request."""
    source = """
    def udf_main():
        return {"a": get_field("query.match.title"), "b": get_field("size"),
                "c": get_field("source.excludes.0"), "d": get_field("nothing")}
    """
    reply = await runner.run(source, REQUEST)
    assert reply.data["query"] == {"a": "phone", "b": 5, "c": "a", "d": None}


@pytest.mark.parametrize("phase", ["query", "document", "result"])
async def test_second_style(runner: Runner, phase: Phase) -> None:
    """A function named after the phase gets the payload and a context, and returns the new one."""
    reply = await runner.run(
        """
        def query(request, context):
            return {**request, "by": context.phase}
        def document(doc, context):
            return {**doc, "by": context.phase}
        def result(response, context):
            return {**response, "by": context.phase, "size": context.request["size"]}
        """,
        {"a": 1},
        phase=phase,
        request={"size": 3} if phase == "result" else None,
    )
    assert reply.data["by"] == phase
    assert reply.data.get("size") == (3 if phase == "result" else None)


async def test_both_styles(runner: Runner) -> None:
    """`udf_main` runs only in phases that have no function of their own."""
    source = """
    def udf_main():
        return {"by": "udf_main"}
    def document(doc, context):
        return {"by": "document"}
    """
    assert (await runner.run(source, phase="document")).data == {"by": "document"}
    assert (await runner.run(source, phase="result")).data == {"by": "udf_main"}


async def test_missing_function(runner: Runner) -> None:
    """A UDF with neither function for the phase is told which two it could define."""
    error = await runner.fails("def document(doc, context): return doc")
    assert (error.kind, str(error)) == (
        "load",
        "UDF [sample@1.0.0] defines neither query() nor udf_main()",
    )


async def test_context(runner: Runner) -> None:
    """The context holds what the stage is to know, and is a global during the run as well."""
    source = """
    def query(request, given):
        assert given is context
        names = "params index phase pipeline stage id metadata headers query deadline_ms".split()
        found = {name: getattr(context, name) for name in names}
        return {**found, "same": context.request == {"query": {"a": 1}}}
    """
    reply = await runner.run(
        source,
        {"query": {"a": 1}},
        params={"p": 1},
        index="products",
        pipeline="demo@1.0.0",
        stage="first",
        metadata={"m": 1},
        headers={"x-opaque-id": "7"},
        deadline_ms=250,
    )
    assert reply.data == {
        "params": {"p": 1},
        "index": "products",
        "phase": "query",
        "pipeline": "demo@1.0.0",
        "stage": "first",
        "id": None,
        "metadata": {"m": 1},
        "headers": {"x-opaque-id": "7"},
        "query": {"a": 1},
        "deadline_ms": 250,
        "same": True,
    }


async def test_state_and_metadata(runner: Runner) -> None:
    """State is handed on as the UDF left it; `_pipeline_metadata` is taken out and merged."""
    source = """
    def query(request, context):
        context.state["seen"] = context.state.get("seen", 0) + 1
        return {**request, "_pipeline_metadata": {"b": 2}}
    """
    reply = await runner.run(source, {"size": 1}, state={"seen": 4}, metadata={"a": 1, "b": 1})
    assert reply.state == {"seen": 5}
    assert reply.metadata == {"a": 1, "b": 2}
    assert reply.data == {"size": 1}
    assert not reply.changed


async def test_metadata_in_first_style(runner: Runner) -> None:
    """In the first style the metadata of a query stage stands in the clause."""
    source = """
    import json
    CLAUSE = {"match_all": {}, "_pipeline_metadata": {"fixed": "phnoe"}}
    def udf_main():
        return CLAUSE
    """
    for _ in range(2):
        reply = await runner.run(source, {})
        assert (reply.data, reply.metadata) == ({}, {"fixed": "phnoe"})


@pytest.mark.parametrize("swallow", [False, True])
async def test_reject(runner: Runner, swallow: bool) -> None:
    """`reject` ends the run with its reason and status, even if the UDF swallows its exception."""
    source = """
    def document(doc, context):
        try:
            reject("no title", status=422)
        except BaseException:
            if not context.params["swallow"]:
                raise
        reject("another")
    """
    reply = await runner.run(
        source, {"a": 1}, phase="document", params={"swallow": swallow}, state={"s": 1}
    )
    assert reply.rejected == ("no title", 422)
    assert (reply.payload, reply.changed, reply.dropped) == ('{"a": 1}', False, False)


async def test_reject_beats_a_later_error(runner: Runner) -> None:
    """An exception or a bad result after `reject` changes nothing about the rejection."""
    source = """
    def query(request, context):
        try:
            reject("too wide \\ud800")
        finally:
            raise KeyError("later")
    """
    assert (await runner.run(source)).rejected == ("too wide \\ud800", 400)


@pytest.mark.parametrize("status", ["200", "500", "'404'", "True", "None", "10**30"])
async def test_reject_with_a_bad_status(runner: Runner, status: str) -> None:
    """`reject` takes a status of 400 to 499 and nothing else."""
    error = await runner.fails(f"def query(r, c):\n    reject('x', {status})")
    assert error.kind == "invalid_result"
    assert "400 to 499" in error.reason


async def test_drop(runner: Runner) -> None:
    """`drop` leaves a document out, even if its exception is swallowed."""
    source = """
    def document(doc, context):
        try:
            drop()
        except BaseException:
            return {"b": 1}
    """
    reply = await runner.run(source, {"a": 1}, phase="document")
    assert (reply.dropped, reply.rejected, reply.data) == (True, None, {"a": 1})


async def test_drop_elsewhere(runner: Runner) -> None:
    """`drop` in another phase is an error that names `reject`."""
    error = await runner.fails("def query(r, c): drop()")
    assert error.kind == "udf_exception"
    assert "reject(reason)" in error.reason


async def test_resource(runner: Runner) -> None:
    """`resource` reads the package's files, as text or bytes."""
    package = udf(
        """
        LINES = resource("words.txt").split()
        def query(request, context):
            return {
                "lines": LINES,
                "bytes": list(resource("raw.bin", binary=True)),
                "text": list(resource("words.txt", binary=True))[:2],
            }
        """,
        files={"words.txt": b"caf\xc3\xa9 tea", "raw.bin": b"\xff\x00"},
    )
    reply = await runner.run(package)
    assert reply.data == {"lines": ["café", "tea"], "bytes": [255, 0], "text": [99, 97]}


async def test_missing_resource(runner: Runner) -> None:
    """A file that is not in the package is an error that lists those that are."""
    package = udf("def query(r, c): resource('x')", files={"b.txt": b"", "a.txt": b""})
    error = await runner.fails(package)
    assert "there is: a.txt, b.txt" in error.reason
    bare = await runner.fails("resource('x')")
    assert bare.kind == "load"
    assert "it has no files" in bare.reason


async def test_library_import(runner: Runner) -> None:
    """The built-ins can be imported from `querymill` too, and at load time know the parameters."""
    source = """
    from querymill import get_param_float, querytree, rewrite
    BOOST = get_param_float("boost", 1.0)
    def query(request, context):
        def visit(kind, body):
            return {kind: {**body, "boost": BOOST}} if kind == "term" else None
        assert rewrite is querytree.rewrite
        return {"query": rewrite(request["query"], visit)}
    """
    query = {"bool": {"must": [{"term": {"a": 1}}]}}
    reply = await runner.run(source, {"query": query}, params={"boost": 2.0})
    assert reply.data == {"query": {"bool": {"must": [{"term": {"a": 1, "boost": 2.0}}]}}}


@pytest.mark.parametrize("call", ["get_field('a')", "reject('x')", "drop()"])
async def test_run_functions_at_load(runner: Runner, call: str) -> None:
    """What belongs to a run cannot be used while the UDF is loaded."""
    error = await runner.fails(call)
    assert error.kind == "load"
    assert "RuntimeError" in error.reason


async def test_dataclass_in_a_udf(runner: Runner) -> None:
    """A UDF's own classes work, which look their module up by name."""
    source = """
    from __future__ import annotations
    from dataclasses import asdict, dataclass, field
    @dataclass
    class Word:
        text: str
        weights: list[int] = field(default_factory=list)
    def query(request, context):
        return asdict(Word("a", [1]))
    """
    assert (await runner.run(source)).data == {"text": "a", "weights": [1]}
