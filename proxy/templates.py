"""Search templates: rendered by the backend first, so that pipelines see the search it means."""

from __future__ import annotations

from proxy.backend import Backend
from proxy.errors import ErrorAnswer
from proxy.exchange import Exchange
from proxy.spans import member
from proxy.transform import credentials_of


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
        return rendered[found.start : found.end]
