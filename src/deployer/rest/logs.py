"""All logs of a company: searched page by page, exported, followed live."""

from collections.abc import AsyncIterator, Sequence
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta, Struct

from deployer.errors import MalformedError, TooManyError
from deployer.kit.clock import WallClock
from deployer.model.access import Caller, Permission
from deployer.protocol import levels
from deployer.protocol.getmsgs import GetMsgsArgs
from deployer.protocol.ids import AgentId, JobId
from deployer.protocol.messages import StoredMessage
from deployer.rest.agentlog import AgentLogs, AgentMessage
from deployer.rest.answers import Stream
from deployer.rest.endpoint import Reader, endpoint
from deployer.rest.loganswers import FORMATS, Format, LoggedMessage, logged
from deployer.rest.loghosts import LogHosts
from deployer.rest.moments import When, epoch_ms
from deployer.rest.paging import Cursor, Limit
from deployer.telemetry.loglines import Filter, Line, Place
from deployer.telemetry.logsearch import Found, LogSearch, Wanted
from deployer.telemetry.logtail import Batch, LogTail

EVENT_STREAM: Final = "text/event-stream"
USUAL: Final = 100
A_PART: Final = 1000
EXPORTED: Final = 1_000_000
"""Most messages of one export."""
FOLLOWED: Final = 50
"""So many live logs a user may have open at one master."""
KEPT: Final = "agent."
_Short = Annotated[str, Meta(max_length=128)]


class LogsQuery(Struct, frozen=True, forbid_unknown_fields=True, rename={"since": "from", "until": "to"}):
    """Which messages; what is left out is any.

    `text`: what a message has in it, whatever the case of its letters. `level`: levels, as `7-9` or `1,2`. `host`: a
    name, or an agent as `1:1`. `domain`, `name`: of the job or program. `job`: an id. `from`, `to`: when they came to
    the master, ISO 8601, or before now, as `-15m`. `order`: the newest first, or the oldest. `limit`: of a page (100),
    or of an export (a million).
    """

    text: Annotated[str, Meta(max_length=200)] = ""
    level: Annotated[str, Meta(max_length=100)] | None = None
    host: Annotated[str, Meta(max_length=255)] | None = None
    domain: _Short | None = None
    name: _Short | None = None
    job: JobId | None = None
    since: When | None = None
    until: When | None = None
    order: Literal["asc", "desc"] = "desc"
    limit: Limit | None = None
    cursor: Cursor | None = None


class LogsPage(Struct, frozen=True):
    """Some messages in the order asked for; `next`: where the following ones begin, null at the end.

    A page may hold fewer than `limit` and have a next. `left_out`: how many messages of these logs were thinned out by
    age or for room.
    """

    items: list[LoggedMessage]
    next: str | None
    left_out: int


