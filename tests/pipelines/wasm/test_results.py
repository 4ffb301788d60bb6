"""What comes out of a sandbox is checked, and told apart from what went in."""

from __future__ import annotations

import pytest

from pipelines.wasm import Call, Limits
from tests.pipelines.wasm.udfs import Runner, udf, using

SAME = "def query(request, context): return request"


@pytest.mark.parametrize(
    ("returned", "said"),
    [
        ("None", "query() returned nothing; it has to return the request as a dict"),
        ("[1]", "a value of type list"),
        ("'{}'", "a value of type str"),
        ("{'a': float('inf')}", "not JSON compliant"),
        ("{'a': {1, 2}}", "an object of type set is not JSON"),
        ("{'a': ['\\udc80']}", "U+DC80"),
        ("{'a': b'x'}", "an object of type bytes is not JSON"),
        ("{(1, 2): 1}", "keys must be"),
        ("{'_pipeline_metadata': 3}", "_pipeline_metadata is not an object but int"),
    ],
)
async def test_invalid_result(runner: Runner, returned: str, said: str) -> None:
    """A result that is not a JSON object is refused with what is wrong with it."""
    error = await runner.fails(f"def query(request, context): return {returned}")
    assert error.kind == "invalid_result"
    assert said in error.reason
    assert error.reason.startswith("UDF [sample@1.0.0]: ")


@pytest.mark.parametrize(
    ("returned", "said"),
    [
        ("None", "udf_main() returned nothing; it has to return the query clause"),
        ("3", "a value of type int"),
        ("'[1]'", "a value of type list"),
        ("'{'", "returned text that is not JSON"),
        ("''", "returned text that is not JSON"),
        ("'{} {}'", "returned text that is not JSON"),
        ("'{\"a\": NaN}'", "not JSON compliant"),
    ],
)
async def test_invalid_result_of_first_style(runner: Runner, returned: str, said: str) -> None:
    """`udf_main` has to return a dict or the JSON text of an object."""
    error = await runner.fails(f"def udf_main(): return {returned}")
    assert error.kind == "invalid_result"
    assert said in error.reason


async def test_invalid_state(runner: Runner) -> None:
    """State that cannot be handed on is the UDF's failure."""
    error = await runner.fails("def query(r, c):\n    c.state['a'] = object()\n    return r")
    assert error.kind == "invalid_result"
    assert "context.state" in error.reason
    error = await runner.fails("def query(r, c):\n    c.state = [1]\n    return r")
    assert error.kind == "invalid_result"


async def test_circular_result(runner: Runner) -> None:
    """A result that holds itself is refused."""
    error = await runner.fails("def query(r, c):\n    r['r'] = r\n    return r")
    assert error.kind == "invalid_result"
    assert "Circular reference" in error.reason


@pytest.mark.parametrize(
    ("payload", "changed"),
    [
        ('{"a":1}', False),
        ('{ "a" : [1, 2.50, "\\u00e9"] }', False),
        ('{"a":1,"a":2}', False),
        ('{"a": 12345678901234567890123456789}', False),
    ],
)
async def test_unchanged(runner: Runner, payload: str, changed: bool) -> None:
    """A payload the UDF gave back as it was counts as unchanged, however it was written."""
    assert (await runner.run(SAME, payload)).changed is changed


@pytest.mark.parametrize(
    ("line", "payload"),
    [
        ("request['a'] = 2", '{"a":1}'),
        ("request['a'] = 1.0", '{"a":1}'),
        ("request['a'] = True", '{"a":1}'),
        ("request['a'] += 1", '{"a": 12345678901234567890123456789}'),
        ("request = dict(reversed(request.items()))", '{"a":1,"b":2}'),
    ],
)
async def test_changed(runner: Runner, line: str, payload: str) -> None:
    """Any difference that JSON can express counts as a change."""
    source = f"def query(request, context):\n    {line}\n    return request"
    assert (await runner.run(source, payload)).changed


async def test_big_numbers_survive(runner: Runner) -> None:
    """Integers of any size come out as they went in."""
    payload = '{"id":1234567890123456789012345,"b":18446744073709551617}'
    assert (await runner.run(SAME, payload)).payload == payload


