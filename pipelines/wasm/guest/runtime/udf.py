"""Loads one UDF into this sandbox and runs it, in either style."""

import binascii
import linecache
import marshal
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

import querymill
from querymill.current import Context, Ended, current
from querymill.declared import Part, declared_of, part_of
from querymill.hits import Hits

from runtime.batch import run_batch
from runtime.failure import (
    OUT_OF_MEMORY,
    InvalidResult,
    TooLarge,
    describe,
    raised,
    report,
)
from runtime.response import METADATA, headed, header_of, rejection, text_of
from runtime.restore import Switches
from runtime.shape import check_clause, check_document, check_request, check_response
from runtime.signature import ENTRIES, faults_of
from runtime.surroundings import output
from runtime.text import decode, encode

_RETURNED = {"query": "the query clause", "document": "the document", "result": "the response"}
_END = {
    "query": "return request",
    "document": "return doc",
    "result": "return response",
    "udf_main": "return json.dumps(...)",
}
_GIVEN = {"query": "request", "document": "document", "result": "response"}


class Udf:
    """The UDF of this sandbox: empty until `load`, then run any number of times."""

    def __init__(self, log: Callable[[str], None]) -> None:
        current.emit = log
        output.emit = querymill.log
        self._module = ModuleType("__udf__")
        self._globals = self._module.__dict__
        self._filename = "udf.py"
        self._switches = Switches()

    def compile(self, source: str, name: str) -> str:
        """Compiles `source` and runs nothing of it; answers with its code, or an error."""
        self._name(name, source)
        try:
            code = compile(source, self._filename, "exec", dont_inherit=True)
            output.flush()
            packed = binascii.b2a_base64(marshal.dumps(code), newline=False)
            return encode({"code": packed.decode()}) + "\n"
        except BaseException as error:
            return self._failed("load", error)

    def load(self, source: str, setup: str) -> str:
        """Runs what `compile` made of `source`; answers with the entry points and what is wrong
        with them, or an error.
        """
        try:
            given = decode(setup)
            self._prepare(given, source)
            exec(marshal.loads(binascii.a2b_base64(given["code"])), self._globals)
            output.flush()
            found = [name for name in ENTRIES if callable(self._globals.get(name))]
            faults = faults_of(self._globals)
            self._switches.remember(source)
            output.flush()
            return encode({"entries": found, "faults": faults}) + "\n"
        except BaseException as error:
            return self._failed("load", error)

    def run(self, call: str) -> str:
        """One run: the new payload, or how else it ended."""
        try:
            given = decode(call)
        except MemoryError:
            return OUT_OF_MEMORY
        except (RecursionError, ValueError) as error:
            return report("input_type", f"the input cannot be read: {describe(error, '')}")
        try:
            return run_batch(self._outcome, given) if "batch" in given else self._run(given)
        except InvalidResult as error:
            return report("invalid_result", str(error))
        except TooLarge as error:
            return report("output_too_large", str(error))
        except BaseException as error:
            return self._failed("udf_exception", error)
        finally:
            current.end()

    def _name(self, name: str, source: str) -> None:
        self._filename = f"{name}.py"
        lines = source.splitlines(keepends=True)
        linecache.cache[self._filename] = (len(source), None, lines, self._filename)

    def _prepare(self, setup: dict, source: str) -> None:
        self._name(setup["name"], source)
        current.params, current.files = setup["params"], setup["files"]
        for name in querymill.__all__:
            self._globals[name] = getattr(querymill, name)
        self._globals["__file__"] = self._filename
        # dataclasses and typing look a class's module up by name
        sys.modules["__udf__"] = self._module

    def _failed(self, kind: str, error: BaseException) -> str:
        try:
            output.flush()
            return raised(kind, error, self._filename)
        except MemoryError:
            return OUT_OF_MEMORY
        except BaseException as again:
            return report(kind, f"{type(error).__name__}, then {type(again).__name__}")

    def _run(self, given: dict) -> str:
        phase, payload, limit = given["phase"], given["payload"], given["limit"]
        request = given["request"] if phase == "result" else None
        seen: Any = None
        if phase == "query":
            seen = payload
        elif phase == "result":
            seen = request or {}
        context = Context(given["context"], phase, current.params, seen)
        hits = None
        if "declared" in given:
            each, response = declared_of(given["declared"], phase)
            if phase == "result":
                hits = context.hits = Hits(payload, each)
                current.declared = response
                payload = part_of(response.kind(), payload["response"])
            else:
                current.declared = each
                payload = part_of(each.kind(), payload)
        new, header = self._outcome(phase, payload, request, context, edits=hits is not None)
        if header:
            return f"{header}\n"
        if hits is None:
            header, new = headed(new, context)
        elif context.hits is not hits:
            raise InvalidResult(
                "context.hits was given another value, which does nothing; write "
                "context.hits.keep(function), .sort(key), .rescore(scores) or hit.drop()"
            )
        else:
            header, new = header_of(context, context.metadata), hits.edits()
        text = text_of(new, "the result")
        if len(text) > limit:
            raise TooLarge(f"the result has {len(text)} bytes or more, its limit is {limit}")
        return f"{header}\n{text}"

    def _outcome(
        self, phase: str, payload: dict, request: Any, context: Context, *, edits: bool = False
    ) -> tuple[Any, str]:
        """What the UDF returned, or the header that tells how else it ended."""
        self._globals["context"] = context
        current.begin(phase, payload, request)
        new: Any = None
        try:
            new = self._switches.call(self._call, phase, payload, context, edits)
        except Ended:
            pass
        except BaseException:
            # reject() and drop() stand, whatever the UDF did with their exception
            if current.rejected is None and not current.dropped:
                raise
        finally:
            output.flush()
            self._switches.put_back()
        if current.rejected is not None:
            return None, rejection(*current.rejected)
        return new, '{"dropped":true}' if current.dropped else ""

    def _call(self, phase: str, payload: dict, context: Context, edits: bool) -> dict | None:
        """What the UDF made of the payload; with `edits` it has to return nothing."""
        function = self._globals.get(phase)
        if callable(function):
            if edits:
                return _nothing(function(payload, context), f"{phase}()")
            returned = function(payload, context)
            if type(returned) is not dict:
                if isinstance(returned, Part):
                    returned = dict(returned)
                else:
                    returned = _checked(returned, phase, f"the {_GIVEN[phase]}")
            if phase == "query":
                if len(returned) == 1:
                    check_request(returned, payload)
            elif phase == "result" or "_source" in returned:
                _check_shape(phase, returned, payload, phase)
            return returned
        main = self._globals.get("udf_main")
        if not callable(main):
            raise InvalidResult(f"{phase}() and udf_main() are gone; a run must not remove them")
        bare = phase == "query" and payload.get("query") is None
        returned = main()
        if edits:
            return _nothing(returned, "udf_main()")
        if isinstance(returned, str):
            returned = _parsed(returned)
        new = _checked(returned, "udf_main", f"{_RETURNED[phase]}, as JSON text or")
        if phase == "query":
            return _with_clause(payload, new, bare)
        _check_shape(phase, new, payload, "udf_main")
        return new


