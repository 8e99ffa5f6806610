"""A master's record of itself, for tests."""

import time
from typing import Any

from deployer.model.masters import MasterRecord, RouteFigures


def record(id_: str = "one", **more: Any) -> MasterRecord:
    """One that lives; `more` are fields."""
    now = int(time.time() * 1000)
    known: dict[str, Any] = {
        "id": id_,
        "name": "host",
        "pid": 7,
        "version": "1",
        "started": now - 1000,
        "seen": now,
        "listens": ["tcp:8966"],
        "ready": True,
        "requests": 3,
        "exceptions": 0,
        "lag_ms": 1.5,
        "queues": {"audit": 0},
        "routes": [RouteFigures(method="GET", route="/livez", requests=3, mean_ms=1.0, p95_ms=2.0)],
    }
    return MasterRecord(**{**known, **more})
