"""Search templates: rendered by the backend first, so that pipelines see the search it means."""

from __future__ import annotations

from typing import Final

from pipelines.jsontext.slices import member, with_member
from proxy.backend.client import Backend, BackendRefusedError
from proxy.protocol.bodies.lenient_json import as_json
from proxy.server.exchange import Exchange
from proxy.traffic.request_body import UnreadableError

_FLAGS: Final = ("explain", "profile")
_TRUE: Final = ("true", '"true"')


class Templates:
    """Asks the backend what a template comes to, with the caller's credentials."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    async def render(self, body: bytes, exchange: Exchange) -> str:
        """The search request that a template request (``{"id" | "source", "params"}``) means.

        Raises `UnreadableError`, with the backend's reason where that cannot render it.
        """
        response = await self._backend.call(
            "POST", "/_render/template", body, headers=exchange.credentials, retry=True
        )
        try:
            response.require(200)
            rendered = response.body.decode()
            found = member(rendered, "template_output")
        except (BackendRefusedError, ValueError) as error:
            raise _no_search(error) from error
        if found is None:
            raise _no_search("the backend rendered no [template_output]")
        return _with_flags(rendered[found.start : found.end], as_json(body))


def _with_flags(search: str, template: str) -> str:
    """The search with what its template request says beside the template.

    As in the backend, a flag that is not given there turns off one in the template.
    """
    try:
        for name in _FLAGS:
            given = member(template, name)
            asked = given is not None and template[given.start : given.end] in _TRUE
            wanted = "true" if asked else "false"
            if asked or member(search, name) is not None:
                search = with_member(search, name, wanted)
    except ValueError as error:
        raise _no_search(error) from error
    return search


def _no_search(problem: object) -> UnreadableError:
    refused = problem if isinstance(problem, BackendRefusedError) else None
    return UnreadableError(f"the template does not come to a search request: {problem}", refused)