def _parsed(text: str) -> Any:
    try:
        return decode(text.strip())
    except ValueError as error:
        raise InvalidResult(f"udf_main() returned text that is not JSON: {error}") from None


def _checked(returned: Any, function: str, wanted: str) -> dict:
    if isinstance(returned, dict):
        # from here on it is only data
        return returned if type(returned) is dict else dict(returned)
    what = "nothing" if returned is None else f"a value of type {type(returned).__name__}"
    end = f"; end it with `{_END[function]}`" if returned is None else ""
    raise InvalidResult(f"{function}() returned {what}; it has to return {wanted} as a dict{end}")


def _check_shape(phase: str, new: dict, before: dict, function: str) -> None:
    """Raises `InvalidResult` for what is certain to be something else than was asked for."""
    if phase == "document":
        if "_source" in new:
            check_document(new, before)
    elif type(new.get("hits")) is not dict:
        check_response(new, before, function)


def _nothing(returned: Any, function: str) -> None:
    if returned is not None:
        kind = "dict" if isinstance(returned, dict) else type(returned).__name__
        raise InvalidResult(
            f"{function} returned a value of type {kind}; in a stage that "
            "declares its `input` it edits context.hits and returns nothing"
        )


def _with_clause(request: dict, clause: dict, bare: bool) -> dict:
    """The request with a new query clause; `_pipeline_metadata` is lifted to the request's top."""
    new = dict(request)
    if METADATA in clause:
        clause = dict(clause)
        new[METADATA] = clause.pop(METADATA)
    check_clause(clause, request.get("query"))
    if bare and clause == {"match_all": {}}:
        return new
    new["query"] = clause
    return new
