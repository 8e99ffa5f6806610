"""What happens in a company: one stream of events, which is resumed on any master."""

import re
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta, Struct

from deployer.errors import MalformedError, NotFoundError, TooManyError
from deployer.model.access import Caller, Permission
from deployer.model.events import is_wanted, unknown
from deployer.protocol.ids import AgentId
from deployer.protocol.times import iso
from deployer.rest.answers import Stream
from deployer.rest.endpoint import Reader, endpoint
from deployer.rest.jobsight import is_seen
from deployer.rest.moments import Moment, Span
from deployer.rest.paging import Cursor, Limit
from deployer.rest.references import AgentReference, JobReference, job_reference
from deployer.stores.events import START, Event
from deployer.stores.jobs import Jobs
from deployer.telemetry.eventfeed import EventFeed

EVENT_STREAM: Final = "text/event-stream"
KNOWN_JOBS: Final = 1000
STREAMS: Final = 50
"""So many streams a user may have at once at one master."""
_PLACE: Final = re.compile(r"[0-9]{1,15}-[0-9]{1,10}", re.ASCII)


class EventAnswer(Struct, frozen=True, kw_only=True):
    """Something that has happened. `agent`, `job`, `task` (its id): what it was about, which is `subject` as a text."""

    id: str
    at: str
    type: str
    state: str
    subject: str
    agent: AgentReference | None
    job: JobReference | None
    task: str | None


class EventPage(Struct, frozen=True):
    """Some events, and where the next ones begin."""

    items: list[EventAnswer]
    next: str | None


class EventsQuery(Struct, frozen=True, forbid_unknown_fields=True, rename={"since": "from", "until": "to"}):
    """How many, from where. `type`: as `task.state`, or `job` for all of its kind; several with commas between.

    `sort`: the oldest first, or the newest.
    """

    limit: Limit = 100
    cursor: Cursor | None = None
    since: Moment | None = None
    until: Moment | None = None
    type: Annotated[str, Meta(pattern=r"^[a-z.,]{1,200}\Z")] | None = None
    sort: Literal["id", "-id"] = "id"

    def is_within(self, event: Event) -> bool:
        """Whether an event is not behind the end that its list comes to: `to`, or `from` where the newest are first."""
        span = Span.of(self)
        if self.sort == "-id":
            return span.since is None or event.at >= int(span.since.timestamp() * 1000)
        return span.until is None or event.at < span.until.timestamp() * 1000

    def takes(self, kind: str) -> bool:
        """Whether events of this type are asked for."""
        return self.type is None or is_wanted(self.type.split(","), kind)


