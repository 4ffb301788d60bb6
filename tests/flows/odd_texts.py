"""Texts that are odd JSON or none, and what is said where no pipeline could be given one."""

from __future__ import annotations

from tests.client import Response

JSON = {"Content-Type": "application/json"}
HIDE = (
    "def result(response, context):\n"
    "    for hit in response['hits']['hits']:\n"
    "        hit.get('_source', {}).pop('secret', None)\n"
    "    return response\n"
)
GUARD = (
    "def document(doc, context):\n"
    "    if 'secret' in doc:\n"
    "        reject('no', status=422)\n"
    "    return doc\n"
)
HALF = b'{"s":"a \\ud83d b"}'
# What one backend takes and no pipeline can be given.
TAKEN = {
    "half a pair": HALF,
    "beyond a double": b'{"s":1e400}',
    "below a double": b'{"s":-1e400}',
    "400 digits": b'{"s":1' + b"0" * 400 + b"}",
}


def warned(response: Response, name: str) -> bool:
    """Whether a Warning says that a pipeline did not run."""
    values = response.headers.getall("Warning", [])
    return any(f"[{name}@" in value and "did not run" in value for value in values)
