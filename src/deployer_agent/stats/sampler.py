"""Samples what the processes of many keys (tasks) consume, with everything that they have started.

What is seen comes from a source (`/proc` on Linux, psutil elsewhere), what it adds up to from `ledger` and `traffic`.
What cannot be seen is written there, in `sockets_posix` and in docs/agent.md.
"""

import sys
from collections import defaultdict
from collections.abc import Mapping, Sequence

from msgspec import Struct
from twisted.internet.defer import DeferredLock
from twisted.logger import Logger

from deployer.kit.clock import Clock
from deployer_agent.stats.ledger import NOTHING, Amounts, Ledger, plus
from deployer_agent.stats.pace import Pace
from deployer_agent.stats.source import Counts, Network, Roots, Sighting, Source
from deployer_agent.stats.traffic import Traffic
from deployer_agent.stats.usage import Consumption

_LEAST_S = 0.1
"""Rates of a key that is new are not told of a shorter time: the kernel counts in hundredths of seconds."""


class Account(Struct):
    """The sums of one key, and when it was sampled last."""

    traffic: Traffic
    amounts: Amounts = NOTHING
    at: float | None = None


class Sampler:
    """Samples again and again; a call during another one waits for it. Each user has one, with intervals of its own."""

    log = Logger()

    def __init__(self, clock: Clock, source: Source | None = None) -> None:
        self._clock = clock
        self._source = source or source_here()
        self._ledger = Ledger()
        self._accounts: dict[str, Account] = {}
        self._one = DeferredLock()
        self._told = False

    @property
    def counts(self) -> Counts:
        """What could not be looked at."""
        return self._source.counts

    @property
    def refused(self) -> bool:
        """Whether the system does not tell what connections carry; `net_…` then hold other namespaces' at most."""
        return self._source.refused

    async def sample(self, roots: Mapping[str, Sequence[int]]) -> Mapping[str, Consumption]:
        """What each key's processes consume now; keys that are not asked for any more are forgotten.

        Source of the pids: whoever started them. OSError when the system's list of processes cannot be read.
        """
        await self._one.acquire()
        try:
            return await self._sample(roots)
        finally:
            self._one.release()

    async def _sample(self, roots: Roots) -> Mapping[str, Consumption]:
        now = self._clock.seconds()
        looked = await self._source.look(roots, self._ledger.known(roots), Pace(self._clock))
        self._tell()
        grown = self._ledger.book(looked.sightings, looked.unreadable)
        members: defaultdict[str, list[Sighting]] = defaultdict(list)
        for one in looked.sightings:
            members[one.key].append(one)
        self._accounts = {key: self._accounts.get(key) or Account(Traffic()) for key in roots}
        return {
            key: _booked(account, members[key], grown.get(key, NOTHING), looked.networks.get(key), (now, looked.now_s))
            for key, account in self._accounts.items()
        }

    def _tell(self) -> None:
        if self._source.refused and not self._told:
            self._told = True
            self.log.warn("this system does not tell what connections carry: network traffic of processes reads 0")


def _booked(
    account: Account, members: list[Sighting], grown: Amounts, network: Network | None, now: tuple[float, float]
) -> Consumption:
    """Bring the account up to date. `now`: on the clock, and on the scale of starts."""
    carried = account.traffic.book(network) if network else (0, 0)
    account.amounts = plus(account.amounts, grown)
    passed, account.at = _passed(account.at, members, now), now[0]
    connections = network.connections if network else 0
    return consumption(account, members, connections, (*grown, *carried), passed)


def _passed(before: float | None, members: Sequence[Sighting], now: tuple[float, float]) -> float:
    """Over how many seconds the growth is spread; 0 when that cannot be said."""
    if before is not None:
        return now[0] - before
    age = now[1] - min((one.start for one in members), default=now[1])
    return age if age >= _LEAST_S else 0.0


def consumption(
    account: Account,
    members: Sequence[Sighting],
    connections: int,
    grown: tuple[int, int, int, int, int],
    passed: float,
) -> Consumption:
    """The sums, what stands now, and the rates. `grown`: milliseconds, bytes read, written, sent, received."""
    milliseconds, read_bytes, write_bytes = account.amounts
    sent, received = account.traffic.total
    rates = [amount / passed if passed > 0 else 0.0 for amount in grown]
    rss = vms = swap = threads = fds = processes = 0
    for one in members:
        if one.alive:
            rss, vms, swap = rss + one.rss, vms + one.vms, swap + one.swap
            threads, fds, processes = threads + one.threads, fds + one.fds, processes + 1
    return Consumption(
        passed_s=passed,
        cpu=rates[0] / 10,
        cpu_s=milliseconds / 1000,
        rss=rss,
        vms=vms,
        swap=swap,
        threads=threads,
        fds=fds,
        connections=connections,
        processes=processes,
        read_bytes=read_bytes,
        write_bytes=write_bytes,
        net_sent=sent,
        net_received=received,
        read_bytes_per_s=rates[1],
        write_bytes_per_s=rates[2],
        net_sent_per_s=rates[3],
        net_received_per_s=rates[4],
    )


def source_here() -> Source:
    """The best that this system has."""
    if sys.platform == "linux":
        from deployer_agent.stats.source_posix import ProcSource  # noqa: PLC0415 (not everywhere)

        return ProcSource()
    else:  # noqa: RET505 (a branch of its own, so that each platform's checker sees only one)
        from deployer_agent.stats.source_psutil import PsutilSource  # noqa: PLC0415 (not everywhere)

        return PsutilSource()
