"""Output on its way: one line or multi-line block with its level (seed 001, DESIGN 4)."""

from typing import Annotated

from msgspec import Meta, Struct

from deployer.protocol.ids import Name

MAX_LINE_BYTES = 64 * 1024
MAX_BLOCK_BYTES = 1024 * 1024

Count = Annotated[int, Meta(ge=0, le=2**63 - 1)]


Owner = Annotated[str, Meta(pattern=r"^([A-Za-z0-9._-]{1,128}(:[a-z0-9]{1,10})?)?\Z")]
"""A task's id, or empty for what the agent says of its own."""


class Message(Struct, frozen=True, array_like=True):
    """One message as the agent sends it: level, the agent's 32-bit id, epoch ms, and the text."""

    level: int
    id: Annotated[int, Meta(ge=0, le=2**32 - 1)]
    epoch: int
    data: str


class Group(Struct, frozen=True, kw_only=True):
    """Messages of one task, in order; an empty `task`: the agent's own. `domain` and `name` decide the stream."""

    task: Owner
    domain: Name = ""
    name: Name = ""
    messages: list[Message]


class StoredMessage(Struct, frozen=True):
    """One message as it lies in the stream `log.<domain>.<name>` (DESIGN 6)."""

    task: str
    agent: str
    level: int
    id: int
    epoch: int
    data: str
