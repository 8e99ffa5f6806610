"""The audit logs in Redis: appended by compare-and-set, read from either end, and let go of from the oldest."""

import contextlib
from collections.abc import AsyncIterator, Sequence
from typing import Final

from msgspec import Struct

from deployer.errors import UnavailableError
from deployer.model.audit import Checker, Deed, Head, Link, Report, follow, read, start
from deployer.stores import keys, scripts
from deployer.stores.lease import Lease
from deployer.stores.redis import Redis

TRIES: Final = 100
"""So many other masters may be faster, one after the other."""

PAGE: Final = 500
LOCK_MS: Final = 60_000


class Stored(Struct, frozen=True):
    """An entry with its id in the stream."""

    id: str
    link: Link


class Audits:
    """The logs of all companies; `append` knows the heads that it wrote last."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._heads: dict[str, Head] = {}

    async def append(self, company: str, at: int, deeds: Sequence[Deed]) -> None:
        """Put deeds behind a company's log; when this returns they are stored. One call at a time for a company."""
        head, expected = await self._end(company)
        for _ in range(TRIES):
            after, links = follow(head, at, deeds)
            moved = await self._try(company, expected, after, links)
            if moved is None:
                self._heads[company] = after
                return
            head, expected = self._head(company, moved) or await self._last(company), moved
        raise UnavailableError("the audit log is written to by too many at once; try again in a moment")

    async def _end(self, company: str) -> tuple[Head, bytes]:
        """What the next entry follows, and what stands in Redis as the head."""
        known = self._heads.pop(company, None)
        if known is not None:
            return known, str(known).encode()
        raw: bytes = await self._redis.read("GET", keys.audit_head(company)) or b""
        return self._head(company, raw) or await self._last(company), raw

    async def _try(self, company: str, expected: bytes, after: Head, links: Sequence[Link]) -> bytes | None:
        """Append if the head is as expected; else what it is."""
        named = [keys.audit(company), keys.audit_head(company)]
        parts = [part for link in links for part in (link.text, link.hash)]
        answer = await self._redis.run(scripts.AUDIT, named, [expected, str(after), *parts])
        return None if answer[0] == b"OK" else answer[1]

    async def _last(self, company: str) -> Head:
        """Where the log goes on when its head is gone or damaged: behind the last entry that can be read."""
        for one in await self.newest(company, None, PAGE):
            with contextlib.suppress(ValueError):
                return Head.parse(f"{read(one.link.text).n}:{one.link.hash}")
        return start(company)

    async def head(self, company: str) -> Head | None:
        """How far the log goes; None where there is none."""
        return self._head(company, await self._redis.read("GET", keys.audit_head(company)))

    def _head(self, company: str, raw: bytes | None) -> Head | None:
        if not raw:
            return None
        return self._redis.damage.read(keys.audit_head(company), lambda text: Head.parse(text.decode()), raw)

    async def newest(self, company: str, before: str | None, count: int) -> list[Stored]:
        """Entries before an id of the stream, the newest first."""
        end = "+" if before is None else f"({before}"
        return _stored(await self._redis.read("XREVRANGE", keys.audit(company), end, "-", "COUNT", count))

    async def pages(self, company: str) -> AsyncIterator[list[Stored]]:
        """All entries, the oldest first."""
        after = "-"
        while page := _stored(await self._redis.read("XRANGE", keys.audit(company), after, "+", "COUNT", PAGE)):
            yield page
            after = f"({page[-1].id}"

    async def check(self, company: str) -> Report:
        """Whether each entry follows from the one before it. What is appended meanwhile is not looked at."""
        head = await self.head(company)
        checker = Checker(company)
        async for page in self.pages(company):
            known = [one.link for one in page if head is not None and _number(one) <= head.n]
            checker.take(known)
            if len(known) < len(page):
                break
        return checker.report(head)

    async def surplus(self, company: str, most: int) -> list[Stored]:
        """The oldest that are too many, some at a time."""
        count = min(await self._redis.call("XLEN", keys.audit(company)) - most, PAGE)
        if count <= 0:
            return []
        return _stored(await self._redis.read("XRANGE", keys.audit(company), "-", "+", "COUNT", count))

    async def forget(self, company: str, entries: Sequence[Stored]) -> None:
        """Let go of these, which are kept elsewhere now."""
        await self._redis.call("XDEL", keys.audit(company), *(one.id for one in entries))

    async def is_mine(self, owner: str) -> bool:
        """Whether this master is the one that exports for the next minute."""
        return await Lease(self._redis, keys.AUDITOR, owner, LOCK_MS).is_mine()


def _stored(found: list[tuple[bytes, list[bytes]]]) -> list[Stored]:
    return [Stored(raw_id.decode(), Link(fields[1], fields[3].decode())) for raw_id, fields in found]


def _number(stored: Stored) -> int:
    try:
        return read(stored.link.text).n
    except ValueError:
        return 0