async def test_text_survives(runner: Runner) -> None:
    """Text beyond ASCII, controls and newlines included, comes out as one line of JSON."""
    reply = await runner.run(SAME, {"a": 'é 漢字 😀 \n\r\u2028\x00 "\\'})
    assert reply.data == {"a": 'é 漢字 😀 \n\r\u2028\x00 "\\'}
    assert "\n" not in reply.payload
    assert "\r" not in reply.payload


FORGERIES = {
    "not json": ("junk\n{}", "cannot be read"),
    "header no object": ("[]\n{}", "not an object"),
    "payload no json": ("{}\nnope", "not JSON"),
    "payload no object": ("{}\n[1]", "not a JSON object"),
    "payload with NaN": ('{}\n{"a":NaN}', "not JSON"),
    "payload with a surrogate": ('{}\n{"a":"\\\\ud800"}', "not JSON"),
    "payload missing": ("", "cannot be read"),
    "state no object": ('{"state":[]}\n{}', "context.state has to be an object"),
    "metadata no object": ('{"metadata":"x"}\n{}', "context.metadata has to be an object"),
    "a rejection with 200": ('{"rejected":["x",200]}\n', "4xx"),
    "a rejection of another shape": ('{"rejected":"x"}\n', "4xx"),
    "a nested header": ("[" * 5000 + "\n{}", "cannot be read"),
}


@pytest.mark.parametrize("case", FORGERIES)
async def test_forged_response(runner: Runner, case: str) -> None:
    """A UDF that takes over its interpreter can answer anything, and is not believed."""
    response, said = FORGERIES[case]
    source = f"import app\napp._udf.run = lambda call: {response!r}\ndef query(r, c): return r"
    error = await runner.fails(source.replace("\\\\\\\\", "\\\\"))
    assert error.kind == "invalid_result"
    assert said in error.reason


@pytest.mark.parametrize(
    ("line", "payload", "expected"),
    [
        ("r['x'] = 1", '{"a": 1.10, "b": [1e5, -0]}', '{"a":1.10,"b":[1e5, -0],"x":1}'),
        ("del r['b']", '{"a": {"c": 1, "c": 2.50}, "b": 1}', '{"a":{"c": 1, "c": 2.50}}'),
        ("r['a']['c'] = 2", '{"a": {"c": 1, "d": 2e1}}', '{"a":{"c":2,"d":2e1}}'),
        ("r['b'].reverse()", '{"b": [1.0, 2.00, 3e0]}', '{"b":[3e0,2.00,1.0]}'),
        ("r['x'] = 1", f'{{"a": {2**80}, "b": "\\u00e9"}}', f'{{"a":{2**80},"b":"\\u00e9","x":1}}'),
        ("r['a'] += 1", f'{{"a": {2**80}}}', f'{{"a":{2**80 + 1}}}'),
        ("r['x'] = 1e-7", '{"a": 3.2e-6,\n"b":\r1}', '{"a":3.2e-6,"b":1,"x":1e-7}'),
        ("r['x'] = 1", '{"a":1.5,"b":"c"}', '{"a":1.5,"b":"c","x":1}'),
    ],
)
async def test_what_was_not_changed_is_as_it_was_written(
    runner: Runner, line: str, payload: str, expected: str
) -> None:
    """Numbers, keys and strings that a UDF left alone come out to the character."""
    source = f"def query(r, c):\n    {line}\n    return r"
    reply = await runner.run(source, payload)
    assert (reply.changed, reply.payload) == (True, expected)


async def test_forged_newline(runner: Runner) -> None:
    """A raw line break in a forged payload does not come out, for it would split a bulk line."""
    forged = '{}\n{"a":\n1,\r"b":2}'
    source = f"import app\napp._udf.run = lambda call: {forged!r}\ndef query(r, c): return r"
    assert (await runner.run(source)).payload == '{"a":1,"b":2}'


