"""Loads one UDF into this sandbox and runs it, in either style."""

import linecache
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

import querymill
from querymill.current import Context, Ended, current
from querymill.hits import Hits

from runtime.failure import (
    OUT_OF_MEMORY,
    InvalidResult,
    TooLarge,
    describe,
    raised,
    report,
)
from runtime.held_log import HeldLog
from runtime.surroundings import output
from runtime.text import decode, encode

_ENTRIES = ("udf_main", "query", "document", "result")
_RETURNED = {"query": "the query clause", "document": "the document", "result": "the response"}
_GIVEN = {"query": "request", "document": "document", "result": "response"}
_METADATA = "_pipeline_metadata"


class Udf:
    """The UDF of this sandbox: empty until `load`, then run any number of times."""

    def __init__(self, log: Callable[[str], None]) -> None:
        current.emit = log
        output.emit = querymill.log
        self._module = ModuleType("__udf__")
        self._globals = self._module.__dict__
        self._filename = "udf.py"

    def load(self, source: str, setup: str) -> str:
        """Compiles and runs `source`; answers with the entry points found, or an error."""
        try:
            self._prepare(decode(setup), source)
            exec(compile(source, self._filename, "exec", dont_inherit=True), self._globals)
            output.flush()
            found = [name for name in _ENTRIES if callable(self._globals.get(name))]
            return encode({"entries": found}) + "\n"
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
            return self._run_batch(given) if "batch" in given else self._run(given)
        except InvalidResult as error:
            return report("invalid_result", str(error))
        except TooLarge as error:
            return report("output_too_large", str(error))
        except BaseException as error:
            return self._failed("udf_exception", error)
        finally:
            current.end()

    def _prepare(self, setup: dict, source: str) -> None:
        self._filename = f"{setup['name']}.py"
        lines = source.splitlines(keepends=True)
        linecache.cache[self._filename] = (len(source), None, lines, self._filename)
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

    def _run_batch(self, given: dict) -> str:
        """One run a document: a header, then a line for each document that was come to.

        A line is the new document, or, parted by tabs, its header and it, or its log, header and
        it. It is empty for a run that failed: the host begins that again, to see how.
        """
        told, ids, carried = given["context"], given["ids"], given["carried"]
        limit, room, emit = given["limit"], given["room"], current.emit
        lines = ["{}"]
        log = current.emit = HeldLog(given["log"])
        try:
            for position, payload in enumerate(given["batch"]):
                context = Context(told, "document", current.params, None)
                context.id = ids[position]
                context.headers = dict(context.headers)
                if carried:
                    context.state, context.metadata = carried.get(str(position), ({}, {}))
                try:
                    header, line = self._ended("document", payload, None, context, limit)
                    if header != "{}" or log.lines:
                        line = f"{header}\t{line}"
                        if log.lines:
                            line = f"{encode(log.lines)}\t{line}"
                except MemoryError:
                    lines[0] = '{"memory":true}'
                    break
                except BaseException:
                    line = ""
                if log.lines:
                    log = current.emit = HeldLog(given["log"])
                lines.append(line)
                room -= len(line)
                if room < 0:
                    break
        finally:
            current.emit = emit
        return "\n".join(lines)

    def _run(self, given: dict) -> str:
        phase, payload, limit = given["phase"], given["payload"], given["limit"]
        request = given["request"] if phase == "result" else None
        seen = {"query": payload, "result": request or {}}.get(phase)
        context = Context(given["context"], phase, current.params, seen)
        if phase == "result" and given.get("declared"):
            context.hits = Hits(payload["hits"]["hits"])
            header, text = self._ended(phase, payload, request, context, limit, context.hits)
        else:
            header, text = self._ended(phase, payload, request, context, limit)
        return f"{header}\n{text}"

    def _ended(
        self,
        phase: str,
        payload: dict,
        request: Any,
        context: Context,
        limit: int,
        hits: Hits | None = None,
    ) -> tuple[str, str]:
        """How one run ended: the header of its answer, and the new payload or edits of `hits`."""
        self._globals["context"] = context
        current.begin(phase, payload, request)
        new: Any = None
        try:
            new = self._call(phase, payload, context, edits=hits is not None)
        except Ended:
            pass
        except BaseException:
            # reject() and drop() stand, whatever the UDF did with their exception
            if current.rejected is None and not current.dropped:
                raise
        finally:
            output.flush()
        if current.rejected is not None:
            return _rejection(*current.rejected), ""
        if current.dropped:
            return '{"dropped":true}', ""
        if hits is not None:
            return _written(hits.edits(), context, context.metadata, limit)
        return _answer(new, context, limit)

    def _call(self, phase: str, payload: dict, context: Context, edits: bool) -> dict | None:
        """What the UDF made of the payload; with `edits` it has to return nothing."""
        function = self._globals.get(phase)
        if callable(function):
            if edits:
                return _nothing(function(payload, context), f"{phase}()")
            returned = function(payload, context)
            if type(returned) is dict:
                return returned
            return _checked(returned, f"{phase}()", f"the {_GIVEN[phase]}")
        main = self._globals.get("udf_main")
        if not callable(main):
            raise InvalidResult(f"{phase}() and udf_main() are gone; a run must not remove them")
        bare = phase == "query" and payload.get("query") is None
        returned = main()
        if edits:
            return _nothing(returned, "udf_main()")
        if isinstance(returned, str):
            returned = _parsed(returned)
        new = _checked(returned, "udf_main()", f"{_RETURNED[phase]}, as JSON text or")
        return _with_clause(payload, new, bare) if phase == "query" else new


