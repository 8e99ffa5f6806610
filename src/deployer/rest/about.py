"""The API's description of itself."""

from collections.abc import Callable
from typing import Any

import msgspec

from deployer.model.access import Permission
from deployer.rest.endpoint import Answer, endpoint


class AboutRoutes:
    """`/api/v1/openapi.json`. `describe` makes the document, once."""

    def __init__(self, describe: Callable[[], dict[str, Any]]) -> None:
        self._describe = describe
        self._document: msgspec.Raw | None = None

    @endpoint("GET", "/api/v1/openapi.json", needs=Permission.PUBLIC, returns=dict[str, Any])
    async def openapi(self) -> Answer:
        """This document, as OpenAPI 3.1."""
        if self._document is None:
            self._document = msgspec.Raw(msgspec.json.encode(self._describe()))
        return Answer(self._document)
