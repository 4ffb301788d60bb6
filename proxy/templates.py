"""Search templates: rendered by the backend first, so that pipelines see the search it means."""

from __future__ import annotations

from typing import Final

from proxy.backend import Backend
from proxy.errors import ErrorAnswer
from proxy.exchange import Exchange
from proxy.spans import member, with_member
from proxy.transform import credentials_of

_FLAGS: Final = ("explain", "profile")
_TRUE: Final = ("true", '"true"')


class Templates:
    """Asks the backend what a template comes to, with the caller's credentials."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    async def render(self, text: str, exchange: Exchange) -> str:
        """The search request that a template request (``{"id" | "source", "params"}``) means.

        Raises `BackendRefusedError` with the backend's reason where it cannot be rendered.
        """
        answer = await self._backend.call(
            "POST",
            "/_render/template",
            text.encode(),
            headers=credentials_of(exchange),
            retry=True,
        )
        answer.require(200)
        rendered = answer.body.decode()
        found = member(rendered, "template_output")
        if found is None:
            raise ErrorAnswer(500, "proxy_exception", "the backend rendered no [template_output]")
        return _with_flags(rendered[found.start : found.end], text)


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
        reason = f"the template does not come to a search request: {error}"
        raise ErrorAnswer(400, "parse_exception", reason) from error
    return search
