"""The asynchronous client: the methods of the synchronous one as `async def`, on treq in Twisted's reactor.

    client = AsyncClient("http://127.0.0.1:8966", token)
    job = await client.submit("execute", {"cmd": "/bin/echo", "args": ["hi"]}, target="1:1")
    async for message in client.log(job.id, follow=True): ...
    task = [task async for task in client.tasks(job.id)][0]
    host = await client.link(await client.link(task, "agent"), "host")

Lists are asynchronous iterators. What comes are records (`deployer.client.records`); `link` fetches what one refers to.
Errors, and what is tried again, are those of the synchronous client.
"""

import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import aclosing
from typing import Any, Final, Protocol, TypeVar

from deployer.client.answers import items_of, read_event, read_logged, read_news
from deployer.client.errors import ApiError, ClientError, Unreachable
from deployer.client.links import gone, href_of, is_page, noun_of, place_of
from deployer.client.records import Agent, AgentStats, Document, Dropped, Ended, Host, Job, Message, Process, Task
from deployer.client.requests import (
    JOBS,
    LOGS,
    LOST_IN_A_ROW,
    PAGE,
    end_of,
    events_path,
    job_body,
    job_path,
    longest_wait_s,
    new_id,
    rerun_body,
    rerun_path,
    share_s,
    stats_path,
    stream_headers,
    with_query,
)
from deployer.client.sse import Event, Parser
from deployer.client.tail import Tail
from deployer.client.treqtransport import LOST, Pause, TreqTransport

F = TypeVar("F")
Record = Job | Task | Agent | Host | Process
_KINDS: Final[Mapping[str, type[Record]]] = {
    "jobs": Job,
    "jobs/tasks": Task,
    "agents": Agent,
    "hosts": Host,
    "processes": Process,
}


class _Referring(Protocol):
    @property
    def document(self) -> Document: ...


