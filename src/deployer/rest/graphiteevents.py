"""`/graphite/events/…`: what somebody says has happened when; Grafana draws it as annotations.

They are about no agent in particular, so a user who is limited to some agents has none of them.
"""

from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta, Struct

from deployer.errors import ForbiddenError, InvalidError, MalformedError
from deployer.kit.clock import WallClock
from deployer.model.access import Caller, Permission
from deployer.model.graphite.times import LATEST
from deployer.protocol.codecs import Misfit, NotJson, decode_strict
from deployer.rest.graphite import Asked, Route
from deployer.rest.graphiteseries import span
from deployer.stores.annotations import Annotation, Annotations

MAX_SHOWN: Final = 1000
MAX_BYTES: Final = 64 * 1024

_Tag = Annotated[str, Meta(max_length=100)]


class NewAnnotation(Struct, frozen=True):
    """What Graphite's clients post. `tags`: a list, or words with blanks between; `when`: epoch seconds, else now."""

    what: Annotated[str, Meta(min_length=1, max_length=500)]
    tags: Annotated[list[_Tag], Meta(max_length=32)] | Annotated[str, Meta(max_length=1000)] = ""
    data: Annotated[str, Meta(max_length=2000)] = ""
    when: Annotated[float, Meta(ge=0, le=LATEST)] | None = None


class AnnotationRoutes:
    """Annotations of a company."""

    def __init__(self, annotations: Annotations, wall: WallClock) -> None:
        self._annotations = annotations
        self._wall = wall
        self.routes = [
            Route("events", self.show, (b"GET",)),
            Route("events", self.add, (b"POST",), Permission.EXECUTE, changes=True),
            Route("events/get_data", self.show),
        ]

    async def show(self, caller: Caller, asked: Asked) -> list[dict[str, Any]]:
        """The newest thousand of a time, which have all the tags that are asked for (`set=union`: any of them)."""
        start, end = span(asked, self._wall)
        if caller.agents is not None:
            return []
        tags = {tag for text in asked.every("tags") for tag in text.split()}
        is_union = asked.one("set", "intersection") == "union"
        found = await self._annotations.between(caller.company, start, end, MAX_SHOWN)
        return [_shown(one) for one in found if _has(one, tags, is_union=is_union)]

    async def add(self, caller: Caller, asked: Asked) -> dict[str, Any]:
        """Keep one."""
        if caller.agents is not None:
            raise ForbiddenError("events are about the whole company, and you may use some of its agents only")
        if asked.document is None:
            raise MalformedError("the body must be JSON: what, tags, data, when")
        new = _decoded(asked.document)
        when = int(self._wall() if new.when is None else new.when)
        tags = new.tags.split() if isinstance(new.tags, str) else list(new.tags)
        return _shown(await self._annotations.add(caller.company, when, new.what, new.data, tags))


def _decoded(raw: bytes) -> NewAnnotation:
    try:
        return decode_strict(NewAnnotation, raw, max_bytes=MAX_BYTES)
    except NotJson as error:
        raise MalformedError(f"the body is not JSON: {error}") from None
    except Misfit as error:
        raise InvalidError(error.pointer, error.message) from None


def _shown(one: Annotation) -> dict[str, Any]:
    shown: dict[str, Any] = msgspec.to_builtins(one)
    return shown


def _has(one: Annotation, tags: set[str], *, is_union: bool) -> bool:
    if not tags:
        return True
    return not tags.isdisjoint(one.tags) if is_union else tags <= set(one.tags)
