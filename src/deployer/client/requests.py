"""What clients ask, whichever way they ask it. Pure but for the ids."""

import json
import math
import secrets
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote, urlencode, urlsplit

from deployer.client.errors import ClientError

API: Final = "/api/v1"
"""What all paths begin with; an address that has it is the same master's."""
JOBS: Final = f"{API}/jobs"
PAGE: Final = 1000
MAX_WAIT_S: Final = 30
LOST_IN_A_ROW: Final = 20
"""So often is taken up again what is lost without having come further."""
SILENCE_S: Final = 45.0
"""A stream has a comment every 15 s."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where a master is; `prefix` is what stands in front of all paths, behind some proxies."""

    url: str
    secure: bool
    host: str
    port: int | None
    prefix: str

    @classmethod
    def read(cls, url: str) -> "Address":
        """From a URL; ClientError when it is not a master's."""
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ClientError(f"{url!r} is not the address of a master: http://HOST:PORT or https://HOST:PORT")
        prefix = parts.path.rstrip("/").removesuffix(API).rstrip("/")
        return cls(url, parts.scheme == "https", parts.hostname, parts.port, prefix)

    @property
    def base(self) -> str:
        """What stands in front of all paths in a URL."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        port = "" if self.port is None else f":{self.port}"
        return f"{'https' if self.secure else 'http'}://{host}{port}{self.prefix}"


def headers_of(token: str) -> dict[str, str]:
    """What every request says."""
    named = {"Authorization": f"Bearer {token}"} if token else {}
    return {**named, "User-Agent": "deployer", "Accept": "application/json"}


def content(body: object) -> tuple[bytes | None, dict[str, str]]:
    """A body as it is sent, with the header that says what it is: a text as it is, all else as JSON."""
    if body is None:
        return None, {}
    if isinstance(body, str):
        return body.encode(), {"Content-Type": "text/plain; charset=utf-8"}
    return json.dumps(body).encode(), {"Content-Type": "application/json"}


def new_id() -> str:
    """A UUIDv7 (RFC 9562) as 32 hex digits: ids sort by time."""
    ms = int(time.time() * 1000) & (2**48 - 1)
    return f"{ms:012x}7{secrets.randbits(12):03x}{1 << 63 | secrets.randbits(62):016x}"


def job_path(job_id: str) -> str:
    """Where a job is."""
    return f"{JOBS}/{quote(job_id, safe='')}"


def stats_path(agent: str) -> str:
    """Where the numbers of an agent (`gid:nid`) are."""
    return f"{API}/agents/{quote(agent, safe=':')}/stats"


def job_body(
    cmd: str, args: Mapping[str, Any], *, target: str, data: str, job_id: str | None, more: Mapping[str, Any]
) -> dict[str, Any]:
    """A job to ask for, with an id of its own: sent again it is the same job."""
    return {"cmd": cmd, "args": dict(args), "data": data, "target": target, **more, "id": job_id or new_id()}


def rerun_body(own_id: str | None) -> dict[str, str]:
    """With an id of its own, the same new job when it is asked for again."""
    return {"id": own_id or new_id()}


def events_path(types: Sequence[str]) -> str:
    """Where events of these types are told; of all types without any."""
    return with_query(f"{API}/events", {"type": ",".join(types) or None})


LOGS: Final = f"{API}/logs"
"""Where all messages are searched and followed."""


def rerun_path(job_id: str) -> str:
    """Where what has failed of a job is asked to run again."""
    return f"{job_path(job_id)}/rerun"


def with_query(path: str, query: Mapping[str, Any] | None) -> str:
    """A path with what is asked of it; what is None is left out."""
    given = {name: value for name, value in (query or {}).items() if value is not None}
    return path + ("?" + urlencode(given) if given else "")


def stream_headers(last_id: str) -> dict[str, str]:
    """What asks for a stream, from the event after `last_id` on."""
    headers = {"Accept": "text/event-stream", "Cache-Control": "no-store"}
    return headers | ({"Last-Event-ID": last_id} if last_id else {})


def longest_wait_s(timeout_s: float) -> int:
    """How long a master may wait in one request, when a request may take so long."""
    return min(MAX_WAIT_S, max(int(timeout_s) - 10, 1))


def share_s(end: float, now: float, most: int) -> int:
    """How much of the time until `end` one request waits, both by the monotonic clock."""
    return round(max(min(most, end - now), 0))


def end_of(timeout_s: float | None, now: float) -> float:
    """When so many seconds are over; never without any."""
    return math.inf if timeout_s is None else now + timeout_s
