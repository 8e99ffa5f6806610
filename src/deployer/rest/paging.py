"""Lists in pages: how many, and from where. A cursor is opaque to clients and given back as it came."""

from typing import Annotated

from msgspec import Meta, Struct

Limit = Annotated[int, Meta(ge=1, le=1000)]
Cursor = Annotated[str, Meta(pattern=r"^[A-Za-z0-9._~-]{1,400}\Z", description="what `next` of the page before says")]


class PageQuery(Struct, frozen=True, forbid_unknown_fields=True):
    """How many, and from where."""

    limit: Limit = 100
    cursor: Cursor | None = None
