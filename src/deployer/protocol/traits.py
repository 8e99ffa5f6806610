"""What hosts are chosen by: roles, labels, where they stand, how much they take.

The agent's file declares it, the master changes it.
"""

from typing import Annotated

from msgspec import Meta, Struct

Word = Annotated[
    str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._/-]{0,63}\Z", description="1 to 64 of letters, digits, ._/-")
]
Text = Annotated[str, Meta(pattern="^[^\\x00-\\x1f\\x7f-\\x9f\\ud800-\\udfff]{0,128}\\Z")]
Roles = Annotated[list[Word], Meta(max_length=50)]
Labels = Annotated[dict[Word, Text], Meta(max_length=100)]
MaxJobs = Annotated[int, Meta(ge=0, le=100_000)]
MaxRam = Annotated[int, Meta(ge=0, le=2**50)]
MaxLoad = Annotated[float, Meta(ge=0, le=100_000)]


class Traits(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Null: nothing is said of it. `max_ram` (bytes) and `max_load` (cores): of jobs that say what they need."""

    roles: Roles | None = None
    labels: Labels | None = None
    rack: Word | None = None
    zone: Word | None = None
    datacenter: Word | None = None
    region: Word | None = None
    max_jobs: MaxJobs | None = None
    max_ram: MaxRam | None = None
    max_load: MaxLoad | None = None


NONE = Traits()
PLACES = ("rack", "zone", "datacenter", "region")
LIMITS = ("max_jobs", "max_ram", "max_load")
