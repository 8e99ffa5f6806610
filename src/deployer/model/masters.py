"""What a master tells of itself (seed 002)."""

from collections.abc import Mapping, Sequence

from msgspec import Struct


class RouteFigures(Struct, frozen=True, kw_only=True):
    """Requests of a route since the master's start: how many, and their mean and 95th percentile in ms.

    Those that wait for something (polls, `?wait=`, logs that are followed) are counted with their waiting.
    """

    method: str
    route: str
    requests: int
    mean_ms: float
    p95_ms: float


class MasterRecord(Struct, frozen=True, kw_only=True):
    """One master. `started`, `seen`: epoch ms; `lag_ms`: by how much its reactor was late, the worst of late.

    `queues`: what waits in it: requests that are held, calls of Redis, entries of the audit log, connections.
    """

    id: str
    name: str
    pid: int
    version: str
    started: int
    seen: int
    listens: Sequence[str]
    ready: bool
    requests: int
    exceptions: int
    lag_ms: float
    queues: Mapping[str, int]
    routes: Sequence[RouteFigures]
