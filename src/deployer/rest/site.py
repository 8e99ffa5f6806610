"""The root of the one Site: the agents' routes as plain resources, all else on Klein."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from klein import Klein
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request

from deployer.errors import NotFoundError
from deployer.rest.problems import refuse

Find = Callable[[Sequence[bytes]], Any]


class _Nothing(Resource):
    """At a path that is not UTF-8, for which Klein would log a traceback, or that begins with two slashes."""

    isLeaf = True

    def __init__(self) -> None:
        Resource.__init__(self)

    def render(self, request: Request) -> int:
        """404, as for any path that is not declared."""
        refuse(request, NotFoundError("there is nothing at this path"))
        return NOT_DONE_YET


def _is_text(parts: Sequence[bytes]) -> bool:
    try:
        b"/".join(parts).decode()
    except UnicodeDecodeError:
        return False
    return True


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
        if not _is_text(parts) or (left and not path):  # Klein would take `//x` for `/x`
            return _Nothing()
        found = self._find(parts) or self._routes.get(b"/" + b"/".join(parts))
        if found is not None:
            request.prepath, request.postpath = [*taken, *left], []
            return found
        # Klein routes by what is left of the path: give back what the Site has taken
        request.prepath, request.postpath = taken[:-1], parts
        return self._klein
