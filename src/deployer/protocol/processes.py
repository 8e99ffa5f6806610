"""What runs on an agent: its whole list, posted when it has changed and with each sample of what it consumes.

Only what has lived for a second is on the list: what is shorter is told by its result (`Result.pid`).
"""

from typing import Annotated, Final

import msgspec
from msgspec import Meta, Struct

from deployer.protocol.ids import Name
from deployer.protocol.messages import Count, Moment

MAX_PROCESSES: Final = 2000
MAX_PROCESSES_BYTES: Final = 1024 * 1024
"""The longest `ProcessList` on the wire."""
YOUNGEST_S: Final = 1.0

Task = Annotated[str, Meta(pattern=r"^[A-Za-z0-9._:-]{1,200}\Z")]
"""A task's id; what the agent starts by itself is called `:startup:<name>`."""
_Key = Annotated[str, Meta(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9_.%-]*\Z")]
_Values = Annotated[dict[_Key, float], Meta(max_length=64)]


class LiveProcess(Struct, frozen=True, array_like=True):
    """One process: the `run`-th of a task, since `started` (epoch ms on the agent's clock).

    `values` are what it consumed, with all that it has started, in the `step` seconds from `at` (epoch seconds; 0: it
    has not been sampled yet).
    """

    task: Task
    run: Annotated[int, Meta(ge=1, le=2**53)]
    pid: Annotated[int, Meta(ge=1, le=2**31)]
    started: Moment
    domain: Name = ""
    name: Name = ""
    at: Annotated[int, Meta(ge=0, lt=253_402_300_800)] = 0
    step: Annotated[int, Meta(ge=0, le=86400)] = 0
    values: _Values = {}


class ProcessList(Struct, frozen=True, forbid_unknown_fields=True):
    """All that runs, the oldest first; `more`: so many are not on the list, which is full."""

    processes: Annotated[list[LiveProcess], Meta(max_length=MAX_PROCESSES)]
    more: Count = 0


class ProcessesAnswer(Struct, frozen=True):
    """How many are kept."""

    kept: int


encode = msgspec.json.Encoder().encode
decode = msgspec.json.Decoder(ProcessList).decode
