"""Questions about series, answered for one company at a time: find, render.

What could take long goes to a thread, few at once, and everything that grows with the question is counted against a
budget; so neither a wide pattern nor a deep target holds the reactor.
"""

from collections.abc import Callable, Coroutine, Iterable, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, Final, TypeVar

from msgspec import Struct
from twisted.internet.defer import CancelledError, Deferred

from deployer.errors import TooManyError
from deployer.kit.cancelling import shielded
from deployer.kit.threads import Threads
from deployer.kit.turns import Turns
from deployer.model.access import AgentSet
from deployer.model.graphite.budget import Budget
from deployer.model.graphite.catalog import Catalog
from deployer.model.graphite.evaluate import Known, Need, evaluate, needs
from deployer.model.graphite.expression import Node
from deployer.model.graphite.lines import MAX_POINTS, Line
from deployer.model.graphite.places import agent_of
from deployer.model.graphite.problems import TooMuchError
from deployer.model.series import Series, Source

MAX_SERIES: Final = 1000
"""That one request reads."""
MAX_REQUEST_POINTS: Final = 1_000_000
MAX_ROUNDS: Final = 8
"""Of planning: each window of so many points in a window of so many points is one."""
AT_ONCE: Final = 2
MAX_WAITING: Final = 64
"""Of one company."""
FEW: Final = 5000
"""Names or points."""
FEW_UNITS: Final = 5000
"""So little is tried in the reactor first, some milliseconds: most questions need no thread."""
MAX_CATALOGS: Final = 64

T = TypeVar("T")


class NoSource:
    """The `Source` of a master that keeps no series."""

    async def names(self, company: str) -> Sequence[str]:  # noqa: ARG002 (as in `Source`)
        """None."""
        return ()

    async def fetch(self, company: str, names: Sequence[str], start: int, end: int, points: int) -> list[Series]:  # noqa: ARG002
        """None."""
        return []


class Sight(Struct, frozen=True):
    """Whose series are seen: a company's, and of them only those of some agents where `agents` says so."""

    company: str
    agents: AgentSet = None

    def sees(self, name: str) -> bool:
        """Whether a series is there for them; series of no agent are for nobody who is limited to some."""
        if self.agents is None:
            return True
        return agent_of(name) in self.agents


class Question(Struct, frozen=True):
    """Targets and a time, from `start` until `end` in epoch seconds."""

    targets: Sequence[Node]
    start: int
    end: int


class Readings:
    """Answers from a store of series."""

    def __init__(self, source: Source, threads: Threads) -> None:
        self._source = source
        self._threads = threads
        self._turns = Turns(AT_ONCE)
        self._catalogs: dict[Sight, tuple[Sequence[str], Catalog]] = {}

    async def look(self, sight: Sight, work: Callable[[Catalog, Budget], T]) -> T:
        """What is found among the names of series."""
        catalog = await self._catalog(sight)
        return await self._done(sight.company, len(catalog.every), partial(work, catalog), Budget())

    async def render(self, sight: Sight, question: Question, finish: Callable[[list[list[Line]]], T]) -> T:
        """What `finish` makes of the series of each target. WrongTargetError for targets that cannot be answered."""
        budget = Budget()
        known = await self._known(sight, question, budget)
        points = sum(len(one.values) for found in known.values() for one in found)
        targets, start, end = question.targets, question.start, question.end

        def work(its: Budget) -> T:
            return finish([evaluate(target, start, end, known, its) for target in targets])

        return await self._done(sight.company, points, work, budget)

    async def worked(self, sight: Sight, targets: list[list[Line]], work: Callable[[list[list[Line]]], T]) -> T:
        """What more is to be made of series."""
        points = sum(len(line.values) for lines in targets for line in lines)
        return await self._done(sight.company, points, lambda _: work(targets), Budget())

    async def _known(self, sight: Sight, question: Question, budget: Budget) -> Known:
        """Everything that the targets need."""
        catalog = await self._catalog(sight)
        known: dict[Need, Sequence[Series]] = {}
        count = 0
        for _ in range(MAX_ROUNDS):
            missing = await self._done(sight.company, 0, partial(_missing, question, known), budget)
            if not missing:
                return known
            resolved = await self._done(sight.company, len(catalog.every), partial(_resolved, catalog, missing), budget)
            count += sum(map(len, resolved.values()))
            if count > MAX_SERIES:
                raise TooMuchError(f"{count} series are asked for, more than {MAX_SERIES}: narrow the pattern")
            known.update(await self._read(sight.company, resolved, budget))
        raise TooMuchError(f"windows of points are nested more than {MAX_ROUNDS - 1} deep: write them as times")

    async def _read(
        self, company: str, resolved: dict[Need, Sequence[str]], budget: Budget
    ) -> dict[Need, Sequence[Series]]:
        """Each series of each time once."""
        times = {(need.start, need.end) for need in resolved}
        wanted = {
            time: sorted({name for need, names in resolved.items() if (need.start, need.end) == time for name in names})
            for time in times
        }
        count = sum(map(len, wanted.values()))
        points = min(MAX_POINTS, MAX_REQUEST_POINTS // max(1, count))
        found: dict[tuple[int, int], dict[str, Series]] = {time: {} for time in times}
        for (start, end), names in wanted.items():
            if names and start < end:
                fetch = partial(self._source.fetch, company, names, start, end, points)
                series = await self._in_turn(company, fetch, budget)
                found[start, end] = {one.name: one for one in series}
        return {
            need: [its[name] for name in names if name in (its := found[need.start, need.end])]
            for need, names in resolved.items()
        }

    async def _catalog(self, sight: Sight) -> Catalog:
        names = await self._source.names(sight.company)
        cached = self._catalogs.pop(sight, None)
        if cached is None or cached[0] is not names:
            cached = names, Catalog(names, None if sight.agents is None else sight.sees)
        self._catalogs[sight] = cached  # the newest is the last
        if len(self._catalogs) > MAX_CATALOGS:
            del self._catalogs[next(iter(self._catalogs))]
        return cached[1]

    async def _done(self, company: str, size: int, work: Callable[[Budget], T], budget: Budget) -> T:
        """Here when it is little, else in a thread; few at once, since they share a processor. Companies take turns."""
        if size <= FEW:
            with suppress(TooMuchError):
                return work(Budget(min(FEW_UNITS, budget.left)))
        if self._turns.waiting(company) >= MAX_WAITING:
            raise TooManyError("too many questions about series wait: ask again later")
        return await self._in_turn(company, partial(self._threads.run, work, budget), budget)

    async def _in_turn(self, company: str, work: Callable[[], Coroutine[Any, Any, T]], budget: Budget) -> T:
        """What works in a thread; when who asked has left the turn is over only when the thread is."""
        async with self._turns.turn(company):
            working = Deferred.fromCoroutine(work())
            try:
                return await shielded(working)
            except CancelledError:
                budget.left = 0
                await working
                raise


def _missing(question: Question, known: Known, budget: Budget) -> list[Need]:
    """What is to be read before all targets can be evaluated."""
    wanted: Iterable[Need] = (
        need for target in question.targets for need in needs(target, question.start, question.end, known, budget)
    )
    return list(dict.fromkeys(need for need in wanted if need not in known))


def _resolved(catalog: Catalog, missing: Sequence[Need], budget: Budget) -> dict[Need, Sequence[str]]:
    """The names of each need."""
    return {
        need: catalog.tagged(need.conditions, budget) if need.conditions else catalog.series(need.pattern, budget)
        for need in missing
    }
