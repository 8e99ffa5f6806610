"""The three histories that are compared: what clients were told, what jobs did to the world, what Redis holds."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from msgspec import Struct

from support.resp import Resp

FINAL = frozenset({"OK", "ERROR", "TIMEOUT", "KILLED"})


class Asked(Struct):
    """One job as its client knows it; times in epoch ms, None for no answer."""

    job: str
    kind: str
    agent: int
    number: int
    asked: int
    acknowledged: int | None = None
    cancelled: int | None = None
    tries: int = 0


class Stored(Struct, frozen=True):
    """One task as Redis has it; `data` and `outcome` are those of its result, `finished` epoch ms."""

    state: str
    code: str = ""
    outcome: str = ""
    data: str = ""
    finished: int = 0

    @property
    def is_unknown(self) -> bool:
        """Whether nobody can tell what became of it."""
        return (self.state, self.code, self.outcome) == ("ERROR", "AGENT_RESTARTED", "unknown")


class Histories(Struct, frozen=True):
    """All three; `told` are the states that clients read at the end, `marks` counts (job, run) in the files that
    the jobs wrote, `deaths` are the agents' in epoch ms.
    """

    clients: list[Asked]
    told: Mapping[str, str]
    marks: Mapping[tuple[str, int], int]
    redis: Mapping[str, Stored]
    deaths: Mapping[int, list[int]]


def read_marks(file: Path) -> Counter[tuple[str, int]]:
    """Each line is a job and what its run is marked with, which ends with its number."""
    marks: Counter[tuple[str, int]] = Counter()
    for line in file.read_text().splitlines():
        job, marker = line.split()
        marks[job, int(marker.rpartition(":")[2])] += 1
    return marks


def read_redis(redis: Resp, company: str) -> dict[str, Stored]:
    """Every task of a company, by its job (each of ours has one)."""
    found: dict[str, Stored] = {}
    for key in _hashes(redis, f"dpl:c:{company}:job:*"):
        state, result, finished = redis.ask("HMGET", key, "rest_state", "rest", "rest_at")
        if redis.ask("EXISTS", f"{key}:plan"):  # its task is not made, or never was
            found[key.rpartition(":")[2]] = _stored(state or b"BLOCKED", result, finished)
    for key in _hashes(redis, f"dpl:c:{company}:task:*"):
        job, state, result, finished = redis.ask("HMGET", key, "job", "state", "result", "finished")
        if job and state:  # kills that the master sends are tasks of no job
            found[job.decode()] = _stored(state, result, finished)
    return found


def _hashes(redis: Resp, pattern: str) -> Iterator[str]:
    cursor: Any = 0
    while cursor != b"0":
        cursor, keys = redis.ask("SCAN", cursor, "MATCH", pattern, "COUNT", 1000, "TYPE", "hash")
        yield from (key.decode() for key in keys)


def _stored(state: bytes, result: bytes | None, finished: bytes | None) -> Stored:
    its = json.loads(result) if result else {}
    texts = {name: str(its.get(name) or "") for name in ("code", "outcome", "data")}
    return Stored(state.decode(), **texts, finished=int(finished or 0))