class EventRoutes:
    """`/api/v1/events`."""

    def __init__(self, feed: EventFeed, jobs: Jobs) -> None:
        self._feed = feed
        self._jobs = jobs
        self._open: Counter[tuple[str, str]] = Counter()

    @endpoint("GET", "/api/v1/events", needs=Permission.READ, returns=EventPage, query=EventsQuery, streams=True)
    async def list_all(self, caller: Caller, query: EventsQuery, reader: Reader) -> EventPage | Stream:
        """A page, or, asked for as text/event-stream, all from now on, or from the place of `Last-Event-ID`.

        A page may hold fewer than `limit` and have a next. An event `gap` in a stream tells that some were gone.
        """
        if query.type is not None and (trouble := unknown(query.type.split(","))) is not None:
            raise MalformedError(f"in the query: type: {trouble}")
        eyes = Eyes(caller, self._jobs)
        if EVENT_STREAM in reader.accept:
            if query.sort != "id":
                raise MalformedError("in the query: sort: what comes is told in the order in which it comes")
            place = _place(reader.last_event_id or query.cursor, query)
            if self._open[caller.company, caller.user] >= STREAMS:
                raise TooManyError(f"you follow events {STREAMS} times at this master: end one of these streams", 10.0)
            return Stream(EVENT_STREAM, self._counted(caller, self._stream(caller.company, place, query, eyes)))
        place = _place(query.cursor, query)
        if query.sort == "-id":
            page = await self._feed.newest(caller.company, place or "", query.limit)
        else:
            page = await self._feed.page(caller.company, place or START, query.limit)
        within = [one for one in page.events if query.is_within(one)]
        more = page.entries == query.limit and len(within) == len(page.events)
        return EventPage(await _answers(within, query, eyes), page.place if more else None)

    async def _counted(self, caller: Caller, chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        whose = (caller.company, caller.user)
        self._open[whose] += 1
        try:
            async for chunk in chunks:
                yield chunk
        finally:
            await chunks.aclose()  # type: ignore[attr-defined]  # a generator
            self._open[whose] -= 1
            if not self._open[whose]:
                del self._open[whose]

    async def _stream(self, company: str, place: str | None, query: EventsQuery, eyes: "Eyes") -> AsyncIterator[bytes]:
        begin = await self._feed.last(company) if place is None else place
        yield b"retry: 1000\nid: %b\n\n" % begin.encode()  # who is lost before the first event goes on here, too
        if place is not None and await self._feed.is_gap(company, place):
            yield b"event: gap\ndata: {}\n\n"
        async for found in self._feed.follow(company, begin):
            chunk = b"".join([_chunk(one) for one in await _answers(found, query, eyes)])
            yield chunk or b": ping\n\n"


class Eyes:
    """What of the events one caller sees: those about agents that it may use, and about jobs on these."""

    def __init__(self, caller: Caller, jobs: Jobs) -> None:
        self._caller = caller
        self._jobs = jobs
        self._known: dict[str, bool] = {}

    async def see(self, event: Event) -> bool:
        """Whether there is such an event for this caller."""
        if self._caller.agents is None:
            return True
        if (agent := _agent(event)) is not None:
            return self._caller.sees(agent)
        return event.type.startswith("job.") and await self._sees_job(event.subject)

    async def _sees_job(self, job: str) -> bool:
        if job not in self._known:
            if len(self._known) >= KNOWN_JOBS:
                self._known.clear()
            try:
                self._known[job] = is_seen(self._caller, await self._jobs.job(self._caller.company, job))
            except NotFoundError:
                self._known[job] = False
        return self._known[job]


async def _answers(found: Sequence[Event], query: EventsQuery, eyes: Eyes) -> list[EventAnswer]:
    return [event_answer(one) for one in found if query.takes(one.type) and await eyes.see(one)]


def event_answer(event: Event) -> EventAnswer:
    """An event as clients see it."""
    agent, job = _agent(event), _job(event)
    return EventAnswer(
        id=event.id,
        at=iso(event.at),
        type=event.type,
        state=event.state,
        subject=event.subject,
        agent=None if agent is None else AgentReference.to(agent),
        job=None if job is None else job_reference(job),
        task=event.subject.partition("@")[0] if event.type.startswith("task.") else None,
    )


def _agent(event: Event) -> AgentId | None:
    kind = event.type.partition(".")[0]
    if kind not in {"agent", "task"}:
        return None
    try:
        return AgentId.parse(event.subject.rpartition("@")[2])
    except ValueError:
        return None


def _job(event: Event) -> str | None:
    kind = event.type.partition(".")[0]
    return event.subject.partition("@")[0].partition(":")[0] if kind in {"job", "task"} else None


def _chunk(answer: EventAnswer) -> bytes:
    return b"id: %b\nevent: %b\ndata: %b\n\n" % (answer.id.encode(), answer.type.encode(), _encode(answer))


_encode = msgspec.json.Encoder().encode


def _place(text: str | None, query: EventsQuery) -> str | None:
    """Behind which event to begin; None: not said."""
    if text is None and query.sort == "-id":
        until = Span.of(query).until
        return None if until is None else f"{max(int(until.timestamp() * 1000), 0)}-0"
    if text is None:
        since = Span.of(query).since
        return None if since is None else f"{max(int(since.timestamp() * 1000) - 1, 0)}-{2**32}"
    if _PLACE.fullmatch(text) is None:
        raise MalformedError("this place is none of this stream's")
    return text
