"""What an agent has done and does: counted and noted by the scripts that move its tasks."""

from collections.abc import Mapping, Sequence
from typing import Final

from msgspec import Struct

from deployer.protocol.ids import AgentId
from deployer.protocol.states import FINAL
from deployer.stores import keys
from deployer.stores.redis import Redis

MOST: Final = 100
"""Tasks that are named; the rest is counted."""


class Change(Struct, frozen=True):
    """An agent's state from then on (epoch ms)."""

    at: int
    state: str


class Failed(Struct, frozen=True):
    """A task that ended badly then (epoch ms)."""

    at: int
    state: str
    task: str


class Activity(Struct, frozen=True, kw_only=True):
    """`processed`: tasks that have ended, by state; `running`: the first of those, by when they were accepted."""

    states: Sequence[Change]
    failures: Sequence[Failed]
    processed: Mapping[str, int]
    exceptions: int
    queued: int
    sent: int
    accepted: int
    running: Sequence[str]


class Activities:
    """Reads them."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def of(self, agent: AgentId) -> Activity:
        """Of an agent, which must exist."""
        key = keys.agent(agent)
        ends = sorted(FINAL)
        counts, states, failures, queued, control, sent, accepted, running = await self._redis.reads(
            [
                ("HMGET", key, "exceptions", *(f"n:{state}" for state in ends)),
                ("LRANGE", f"{key}:states", 0, -1),
                ("LRANGE", f"{key}:failures", 0, -1),
                ("LLEN", f"{key}:queue"),
                ("LLEN", f"{key}:control"),
                ("ZCARD", f"{key}:inflight"),
                ("ZCARD", f"{key}:running"),
                ("ZRANGE", f"{key}:running", 0, MOST - 1),
            ]
        )
        return Activity(
            states=[Change(int(at), state) for at, state in _parts(states, 2)],
            failures=[Failed(int(at), state, task) for at, state, task in _parts(failures, 3)],
            processed={state: _number(raw) for state, raw in zip(ends, counts[1:], strict=True)},
            exceptions=_number(counts[0]),
            queued=(queued or 0) + (control or 0),
            sent=sent or 0,
            accepted=accepted or 0,
            running=[raw.decode("utf-8", "replace").rpartition("@")[0] for raw in running],
        )

    async def loads(self, agents: Sequence[AgentId]) -> list[int]:
        """How many tasks each of these agents has to do."""
        wanted = [(command, f"{keys.agent(one)}:{name}") for one in agents for command, name, _ in _SIZES.values()]
        sizes = await self._redis.reads(wanted)
        return [sum(size or 0 for size in sizes[3 * n : 3 * n + 3]) for n in range(len(agents))]

    async def open_tasks(self, agent: AgentId, state: str, start: int, count: int) -> list[str]:
        """Tasks that run, then those that were sent, then those that wait, from the `start`-th on; kills are none."""
        wanted = _STAGES if state == "open" else (state,)
        key = keys.agent(agent)
        sizes = await self._redis.reads([(_SIZES[one][0], f"{key}:{_SIZES[one][1]}") for one in wanted])
        found: list[str] = []
        for stage, size in zip(wanted, sizes, strict=True):
            its = size or 0
            if start < its and len(found) < count:
                command, name = _SIZES[stage][2], _SIZES[stage][1]
                last = start + count - len(found) - 1
                found += map(_task, await self._redis.read(command, f"{key}:{name}", start, last))
            start = max(start - its, 0)
        return [one for one in found if one]

    async def note_exceptions(self, agent: AgentId, count: int) -> None:
        """An agent has told of exceptions of its own."""
        await self._redis.call("HINCRBY", keys.agent(agent), "exceptions", count)


_STAGES: Final = ("running", "sent", "queued")
_SIZES: Final = {
    "running": ("ZCARD", "running", "ZRANGE"),
    "sent": ("ZCARD", "inflight", "ZRANGE"),
    "queued": ("LLEN", "queue", "LRANGE"),
}


def _task(raw: bytes) -> str:
    return raw.decode("utf-8", "replace").partition("@")[0]


def _number(raw: bytes | None) -> int:
    return int(raw) if raw is not None and raw.isdigit() else 0


def _parts(raws: Sequence[bytes], count: int) -> list[list[str]]:
    """Words of notes; what is damaged is left out."""
    found = [raw.decode("utf-8", "replace").split(" ") for raw in raws]
    return [words for words in found if len(words) == count and words[0].isdigit()]
