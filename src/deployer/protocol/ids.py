"""Names and numbers by which things are known on the wire and in Redis.

A job id is given by the client or made here (UUIDv7, RFC 9562, as 32 hex digits, so that ids sort by time). `:` cannot
occur in a job id, which leaves it free for `<job>:<n>` (item n of a batch) and `<task>:kill`.
"""

import re
import secrets
from typing import Annotated

from msgspec import Meta, Struct

JOB_ID_PATTERN = r"^[A-Za-z0-9._-]{1,128}\Z"
MAX_GRID = 2**31 - 1
NAME_PATTERN = "^[^\\x00-\\x1f\\x7f-\\x9f\\ud800-\\udfff]{0,128}\\Z"

JobId = Annotated[str, Meta(pattern=JOB_ID_PATTERN, description="1 to 128 of letters, digits, dot, underscore, hyphen")]
TaskId = Annotated[str, Meta(pattern=r"^[A-Za-z0-9._-]{1,128}(:[a-z0-9]{1,10}){0,2}\Z")]
Name = Annotated[str, Meta(pattern=NAME_PATTERN, description="0 to 128 characters, no control characters")]
GridId = Annotated[int, Meta(ge=1, le=MAX_GRID)]
NodeId = Annotated[int, Meta(ge=1, le=MAX_GRID)]

_PLAIN = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-")
_AGENT = re.compile(r"([1-9][0-9]{0,9}):([1-9][0-9]{0,9})", re.ASCII)


class AgentId(Struct, frozen=True, order=True):
    """One agent: grid and node, written `gid:nid`."""

    gid: GridId
    nid: NodeId

    def __str__(self) -> str:
        """The form of URLs, targets and Redis keys."""
        return f"{self.gid}:{self.nid}"

    @classmethod
    def parse(cls, text: str) -> "AgentId":
        """Read `gid:nid`; ValueError when it is anything else."""
        match = _AGENT.fullmatch(text)
        if match is None or max(gid_nid := (int(match[1]), int(match[2]))) > MAX_GRID:
            raise ValueError(f"{text[:40]!r} is not gid:nid, two whole numbers from 1 to {MAX_GRID}")
        return cls(*gid_nid)


def new_id(now: float) -> str:
    """A UUIDv7 as 32 hex digits for the wall-clock time `now` in seconds."""
    ms = int(now * 1000) & (2**48 - 1)
    rand = secrets.randbits(74)
    value = ms << 80 | 0x7 << 76 | (rand >> 62) << 64 | 0b10 << 62 | rand & (2**62 - 1)
    return f"{value:032x}"


def node(name: str) -> str:
    """Bring a name into `[A-Za-z0-9_%-]` for Redis keys, metric nodes and file names.

    Percent-encoding of the UTF-8 bytes, so it is reversible; the empty name is `unknown` (RELIABILITY 3.2).
    """
    if not name:
        return "unknown"
    return "".join(chr(byte) if byte in _PLAIN else f"%{byte:02X}" for byte in name.encode("utf-8", "surrogatepass"))
