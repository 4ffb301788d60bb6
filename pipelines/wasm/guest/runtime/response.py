"""What the host is told of a run that came to its end: a header, and what the UDF returned."""

from typing import Any

from querymill.current import Context

from runtime.failure import InvalidResult
from runtime.text import encode

METADATA = "_pipeline_metadata"
# Of a rejection's reason; the host cuts what is longer.
_REASON_BYTES = 1024


def rejection(reason: str, status: Any) -> str:
    """The header after `reject`."""
    if type(status) is not int or not 400 <= status <= 499:
        raise InvalidResult(f"reject() was given the status {status!r}; it takes 400 to 499")
    raw = reason[:_REASON_BYTES].encode("utf-8", "backslashreplace")[:_REASON_BYTES]
    text = raw.decode(errors="ignore")
    return encode({"rejected": [text, status]})


def headed(new: dict, context: Context) -> tuple[str, dict]:
    """The header after a UDF returned `new`, and that without what goes into the header."""
    metadata = context.metadata
    if METADATA in new:
        taken = new[METADATA]
        if not isinstance(taken, dict):
            raise InvalidResult(f"{METADATA} is not an object but {type(taken).__name__}")
        new = {name: value for name, value in new.items() if name != METADATA}
        metadata = {**metadata, **taken}
    return header_of(context, metadata), new


def header_of(context: Context, metadata: dict) -> str:
    """The header with what the run hands on."""
    header = {}
    if metadata:
        header["metadata"] = metadata
    if context.state:
        header["state"] = context.state
    return text_of(header, "context.state or metadata") if header else "{}"


def text_of(value: Any, what: str) -> str:
    """JSON that can leave the sandbox. Raises `InvalidResult` that names `what` it is."""
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
