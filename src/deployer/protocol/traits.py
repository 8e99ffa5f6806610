"""What hosts are chosen by: roles, labels, where they stand. The agent's file declares it, the master changes it."""

from typing import Annotated

from msgspec import Meta, Struct

Word = Annotated[
    str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._/-]{0,63}\Z", description="1 to 64 of letters, digits, ._/-")
]
Text = Annotated[str, Meta(pattern="^[^\\x00-\\x1f\\x7f-\\x9f\\ud800-\\udfff]{0,128}\\Z")]
Roles = Annotated[list[Word], Meta(max_length=50)]
Labels = Annotated[dict[Word, Text], Meta(max_length=100)]


class Traits(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Null: nothing is said of it."""

    roles: Roles | None = None
    labels: Labels | None = None
    rack: Word | None = None
    zone: Word | None = None
    datacenter: Word | None = None
    region: Word | None = None


NONE = Traits()
PLACES = ("rack", "zone", "datacenter", "region")