class AsyncClient:
    """One master, or a balancer in front of several, seen by one user.

    `reactor`: Twisted's default one without it; `agent`: an IAgent of yours, in the place of `ca_file`.
    """

    def __init__(
        self,
        url: str,
        token: str,
        ca_file: str | None = None,
        timeout_s: float = 45.0,
        *,
        patience_s: float = 5.0,
        reactor: Any = None,
        agent: Any = None,
        pause: Pause | None = None,
    ) -> None:
        most_s = max(timeout_s, 1.0)
        self._transport = TreqTransport(
            url, token, ca_file, timeout_s=most_s, patience_s=patience_s, reactor=reactor, agent=agent, pause=pause
        )
        self._wait_s = longest_wait_s(timeout_s)

    async def close(self) -> None:
        """Drop the connections."""
        await self._transport.close()

    async def submit(
        self,
        cmd: str,
        args: Mapping[str, Any],
        *,
        target: str,
        data: str = "",
        job_id: str | None = None,
        **more: Any,
    ) -> Job:
        """Ask for a job; `more` are further fields of it. The same id and body again are the same job."""
        body = job_body(cmd, args, target=target, data=data, job_id=job_id, more=more)
        return Job.read(await self._transport.ask("POST", JOBS, body=body))

    async def rerun(self, job_id: str, *, new_id: str | None = None) -> Job:
        """Run again what has failed of a job: a new job. The same `new_id` again is the same new job."""
        body = rerun_body(new_id)
        return Job.read(await self._transport.ask("POST", rerun_path(job_id), body=body))

    async def job(self, job_id: str, wait_s: int | None = None) -> Job:
        """The job now, or when it is final within `wait_s` seconds."""
        return Job.read(await self._transport.ask("GET", job_path(job_id), {"wait": wait_s}))

    async def wait(self, job_id: str, timeout_s: float | None = None) -> Job:
        """The job when it is final, or as it is after `timeout_s` seconds; a master may go away meanwhile."""
        end = end_of(timeout_s, time.monotonic())
        job = await self.job(job_id, self._share(end))
        fruitless = 0
        while not job.final and time.monotonic() < end:
            try:
                job = await self.job(job_id, self._share(end))
                fruitless = 0
            except Unreachable:
                fruitless += 1
                if fruitless == LOST_IN_A_ROW:
                    raise
        return job

    def _share(self, end: float) -> int:
        return share_s(end, time.monotonic(), self._wait_s)

    async def cancel(self, job_id: str) -> Job:
        """End the job: what has not started never starts, what runs is killed."""
        return Job.read(await self._transport.ask("DELETE", job_path(job_id)))

    async def jobs(self, *, limit: int = 100, **asked: str | None) -> AsyncIterator[Job]:
        """The newest jobs by `state`, `user`, `cmd`, `target`, `schedule` …, at most `limit`."""
        async for item in self.items(JOBS, limit, **asked):
            yield Job.read(item)

    async def tasks(self, job_id: str) -> AsyncIterator[Task]:
        """All tasks of a job."""
        async for item in self.items(job_path(job_id) + "/tasks"):
            yield Task.read(item)

    async def agents(self, **asked: str | None) -> AsyncIterator[Agent]:
        """Agents by `state`, `name`, `role`, `labels`, `rack` …, in the order of `sort`; what is left out is any."""
        async for item in self.items("/api/v1/agents", None, **asked):
            yield Agent.read(item)

    async def agent_stats(self, agent: str) -> AgentStats:
        """What the host and the processes of one agent (`gid:nid`) consume now."""
        return AgentStats.read(await self._transport.ask("GET", stats_path(agent)))

    async def hosts(self, **asked: str | None) -> AsyncIterator[Host]:
        """Hosts, as agents are asked for."""
        async for item in self.items("/api/v1/hosts", None, **asked):
            yield Host.read(item)

    async def processes(
        self,
        *,
        state: str | None = None,
        gid: int | None = None,
        nid: int | None = None,
        domain: str | None = None,
        name: str | None = None,
        user: str | None = None,
        job: str | None = None,
    ) -> AsyncIterator[Process]:
        """What runs on the agents and what it consumes (`state` "ended": what has run); what is left out is any."""
        asked = {"state": state, "gid": gid, "nid": nid, "domain": domain, "name": name, "user": user, "job": job}
        async for item in self.items("/api/v1/processes", None, **asked):
            yield Process.read(item)

    async def log(self, job_id: str, *, follow: bool = False) -> AsyncGenerator[Message | Dropped, None]:
        """What a job has put out, oldest first; with `follow` until its log is complete."""
        if not follow:
            async for item in self.items(job_path(job_id) + "/log"):
                yield Message.read(item)
            return
        async with aclosing(self.follow(job_id)) as events:
            async for event in events:
                if not isinstance(event, Ended):
                    yield event

    async def follow(self, job_id: str) -> AsyncGenerator[Message | Dropped | Ended, None]:
        """What a job puts out as it comes, and at last the job; taken up again where a connection was lost."""
        path, tail = job_path(job_id) + "/log", Tail(f"the log of {job_id}")
        found: AsyncGenerator[Message | Dropped | Ended, None] = self._followed(path, tail, read_event)
        async with aclosing(found) as events:
            async for event in events:
                yield event

    async def events(self, *types: str, after: str = "") -> AsyncGenerator[Document, None]:
        """What happens from now on, or behind the event `after`, of these types (`job`: all of its kind), for ever."""
        tail = Tail("the stream of events", after)
        async with aclosing(self._followed(events_path(types), tail, read_news)) as events:
            async for event in events:
                yield event

    def logs(
        self, *, limit: int | None = 100, since: str | None = None, **asked: str | None
    ) -> AsyncIterator[Document]:
        """Messages of all logs as the master sends them, the newest first (None: all).

        `asked`: `text`, `level`, `host`, `domain`, `name`, `job`, `to`, `order`.
        """
        return self.items(LOGS, limit, **{"from": since, **asked})

    async def follow_logs(self, *, after: str = "", **asked: str | None) -> AsyncGenerator[Document | Dropped, None]:
        """Messages as they come from now on, or behind the place `after`, for ever; `asked` as for `logs`."""
        path, tail = with_query(LOGS, asked), Tail("the logs", after)
        logged: AsyncGenerator[Document | Dropped, None] = self._followed(path, tail, read_logged)
        async with aclosing(logged) as events:
            async for event in events:
                yield event

    async def _followed(self, path: str, tail: Tail, read: Callable[[Event], F | None]) -> AsyncGenerator[F, None]:
        while True:
            try:
                async with aclosing(self._events(path, tail.parser, read)) as events:
                    async for event in events:
                        yield event
                        if isinstance(event, Ended):
                            return
                tail.opened = True
            except Unreachable:
                if not tail.opened:
                    raise
            except LOST:
                tail.opened = True
            await self._transport.pause(tail.again())

    async def _events(self, path: str, parser: Parser, read: Callable[[Event], F | None]) -> AsyncGenerator[F, None]:
        stream = self._transport.stream(path, stream_headers(parser.last_id))
        async with aclosing(stream) as chunks:
            async for chunk in chunks:
                for event in parser.feed(chunk):
                    said = read(event)
                    if said is not None:
                        yield said

    async def link(self, record: _Referring, name: str) -> Any:
        """What the field `name` of a record refers to: a record, a list of these, or None where it refers to nothing.

        Nouns without a class are documents. Gone when what it refers to is not there any more.
        """
        reference = record.document.get(name)
        if reference is None:
            return None
        href = href_of(reference)
        if href is None:
            raise ClientError(f"{name!r} is no reference")
        found = await self._read_from(href, name)
        if not is_page(found):
            return _read(href, found)
        items = list(items_of(found))
        while found.get("next"):
            found = await self._read_from(href, name, cursor=str(found["next"]))
            items += items_of(found)
        return [_read(href, item) for item in items]

    async def _read_from(self, href: str, name: str, **more: str) -> Document:
        path, query = place_of(href)
        try:
            found: Document = await self._transport.ask("GET", path, {**query, **more})
        except ApiError as error:
            raise gone(error, f"{name!r} refers to {href}, which") from error
        return found

    async def items(self, path: str, limit: int | None = None, **query: Any) -> AsyncIterator[Document]:
        """What a list has, as the master sends it: `client.items("/api/v1/users")`."""
        cursor: str | None = None
        left = limit
        while left is None or left > 0:
            size = PAGE if left is None else min(left, PAGE)
            page = await self._transport.ask("GET", path, {**query, "limit": size, "cursor": cursor})
            items = items_of(page)
            for item in items[:size]:
                yield item
            cursor = page.get("next")
            left = None if left is None else left - len(items)
            if not cursor:
                return

    async def get(self, path: str) -> Document:
        """One thing, as the master sends it."""
        found: Document = await self._transport.ask("GET", path)
        return found

    async def make(self, path: str, body: Mapping[str, Any]) -> Document:
        """Ask for something new; what is lost on the way and sent again is made once (Idempotency-Key)."""
        headers = {"Idempotency-Key": new_id()}
        made: Document = await self._transport.ask("POST", path, body=dict(body), headers=headers)
        return made

    async def change(self, path: str, body: Mapping[str, Any]) -> Document:
        """Change what is named of a thing."""
        changed: Document = await self._transport.ask("PATCH", path, body=dict(body))
        return changed

    async def put(self, path: str, body: str | Mapping[str, Any]) -> Document:
        """Put a text, or a document, in a place."""
        sent = body if isinstance(body, str) else dict(body)
        kept: Document = await self._transport.ask("PUT", path, body=sent)
        return kept

    async def remove(self, path: str) -> Document:
        """Remove a thing."""
        gone_: Document = await self._transport.ask("DELETE", path)
        return gone_


def _read(href: str, document: Document) -> Record | Document:
    kind = _KINDS.get(noun_of(href))
    return document if kind is None else kind.read(document)
