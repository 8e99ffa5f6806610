"""The API's description of itself."""

from collections.abc import AsyncIterator, Callable
from typing import Any

import msgspec

from deployer.model.access import Caller, Permission
from deployer.rest.answers import Answer, Stream
from deployer.rest.endpoint import endpoint
from deployer.rest.meter import CONTENT_TYPE


class AboutRoutes:
    """`/api/v1/openapi.json` and `/metrics`. `describe` makes the document, once; `measured` is for Prometheus."""

    def __init__(self, describe: Callable[[], dict[str, Any]], measured: Callable[[], bytes]) -> None:
        self._describe = describe
        self._measured = measured
        self._document: msgspec.Raw | None = None

    @endpoint("GET", "/api/v1/openapi.json", needs=Permission.PUBLIC, returns=dict[str, Any])
    async def openapi(self) -> Answer:
        """This document, as OpenAPI 3.1."""
        if self._document is None:
            self._document = msgspec.Raw(msgspec.json.encode(self._describe()))
        return Answer(self._document)

    @endpoint("GET", "/metrics", needs=Permission.ADMIN, returns=str)
    async def metrics(self, caller: Caller) -> Stream:  # noqa: ARG002 (every handler that needs a token has one)
        """What this master does, in the text form of Prometheus."""
        return Stream(CONTENT_TYPE, _once(self._measured()))


async def _once(text: bytes) -> AsyncIterator[bytes]:
    yield text
