"""Output on its way: one line or multi-line block with its level (seed 001, DESIGN 4)."""

from contextlib import suppress
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from deployer.protocol.ids import Name
from deployer.protocol.levels import HIGHEST, LOG, STRUCTURED_LOG

MAX_LINE_BYTES = 64 * 1024
MAX_BLOCK_BYTES = 1024 * 1024

Count = Annotated[int, Meta(ge=0, le=2**63 - 1)]
Level = Annotated[int, Meta(ge=1, le=HIGHEST)]
Moment = Annotated[int, Meta(ge=0, le=253_402_300_799_999)]
"""Epoch ms until the end of the year 9999: what can be written as a date."""


Owner = Annotated[str, Meta(pattern=r"^([A-Za-z0-9._-]{1,128}(:[a-z0-9]{1,10})?)?\Z")]
"""A task's id, or empty for what the agent says of its own."""


ID_MASK = 2**32 - 1
"""A message's `id` (seed 001) is the lowest 32 bits of its number."""

OWN_FAILURES = ("agent", "exceptions")
"""Domain and name of the messages in which an agent tells of its own exceptions."""

CUT = 1
"""Flag: the line goes on with the next message, as it is longer than a message may be."""
UNFINISHED = 2
"""Flag: the block was not ended when it was given out; it goes on with the next message, if at all."""

FLAGS = {CUT: "cut", UNFINISHED: "unfinished"}


class Message(Struct, frozen=True, array_like=True):
    """One message as the agent sends it: level, the agent's 64-bit number, epoch ms, the text, flags."""

    level: Level
    seq: Count
    epoch: Moment
    data: str
    flags: Annotated[int, Meta(ge=0, le=255)] = 0


class Group(Struct, frozen=True, kw_only=True):
    """Messages of one task, in order; an empty `task`: the agent's own. `domain` and `name` decide the stream."""

    task: Owner
    domain: Name = ""
    name: Name = ""
    messages: list[Message]


class StoredMessage(Struct, frozen=True, omit_defaults=True):
    """One message as it lies in the stream `log.<domain>.<name>` (DESIGN 6).

    What came by syslog has no agent and no task but a `host`, and `more`: facility, severity, and what else it said.
    """

    task: str
    agent: str
    level: int
    id: int
    epoch: int
    data: str
    seq: int = 0
    flags: int = 0
    host: str = ""
    more: dict[str, str] = {}


class _Categorised(Struct):
    cat: str


def category(level: int, text: str) -> str | None:
    """The category of a log message: what level 6 names as `cat`, else `unknown`; None for any other level."""
    if level not in {LOG, STRUCTURED_LOG}:
        return None
    if level == STRUCTURED_LOG and text.startswith("{"):
        with suppress(msgspec.DecodeError, UnicodeEncodeError):
            return _categorised(text).cat[:128]
    return "unknown"


_categorised = msgspec.json.Decoder(_Categorised).decode