async def test_forged_error(runner: Runner) -> None:
    """A forged error has a kind a UDF can have, and a bounded text."""
    response = '{"error":{"kind":["unavailable"],"reason":"' + "x" * 9000 + '"}}\n'
    source = f"import app\napp._udf.run = lambda call: {response!r}\ndef query(r, c): return r"
    error = await runner.fails(source)
    assert error.kind == "udf_exception"
    assert len(error.reason) < 4100


async def test_forged_load(runner: Runner) -> None:
    """A forged response at load is an error of loading."""
    error = await runner.fails("import app\napp._udf.load = lambda s, t: 'x'\nraise KeyError")
    assert error.kind == "load"


async def test_patched_json(runner: Runner) -> None:
    """A UDF that breaks the json module breaks its own code only."""
    source = """
    import json
    json.loads = json.dumps = json.JSONEncoder = None
    def query(request, context):
        return request
    """
    assert (await runner.run(source, {"a": 1})).data == {"a": 1}


async def test_functions_removed(runner: Runner) -> None:
    """A UDF that deletes its own function is told so."""
    source = "def query(r, c):\n    del globals()['query']\n    return r"
    assert (await runner.run(source)).data == {}
    error = await runner.fails(source)
    assert error.kind == "invalid_result"
    assert "must not remove them" in error.reason


@pytest.mark.parametrize("payload", ["[1]", "{", "", '{"a":NaN}', '{"a":"\\ud800"}', "[" * 100_000])
async def test_bad_input(runner: Runner, payload: str) -> None:
    """An input that is not a JSON object is refused before it reaches the UDF."""
    package = udf(SAME)
    error = await runner.fails(package, payload if payload else " ")
    assert error.kind == "input_type"


async def test_surrogate_in_input(runner: Runner) -> None:
    """Half a surrogate pair in the text that comes in is refused."""
    assert (await runner.fails(SAME, '{"a":"\ud800"}')).kind == "input_type"


async def test_request_that_is_no_json(runner: Runner) -> None:
    """A request behind a result that cannot be read is an input error, too."""
    call = Call(phase="result", payload="{}", request="{nope")
    with pytest.raises(Exception, match="input cannot be read") as caught:
        await runner.pool.run(using(udf("def result(r, c): return r"), Limits()), call)
    assert getattr(caught.value, "kind", "") == "input_type"


async def test_traceback(runner: Runner) -> None:
    """A UDF's exception is told with its line, function and source, and no frame of ours."""
    error = await runner.fails(
        """
        def helper(value):
            return 1 / value
        def query(request, context):
            return helper(request["size"])
        """,
        {"size": 0},
    )
    assert error.kind == "udf_exception"
    assert "ZeroDivisionError" in error.reason
    assert "(sample.py line 3, in helper())" in error.reason
    assert error.detail == (
        '  File "sample.py", line 5, in query\n    return helper(request["size"])\n'
        '  File "sample.py", line 3, in helper\n    return 1 / value'
    )


async def test_traceback_of_recursion(runner: Runner) -> None:
    """A runaway recursion has a short traceback."""
    error = await runner.fails("def query(r, c):\n    return query(r, c)")
    assert "RecursionError" in error.reason
    assert error.detail.count("File") <= 20


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("return str(1 / 0)", "raised ZeroDivisionError"),
        ("raise SystemExit", "raised SystemExit"),
        ("return 3", "raised TypeError"),
    ],
)
async def test_exception_with_a_hostile_text(runner: Runner, body: str, said: str) -> None:
    """An exception whose own text cannot be had is named by its type."""
    source = f"""
    class Odd(Exception):
        def __str__(self):
            {body}
    def query(request, context):
        raise Odd
    """
    assert f"Odd (its __str__ {said})" in (await runner.fails(source)).reason


async def test_exception_with_a_long_text(runner: Runner) -> None:
    """The text of an exception is bounded, and odd characters in it are written out."""
    error = await runner.fails("def query(r, c):\n    raise ValueError('\\ud800' + 'x' * 10**6)")
    assert "\\ud800xxx" in error.reason
    assert len(error.reason) < 2100
    assert "line 2, in query()" in error.reason
