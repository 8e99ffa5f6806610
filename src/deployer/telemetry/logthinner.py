"""Logs grow thinner with age and keep within their bytes: `model.thinning` says how, one master at a time does it."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

import msgspec
from msgspec import Raw, Struct

from deployer.model.thinning import KEPT, NOTHING, Schedule, surplus, survivors, victim
from deployer.stores.lease import Lease
from deployer.stores.logs import LogEntry, Logs, Moved

A_MOVE: Final = 16
"""Entries of one call: each has at most some hundred kB."""
IN_A_ROW: Final = 8
"""So often the largest stream pays before it is looked which one is the largest now."""
STREAMS: Final = 100
LOOK_ROUNDS: Final = 600
"""Some ten minutes, while nothing is to be done."""
MOVES: Final = 200
"""Of one company in a round."""


class _Levelled(Struct):
    level: int = 0


class LogThinner:
    """Works in rounds. `left_out`: messages that went since the start; `bytes`: what went with them."""

    def __init__(
        self,
        logs: Logs,
        lease: Lease,
        companies: Callable[[], Awaitable[Sequence[str]]],
        schedule: Schedule,
        most_bytes: int,
    ) -> None:
        self._logs = logs
        self._lease = lease
        self._companies = companies
        self._schedule = schedule
        self._most = most_bytes
        self._indexed: set[str] = set()
        self._rounds: dict[str, int] = {}
        self.left_out = 0
        self.bytes = 0

    async def round(self) -> bool:
        """Do some of it for each company; whether there may be more."""
        if not await self._lease.is_mine():
            return False
        moves = 0
        for company in await self._companies():
            if company not in self._indexed:
                await self._logs.index(company)
                self._indexed.add(company)
            moves = max(moves, await self._age(company), await self._trim(company))
        return moves > 0

    async def let_go(self) -> None:
        """Another master may go on."""
        await self._lease.let_go()

    async def _age(self, company: str) -> int:
        """Move what has become old enough; how many moves that were."""
        now, moves = await self._logs.now(), 0
        for tier in reversed(range(KEPT)):  # what is older moves first: entries of a tier stay in order
            before = now - self._schedule.limit_ms(tier)
            for stream in await self._logs.due(company, tier, before, STREAMS):
                if moves >= MOVES:
                    return moves
                entries = await self._logs.oldest(stream, tier, before, A_MOVE)
                to = self._schedule.next_tier(tier)
                await self._move(company, stream, (tier, to), entries, self._schedule.every(to))
                moves += 1
        return moves

    async def _trim(self, company: str) -> int:
        """Let go of what there is no room for; how many moves that were."""
        if not await self._may_be_over(company):
            return 0
        for moves in range(0, MOVES, IN_A_ROW):
            open_, kept = await self._logs.sizes(company)
            chosen = victim(open_, kept, self._most)
            if chosen is None:
                return moves
            over = sum(open_.values()) + sum(kept.values()) - self._most
            less = self._let_go_of if chosen.part == "kept" else self._keep_less
            for _ in range(IN_A_ROW):
                if over > 0:
                    over -= await less(company, chosen.stream, over)
        return MOVES

    async def _may_be_over(self, company: str) -> bool:
        """Whether streams are to be looked at: when they are too large together, and now and then all the same."""
        rounds = self._rounds[company] = (self._rounds.get(company, -1) + 1) % LOOK_ROUNDS
        total = await self._logs.total(company)
        return rounds == 0 or total is None or total > self._most

    async def _keep_less(self, company: str, stream: str, over: int) -> int:
        """Of the oldest that is open only what is protected stays; the bytes that went."""
        for tier in reversed(range(KEPT)):
            entries = await self._logs.oldest(stream, tier, None, A_MOVE)
            if entries:
                some = entries[: surplus([len(one.messages) for one in entries], over)]
                return await self._move(company, stream, (tier, KEPT), some, NOTHING)
        return await self._logs.forget(company, stream, "open")  # nothing is there

    async def _let_go_of(self, company: str, stream: str, over: int) -> int:
        entries = await self._logs.oldest(stream, KEPT, None, A_MOVE)
        some = entries[: surplus([len(one.messages) for one in entries], over)]
        moved = [Moved(one.id, b"", (), len(_levels(one))) for one in some]
        if not moved:
            return await self._logs.forget(company, stream, "kept")
        return await self._tell(company, stream, (KEPT, KEPT), moved)

    async def _move(
        self, company: str, stream: str, tiers: tuple[int, int], entries: Sequence[LogEntry], every: int
    ) -> int:
        return await self._tell(company, stream, tiers, [_thinned(one, every) for one in entries])

    async def _tell(self, company: str, stream: str, tiers: tuple[int, int], moved: Sequence[Moved]) -> int:
        gone = await self._logs.move(company, stream, tiers, moved)
        self.bytes += gone
        self.left_out += sum(one.left for one in moved)
        return gone


def _thinned(entry: LogEntry, every: int) -> Moved:
    """What stays of an entry. What is no list of messages was written by somebody else, and goes."""
    levels = _levels(entry)
    stay = survivors(entry.id, levels, every)
    if not stay:
        return Moved(entry.id, b"", (), max(1, len(levels)))
    if len(stay) == len(levels):
        return Moved(entry.id, entry.messages, [place for place, _ in levels], 0)
    texts = _raws(entry.messages)
    return Moved(
        entry.id,
        b"[%b]" % b",".join(bytes(texts[number]) for number in stay),
        [levels[number][0] for number in stay],
        len(levels) - len(stay),
    )


def _levels(entry: LogEntry) -> list[tuple[int, int]]:
    try:
        found = _levelled(entry.messages)
    except (msgspec.DecodeError, RecursionError):
        return []
    places = range(len(found)) if entry.places is None or len(entry.places) != len(found) else entry.places
    return [(place, one.level) for place, one in zip(places, found, strict=True)]


_levelled: Any = msgspec.json.Decoder(list[_Levelled]).decode
_raws: Any = msgspec.json.Decoder(list[Raw]).decode
