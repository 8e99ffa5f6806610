"""Which series a company has: a hash in Redis, so that all masters know the same, held here as long as it is current.

A field is `<how>:<day>`: how values of the series are merged, and the day (since the epoch) on which it was last fed.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Final, cast, get_args

from twisted.logger import Logger

from deployer.model.foreign import RESERVED
from deployer.protocol.stats import How
from deployer.stores import keys, scripts
from deployer.stores.redis import Redis

A_CALL: Final = 500
"""Series of one call: some milliseconds of Redis'."""
_HOWS: Final = frozenset(get_args(How))


class _Known:
    """The series of a company as of a version."""

    def __init__(self) -> None:
        self.version = -1
        self.fields: dict[str, tuple[How, int]] = {}
        self.names: tuple[str, ...] = ()


class Index:
    """Admits series up to a number for each company, and lists them.

    Names that others choose (statsd, Graphite, InfluxDB's lines) may take four fifths of the room: however many there
    are, a new agent has its own. `overflow`: those that found no room, counted each time.
    """

    log = Logger()

    def __init__(self, redis: Redis, most: int) -> None:
        self._redis = redis
        self._most = most
        self._known: dict[str, _Known] = {}
        self._told: dict[str, int] = {}
        self.overflow = 0

    async def admit(self, company: str, hows: Mapping[str, How], day: int) -> dict[str, How]:
        """Those of the series that have room, with how their values are merged: what their first source has said."""
        known = await self._current(company)
        unseen = [(name, how) for name, how in hows.items() if known.fields.get(name, ("", 0))[1] < day]
        refused: set[str] = set()
        for most, its in ((self._most, _own(unseen)), (self._most * 4 // 5, _foreign(unseen))):
            for part in _parts(its, A_CALL):
                refused |= await self._tell(company, part, most, day)
        if refused:
            self._note(company, len(refused), day)
        if refused or unseen:
            known = await self._current(company)
        return {name: known.fields[name][0] if name in known.fields else hows[name] for name in hows.keys() - refused}

    def _note(self, company: str, count: int, day: int) -> None:
        """Say so once a day: it goes on with every slot."""
        self.overflow += count
        if self._told.get(company) != day:
            self._told[company] = day
            self.log.error(
                "ALERT: company {company} has no room for more series: {count} are not stored (series_per_company)",
                company=company,
                count=count,
            )

    async def _tell(self, company: str, part: Sequence[tuple[str, How]], most: int, day: int) -> set[str]:
        arguments = [text for one in part for text in one]
        answer = await self._redis.run(scripts.SERIES, [keys.series(company)], [most, day, *arguments])
        refused = {part[int(index) - 1][0] for index in answer[1:]}
        self._learn(company, part, refused, int(answer[0]), day)
        return refused

    def _learn(self, company: str, part: Sequence[tuple[str, How]], refused: set[str], version: int, day: int) -> None:
        """What was told is known here too, unless others have told something in between."""
        known = self._known[company]
        fresh = [(name, how) for name, how in part if name not in refused and name not in known.fields]
        if version != known.version + bool(fresh):
            known.version = -1
            return
        for name, how in part:
            if name not in refused:
                known.fields[name] = (known.fields.get(name, (how, 0))[0], day)
        known.version = version
        if fresh:
            known.names = ()

    async def names(self, company: str) -> Sequence[str]:
        """All series, sorted; the same object as long as nothing has changed."""
        known = await self._current(company)
        if not known.names and known.fields:
            known.names = tuple(sorted(known.fields))
        return known.names

    async def hows(self, company: str, names: Iterable[str]) -> dict[str, How]:
        """How values of those series are merged that are known, in the order asked for."""
        fields = (await self._current(company)).fields
        return {name: fields[name][0] for name in names if name in fields}

    async def forget(self, company: str, before: int) -> list[str]:
        """Let go of some that were last fed before a day; which."""
        known = await self._current(company)
        old = list(islice((name for name, (_, day) in known.fields.items() if day < before), A_CALL))
        if not old:
            return []
        gone = await self._redis.run(scripts.DROP_SERIES, [keys.series(company)], [before, *old])
        known.version = -1
        return [raw.decode() for raw in gone]

    async def _current(self, company: str) -> _Known:
        known = self._known.setdefault(company, _Known())
        key = keys.series(company)
        raw = await self._redis.read("GET", f"{key}:version")
        version = int(raw) if raw is not None and raw.isdigit() else 0
        if version != known.version:
            found = await self._redis.read("HGETALL", key)
            known.fields = dict(_fields(found or []))
            known.names = ()
            known.version = version
        return known


def _fields(found: Sequence[bytes]) -> Iterator[tuple[str, tuple[How, int]]]:
    """What is no field of ours is passed over: it is written anew when it is next fed."""
    for raw, field in zip(found[::2], found[1::2], strict=True):
        how, _, day = field.decode("ascii", "replace").partition(":")
        name = raw.decode("utf-8", "replace")
        if how in _HOWS and day.isdigit() and "\ufffd" not in name:
            yield name, (cast("How", how), int(day))


def _own(named: Sequence[tuple[str, How]]) -> list[tuple[str, How]]:
    return [one for one in named if one[0].partition(".")[0] in RESERVED]


def _foreign(named: Sequence[tuple[str, How]]) -> list[tuple[str, How]]:
    return [one for one in named if one[0].partition(".")[0] not in RESERVED]


def _parts(items: Sequence[tuple[str, How]], most: int) -> Iterator[Sequence[tuple[str, How]]]:
    for first in range(0, len(items), most):
        yield items[first : first + most]
