"""The root of the one Site: the agents' routes as plain resources, all else on Klein."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from klein import Klein
from twisted.web.resource import Resource
from twisted.web.server import Request

Find = Callable[[Sequence[bytes]], Any]


class Root(Resource):
    """Looks at a path's first parts once, then hands the request on."""

    def __init__(self, klein: Klein, routes: Mapping[bytes, Any], find_agent_route: Find) -> None:
        Resource.__init__(self)
        self._klein = klein.resource()
        self._routes = routes
        self._find = find_agent_route

    def getChildWithDefault(self, path: bytes, request: Request) -> Any:
        """The resource for the whole path."""
        taken, left = request.prepath or [], request.postpath or []
        parts = [path, *left]
        found = self._find(parts) or self._routes.get(b"/" + b"/".join(parts))
        if found is not None:
            request.prepath, request.postpath = [*taken, *left], []
            return found
        # Klein routes by what is left of the path: give back what the Site has taken
        request.prepath, request.postpath = taken[:-1], parts
        return self._klein