def _parsed(text: str) -> Any:
    try:
        return decode(text.strip())
    except ValueError as error:
        raise InvalidResult(f"udf_main() returned text that is not JSON: {error}") from None


def _checked(returned: Any, function: str, wanted: str) -> dict:
    if isinstance(returned, dict):
        return returned
    what = "nothing" if returned is None else f"a value of type {type(returned).__name__}"
    raise InvalidResult(f"{function} returned {what}; it has to return {wanted} as a dict")


def _nothing(returned: Any, function: str) -> None:
    if returned is not None:
        raise InvalidResult(
            f"{function} returned a value of type {type(returned).__name__}; in a stage that "
            "declares its `input` it edits context.hits and returns nothing"
        )


def _with_clause(request: dict, clause: dict, bare: bool) -> dict:
    """The request with a new query clause; `_pipeline_metadata` is lifted to the request's top."""
    new = dict(request)
    if _METADATA in clause:
        clause = dict(clause)
        new[_METADATA] = clause.pop(_METADATA)
    if bare and clause == {"match_all": {}}:
        return new
    new["query"] = clause
    return new


def _rejection(reason: str, status: Any) -> str:
    if type(status) is not int or not 400 <= status <= 499:
        raise InvalidResult(f"reject() was given the status {status!r}; it takes 400 to 499")
    text = reason.encode("utf-8", "backslashreplace").decode()
    return encode({"rejected": [text, status]})


def _answer(new: dict, context: Context, limit: int) -> tuple[str, str]:
    metadata = context.metadata
    if _METADATA in new:
        taken = new[_METADATA]
        if not isinstance(taken, dict):
            raise InvalidResult(f"{_METADATA} is not an object but {type(taken).__name__}")
        new = {name: value for name, value in new.items() if name != _METADATA}
        metadata = {**metadata, **taken}
    return _written(new, context, metadata, limit)


def _written(new: dict, context: Context, metadata: dict, limit: int) -> tuple[str, str]:
    text = _json(new, "the result")
    if len(text) > limit:
        raise TooLarge(f"the result has {len(text)} bytes or more, its limit is {limit}")
    if not metadata and not context.state:
        return "{}", text
    header = {}
    if metadata:
        header["metadata"] = metadata
    if context.state:
        header["state"] = context.state
    return _json(header, "context.state or metadata"), text


def _json(value: Any, what: str) -> str:
    try:
        text = encode(value)
        if not text.isascii():
            text.encode()
        return text
    except UnicodeEncodeError as error:
        raise InvalidResult(
            f"{what} holds half a surrogate pair (U+{ord(error.object[error.start]):04X}), "
            "which no UTF-8 text can carry"
        ) from None
    except RecursionError:
        raise InvalidResult(f"{what} is nested too deeply for JSON") from None
    except (TypeError, ValueError) as error:
        raise InvalidResult(f"{what} cannot be written as JSON: {error}") from None