class LogRoutes:
    """`/api/v1/logs`."""

    def __init__(self, search: LogSearch, tail: LogTail, hosts: LogHosts, kept: AgentLogs, wall: WallClock) -> None:
        self._search = search
        self._tail = tail
        self._hosts = hosts
        self._kept = kept
        self._wall = wall
        self._followers: dict[tuple[str, str], int] = {}

    @endpoint("GET", "/api/v1/logs", needs=Permission.READ, returns=LogsPage, query=LogsQuery, streams=True)
    async def search(self, caller: Caller, query: LogsQuery, reader: Reader) -> LogsPage | Stream:
        """A page, the newest first.

        Asked for as application/x-ndjson, text/csv or text/plain: all of them. As text/event-stream: what comes from
        now on, or from the place of `Last-Event-ID`; an event `dropped` tells how many a slow reader has not got. Where
        a search of one agent's messages has come to the end of what the master has, it goes on with what the agent
        keeps.
        """
        wanted = await self._wanted(caller, query)
        if EVENT_STREAM in reader.accept:
            await self._hosts.warm(caller.company)
            return self._live(caller, wanted, _place(reader.last_event_id or query.cursor))
        for media, form in FORMATS.items():
            if media in reader.accept:
                count = query.limit or EXPORTED
                place = _place(query.cursor)
                return Stream(f"{media}; charset=utf-8", self._export(caller.company, (wanted, place), form, count))
        if query.cursor is not None and query.cursor.startswith(KEPT):
            return await self._page_of_agent(caller, query, wanted)
        asked = msgspec.structs.replace(wanted, after=_place(query.cursor), count=query.limit or USUAL)
        found = await self._search.page(caller.company, asked)
        following = None if found.next is None else str(found.next)
        if following is None:
            following = await self._beyond(caller, asked, found)
        return LogsPage(await self._told(caller.company, found.lines), following, found.left_out)

    async def _wanted(self, caller: Caller, query: LogsQuery) -> Wanted:
        now = self._wall()
        try:
            since = epoch_ms("from", query.since, now)
            until = epoch_ms("to", query.until, now)
            its = None if query.level is None else levels.parse(query.level)
        except ValueError as error:
            raise MalformedError(f"in the query: {error}") from None
        if since is not None and until is not None and since > until:
            raise MalformedError("in the query: `from` is behind `to`")
        host = query.host
        wanted = Filter(
            levels=its,
            text=query.text,
            agents=None if host is None else await self._hosts.meant(caller, host),
            hosts=None if host is None else frozenset({host.casefold()}),
            allowed=None if caller.agents is None else frozenset(map(str, caller.agents)),
            job=query.job or "",
            domain=query.domain,
            name=query.name,
        )
        return Wanted(filter=wanted, since=since or 0, until=until, order=query.order)

    async def _told(self, company: str, found: Sequence[Line]) -> list[LoggedMessage]:
        names = await self._hosts.of(company, {one.message.agent for one in found})
        return [logged(one, names) for one in found]

    async def _export(
        self, company: str, asked: tuple[Wanted, Place | None], form: Format, count: int
    ) -> AsyncIterator[bytes]:
        """Page behind page."""
        top, write = form
        yield top
        wanted, place = asked
        while count > 0:
            found = await self._search.page(
                company, msgspec.structs.replace(wanted, after=place, count=min(count, A_PART))
            )
            yield b"".join([write(one) for one in await self._told(company, found.lines)])
            count -= len(found.lines)
            place = found.next
            if place is None:
                return

    def _live(self, caller: Caller, wanted: Wanted, after: Place | None) -> Stream:
        whose = (caller.company, caller.user)
        if self._followers.get(whose, 0) >= FOLLOWED:
            raise TooManyError(f"you follow logs {FOLLOWED} times at this master: end one of these streams", 10.0)
        batches = self._tail.follow(caller.company, wanted.filter, after)
        return Stream(EVENT_STREAM, self._counted(whose, batches))

    async def _counted(self, whose: tuple[str, str], batches: AsyncIterator[Batch]) -> AsyncIterator[bytes]:
        self._followers[whose] = self._followers.get(whose, 0) + 1
        try:
            yield b"retry: 1000\n\n"
            async for batch in batches:
                yield b"".join(batch.lines) + _dropped(batch.dropped) or b": ping\n\n"
        finally:
            await batches.aclose()  # type: ignore[attr-defined]  # a generator
            self._followers[whose] -= 1
            if not self._followers[whose]:
                del self._followers[whose]

    async def _beyond(self, caller: Caller, asked: Wanted, found: Found) -> str | None:
        """Where a search of one agent's messages goes on with what the agent keeps; None where it does not."""
        its = asked.filter.agents
        if asked.order != "desc" or its is None or len(its) != 1:
            return None
        (agent,) = its
        if not await self._hosts.is_online(caller.company, AgentId.parse(agent)):
            return None
        until = found.lines[-1].message.epoch if found.lines else asked.after.ms if asked.after else asked.until
        return f"{KEPT}{int(self._wall() * 1000) if until is None else until}"

    async def _page_of_agent(self, caller: Caller, query: LogsQuery, wanted: Wanted) -> LogsPage:
        """What the agent keeps from before a time on; `next` is that time again with the agent's own place."""
        its = wanted.filter.agents or frozenset()
        until, _, place = (query.cursor or "").removeprefix(KEPT).partition(".")
        if len(its) != 1 or not until.isdigit() or len(until) > 15 or (place and not place.isdigit()):  # noqa: PLR2004 (ms)
            raise MalformedError("this cursor was not made here")
        (agent,) = its
        if int(until) <= wanted.since:
            return LogsPage([], None, 0)
        args = GetMsgsArgs(
            jobid=query.job,
            timefrom=wanted.since or None,
            timeto=int(until) - 1,
            levels=query.level,
            domain=query.domain,
            name=query.name,
            limit=query.limit or USUAL,
            cursor=place or None,
        )
        found = await self._kept.search(caller, AgentId.parse(agent), args)
        lines = [_kept_line(one, agent) for one in found.items]
        told = await self._told(caller.company, [one for one in lines if wanted.filter.takes(one.message)])
        return LogsPage(told, None if found.next is None else f"{KEPT}{until}.{found.next}", 0)


def _kept_line(one: AgentMessage, agent: str) -> Line:
    message = StoredMessage(one.jobid or "", agent, one.level, one.id, one.epoch, one.data, 0, one.flags)
    return Line(Place(one.epoch, 0, "00000000", 0), one.domain, one.name, message)


def _dropped(count: int) -> bytes:
    return b'event: dropped\ndata: {"count":%d}\n\n' % count if count else b""


def _place(text: str | None) -> Place | None:
    try:
        return None if text is None else Place.parse(text)
    except ValueError as error:
        raise MalformedError(str(error)) from None
