"""A job's log: pages, or Server-Sent Events that go on from `Last-Event-ID` on any master."""

from collections.abc import AsyncIterator, Sequence

import msgspec
from msgspec import Struct

from deployer.errors import MalformedError, NotFoundError
from deployer.model.access import Caller, Permission
from deployer.protocol.messages import FLAGS, category
from deployer.protocol.times import iso
from deployer.rest.agentlog import PREFIX, AgentLogs
from deployer.rest.answers import Stream
from deployer.rest.endpoint import Reader, endpoint
from deployer.rest.jobanswers import job_answer
from deployer.rest.jobsight import known_id, require_seen
from deployer.rest.paging import PageQuery
from deployer.stores.jobs import JobRecord, Jobs
from deployer.telemetry.joblog import LONGEST_NUMBER, START, Batch, JobLogs, Line, Position

EVENT_STREAM = "text/event-stream"


class LogItem(Struct, frozen=True):
    """One message as clients see it; `at` is `epoch` (ms) as ISO 8601.

    `category`: of log messages (levels 5 and 6), `unknown` when they name none. `flags`: `cut` when the line goes on
    with the next message, `unfinished` when a block was not ended.
    """

    agent: str
    jobdomain: str
    jobname: str
    epoch: int
    at: str
    level: int
    id: int
    data: str
    category: str | None
    flags: list[str]


class LogPage(Struct, frozen=True):
    """Some messages, oldest first, and where the next ones begin; null at the end of what is there."""

    items: list[LogItem]
    next: str | None


class _Labels(Struct, frozen=True):
    """What all messages of a job share."""

    domain: str = ""
    name: str = ""


class JobLogRoutes:
    """`/api/v1/jobs/<job>/log`."""

    def __init__(self, jobs: Jobs, logs: JobLogs, kept_logs: AgentLogs) -> None:
        self._kept_logs = kept_logs
        self._jobs = jobs
        self._logs = logs

    @endpoint("GET", "/api/v1/jobs/<job>/log", needs=Permission.READ, returns=LogPage, query=PageQuery, streams=True)
    async def show(self, caller: Caller, job: str, query: PageQuery, reader: Reader) -> LogPage | Stream:
        """A page, or, asked for as text/event-stream, all from the given place on until the job has ended.

        Where the master's share of a log ends, the pages go on with what the agent keeps; a stream does not.
        """
        record = await self._jobs.job(caller.company, known_id(job))
        require_seen(caller, record)
        labels = _labels(record)
        if query.cursor is not None and query.cursor.startswith(PREFIX):
            return await self._kept(caller, record, query, labels)
        after = _place(reader.last_event_id or query.cursor)
        if EVENT_STREAM in reader.accept:
            return Stream(EVENT_STREAM, _events(self._logs.follow(caller.company, job, after), labels))
        found = await self._logs.page(caller.company, job, after, query.limit + 1)
        page = found[: query.limit]
        if len(found) > query.limit:
            return LogPage([_item(one, labels) for one in page], str(page[-1].at))
        return LogPage([_item(one, labels) for one in page], await self._rest(caller, record, page))

    async def _rest(self, caller: Caller, record: JobRecord, page: Sequence[Line]) -> str | None:
        """Where the log goes on with the agent, when the master's share was not all of it."""
        if record.damaged:
            return None
        agent = record.document.agent
        if agent is None or record.document.is_batch:  # each of several agents keeps its own
            return None
        try:
            task = await self._jobs.task(caller.company, record.document.id, agent)
        except NotFoundError:  # it is still to be made
            return None
        if not task.log_dropped:
            return None
        return f"{PREFIX}{page[-1].message.seq if page else 0}"

    async def _kept(self, caller: Caller, record: JobRecord, query: PageQuery, labels: _Labels) -> LogPage:
        """What the agent keeps of a job's log."""
        after = (query.cursor or "").removeprefix(PREFIX)
        if not (after.isascii() and after.isdigit() and len(after) <= LONGEST_NUMBER):
            raise MalformedError("this cursor was not made here")
        found = await self._kept_logs.page(caller, record, int(after), query.limit)
        items = [
            LogItem(
                record.document.target,
                labels.domain,
                labels.name,
                one.epoch,
                iso(one.epoch),
                one.level,
                one.id,
                one.data,
                category(one.level, one.data),
                _flags(one.flags),
            )
            for one in found.items
        ]
        return LogPage(items, None if found.next is None else f"{PREFIX}{found.next}")


def _labels(record: JobRecord) -> _Labels:
    try:
        return msgspec.json.decode(bytes(record.document.args), type=_Labels)
    except msgspec.ValidationError:  # a damaged record may say anything
        return _Labels()


async def _events(batches: AsyncIterator[Batch], labels: _Labels) -> AsyncIterator[bytes]:
    yield b"retry: 1000\n\n"
    async for batch in batches:
        if batch.lines:
            yield b"".join([_event(line, labels) for line in batch.lines])
        elif batch.job is not None:
            yield b"event: end\ndata: %b\n\n" % _encode(job_answer(batch.job))
        else:
            yield b": ping\n\n"


def _event(line: Line, labels: _Labels) -> bytes:
    return b"id: %b\ndata: %b\n\n" % (str(line.at).encode(), _encode(_item(line, labels)))


def _item(line: Line, labels: _Labels) -> LogItem:
    message = line.message
    return LogItem(
        message.agent,
        labels.domain,
        labels.name,
        message.epoch,
        iso(message.epoch),
        message.level,
        message.id,
        message.data,
        category(message.level, message.data),
        _flags(message.flags),
    )


def _flags(flags: int) -> list[str]:
    return [name for flag, name in FLAGS.items() if flags & flag]


def _place(text: str | None) -> Position:
    if text is None:
        return START
    try:
        return Position.parse(text)
    except ValueError as error:
        raise MalformedError(str(error)) from None


_encode = msgspec.json.Encoder().encode
