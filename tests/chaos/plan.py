"""Which faults are to happen, and where: kills, each failpoint so often, and the other kinds between."""

import random
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Final

from chaos.faults import Fault
from deployer.protocol.failpoints import AGENT, MASTER

AGENTS: Final = ("agent1", "agent2", "agent3")
MASTERS: Final = ("master1", "master2", "master3")
KILLED: Final = (
    "agent1",
    "agent2",
    "agent3",
    "master1",
    "master2",
    "master3",
    "master1",
    "master2",
    "redis",
    "haproxy",
)
STOPPED: Final = (*AGENTS, *MASTERS, "redis", "haproxy")
WAYS: Final = ("clients", *AGENTS, "redis1", "redis2", "redis3")
HELD: Final = ("journaled", "polled", "claim_done", "result_answered", "submit_stored")
POINTS: Final = tuple(point for point in (*MASTER, *AGENT) if point != "tasks_added")
"""All but that of jobs that grow, which the checker, to which a job is a task, does not know."""
_JOINING: Final = frozenset({"join_done", "session_begun", "session_done"})
Lanes = dict[str, list[Fault]]


def plan(kills: int, rounds: int, others: int, points: Iterable[str], chance: random.Random) -> Lanes:
    """Faults by lane, in the order in which they are to happen; the faults of one lane come one after the other.

    `others`: how often each of the remaining kinds happens.
    """
    faults = [Fault("kill", KILLED[number % len(KILLED)]) for number in range(kills)]
    faults += [_crash(point, number) for point in points for number in range(rounds)]
    for number in range(others):
        faults += [Fault(kind, AGENTS[number % 3]) for kind in ("lose-out", "lose-back", "lose-both", "reset")]
        faults += [Fault(kind, WAYS[(number * 3 + at) % len(WAYS)]) for at, kind in enumerate(("slow", "cut", "deaf"))]
        faults.append(Fault("stop", STOPPED[number % len(STOPPED)]))
        faults += [_at("hold", HELD[number % len(HELD)], number), Fault("lapse", AGENTS[number % 3])]
    chance.shuffle(faults)
    return _lanes(faults)


def _crash(point: str, number: int) -> Fault:
    return _at("join" if point in _JOINING else "crash", point, number)


def _at(kind: str, point: str, number: int) -> Fault:
    parts = MASTERS if point in MASTER else AGENTS
    return Fault(kind, parts[number % 3], point)


def _lanes(faults: Iterable[Fault]) -> Lanes:
    """Programs, wires and proxies are in lanes of their own."""
    lanes: dict[str, list[Fault]] = defaultdict(list)
    for fault in faults:
        lanes[f"{_GROUP.get(fault.kind, 'program')} {fault.where}"].append(fault)
    return dict(lanes)


_GROUP: Final[Mapping[str, str]] = {
    **dict.fromkeys(("lose-out", "lose-back", "lose-both", "reset"), "wire"),
    **dict.fromkeys(("slow", "cut", "deaf", "lapse"), "proxy"),
}
