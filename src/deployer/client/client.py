"""The synchronous client: what the REST API offers, as methods.

    client = Client("http://127.0.0.1:8966", token)
    job = client.submit("execute", {"cmd": "/bin/echo", "args": ["hi"]}, target="1:1")
    for message in client.log(job.id, follow=True): ...

`submit` gives the job its id, so that it can be sent again after a lost connection without running twice. What comes
are models: `task.agent.host` fetches what it names (`deployer.client.models`).
"""

import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

from deployer.client.answers import items_of, read_event, read_logged, read_news
from deployer.client.errors import Unreachable
from deployer.client.models import Agent, Host, Job, Process, Task, Thing
from deployer.client.records import AgentStats, Document, Dropped, Ended, Message
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
from deployer.client.transport import LOST, Transport, pause

F = TypeVar("F")


class Client:
    """One master, or a balancer in front of several, seen by one user."""

    def __init__(
        self,
        url: str,
        token: str,
        ca_file: str | None = None,
        timeout_s: float = 45.0,
        *,
        patience_s: float = 5.0,
        pause: Callable[[float], None] = pause,
    ) -> None:
        self._transport = Transport(
            url, token, ca_file, timeout_s=max(timeout_s, 1.0), patience_s=patience_s, pause=pause
        )
        self._pause = pause
        self._wait_s = longest_wait_s(timeout_s)

    def close(self) -> None:
        """Drop the connection."""
        self._transport.close()

    def submit(
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
        return self._job(self._transport.ask("POST", JOBS, body=body))

    def rerun(self, job_id: str, *, new_id: str | None = None) -> Job:
        """Run again what has failed of a job: a new job. The same `new_id` again is the same new job."""
        body = rerun_body(new_id)
        return self._job(self._transport.ask("POST", rerun_path(job_id), body=body))

    def job(self, job_id: str, wait_s: int | None = None) -> Job:
        """The job now, or when it is final within `wait_s` seconds."""
        return self._job(self._transport.ask("GET", job_path(job_id), {"wait": wait_s}))

    def wait(self, job_id: str, timeout_s: float | None = None) -> Job:
        """The job when it is final, or as it is after `timeout_s` seconds; a master may go away meanwhile."""
        end = end_of(timeout_s, time.monotonic())
        job = self.job(job_id, self._share(end))
        fruitless = 0
        while not job.final and time.monotonic() < end:
            try:
                job = self.job(job_id, self._share(end))
                fruitless = 0
            except Unreachable:
                fruitless += 1
                if fruitless == LOST_IN_A_ROW:
                    raise
        return job

    def _share(self, end: float) -> int:
        """How much of the time until `end` one request waits."""
        return share_s(end, time.monotonic(), self._wait_s)

    def cancel(self, job_id: str) -> Job:
        """End the job: what has not started never starts, what runs is killed."""
        return self._job(self._transport.ask("DELETE", job_path(job_id)))

    def jobs(self, *, limit: int = 100, **asked: str | None) -> Iterator[Job]:
        """The newest jobs by `state`, `user`, `cmd`, `target`, `schedule` …, at most `limit`."""
        return (self._job(item) for item in self._items(JOBS, limit, **asked))

    def tasks(self, job_id: str) -> Iterator[Task]:
        """All tasks of a job."""
        return (Task.of(self._fetch, item) for item in self._items(job_path(job_id) + "/tasks"))

    def agents(self, **asked: str | None) -> Iterator[Agent]:
        """Agents by `state`, `name`, `role`, `labels`, `rack` …, in the order of `sort`; what is left out is any."""
        return (Agent.of(self._fetch, item) for item in self._items("/api/v1/agents", None, **asked))

    def agent_stats(self, agent: str) -> AgentStats:
        """What the host and the processes of one agent (`gid:nid`) consume now."""
        return AgentStats.read(self._transport.ask("GET", stats_path(agent)))

    def hosts(self, **asked: str | None) -> Iterator[Host]:
        """Hosts, as agents are asked for."""
        return (Host.of(self._fetch, item) for item in self._items("/api/v1/hosts", None, **asked))

    def processes(
        self,
        *,
        state: str | None = None,
        gid: int | None = None,
        nid: int | None = None,
        domain: str | None = None,
        name: str | None = None,
        user: str | None = None,
        job: str | None = None,
    ) -> Iterator[Process]:
        """What runs on the agents and what it consumes (`state` "ended": what has run); what is left out is any."""
        found = self._items(
            "/api/v1/processes", state=state, gid=gid, nid=nid, domain=domain, name=name, user=user, job=job
        )
        return (Process.of(self._fetch, item) for item in found)

    def log(self, job_id: str, *, follow: bool = False) -> Iterator[Message | Dropped]:
        """What a job has put out, oldest first; with `follow` until its log is complete."""
        if not follow:
            return (Message.read(item) for item in self._items(job_path(job_id) + "/log"))
        return (event for event in self.follow(job_id) if not isinstance(event, Ended))

    def follow(self, job_id: str) -> Iterator[Message | Dropped | Ended]:
        """What a job puts out as it comes, and at last the job; taken up again where a connection was lost."""
        path = job_path(job_id) + "/log"
        return self._followed(path, Tail(f"the log of {job_id}"), lambda event: read_event(event, self._job))

    def events(self, *types: str, after: str = "") -> Iterator[Document]:
        """What happens from now on, or behind the event `after`, of these types (`job`: all of its kind), for ever."""
        return self._followed(events_path(types), Tail("the stream of events", after), read_news)

    def logs(self, *, limit: int | None = 100, since: str | None = None, **asked: str | None) -> Iterator[Document]:
        """Messages of all logs as the master sends them, the newest first (None: all).

        `asked`: `text`, `level`, `host`, `domain`, `name`, `job`, `to`, `order`.
        """
        return self._items(LOGS, limit, **{"from": since, **asked})

    def follow_logs(self, *, after: str = "", **asked: str | None) -> Iterator[Document | Dropped]:
        """Messages as they come from now on, or behind the place `after`, for ever; `asked` as for `logs`."""
        return self._followed(with_query(LOGS, asked), Tail("the logs", after), read_logged)

    def _followed(self, path: str, tail: Tail, read: Callable[[Event], F | None]) -> Iterator[F]:
        while True:
            try:
                for event in self._events(path, tail.parser, read):
                    yield event
                    if isinstance(event, Ended):
                        return
                tail.opened = True
            except Unreachable:
                if not tail.opened:
                    raise
            except LOST:
                tail.opened = True
            self._pause(tail.again())

    def _events(self, path: str, parser: Parser, read: Callable[[Event], F | None]) -> Iterator[F]:
        for chunk in self._transport.stream(path, stream_headers(parser.last_id)):
            for event in parser.feed(chunk):
                said = read(event)
                if said is not None:
                    yield said

    def items(self, path: str, limit: int | None = None, **query: Any) -> Iterator[Document]:
        """What a list has, as the master sends it: `client.items("/api/v1/users")`."""
        return self._items(path, limit, **query)

    def get(self, path: str) -> Document:
        """One thing, as the master sends it."""
        found: Document = self._transport.ask("GET", path)
        return found

    def thing(self, path: str) -> Thing:
        """One thing that has no class of its own, as a model: `client.thing("/api/v1/user").role`."""
        return Thing.of(self._fetch, self.get(path))

    def make(self, path: str, body: Mapping[str, Any]) -> Document:
        """Ask for something new; what is lost on the way and sent again is made once (Idempotency-Key)."""
        headers = {"Idempotency-Key": new_id()}
        made: Document = self._transport.ask("POST", path, body=dict(body), headers=headers)
        return made

    def change(self, path: str, body: Mapping[str, Any]) -> Document:
        """Change what is named of a thing."""
        changed: Document = self._transport.ask("PATCH", path, body=dict(body))
        return changed

    def put(self, path: str, body: str | Mapping[str, Any]) -> Document:
        """Put a text, or a document, in a place."""
        kept: Document = self._transport.ask("PUT", path, body=body if isinstance(body, str) else dict(body))
        return kept

    def remove(self, path: str) -> Document:
        """Remove a thing."""
        gone: Document = self._transport.ask("DELETE", path)
        return gone

    def _job(self, document: Document) -> Job:
        return Job.of(self._fetch, document)

    def _fetch(self, path: str, query: Mapping[str, Any]) -> Any:
        return self._transport.ask("GET", path, query)

    def _items(self, path: str, limit: int | None = None, **query: Any) -> Iterator[Document]:
        """Items of all pages, up to `limit`."""
        cursor: str | None = None
        left = limit
        while left is None or left > 0:
            size = PAGE if left is None else min(left, PAGE)
            page = self._transport.ask("GET", path, {**query, "limit": size, "cursor": cursor})
            items = items_of(page)
            yield from items[:size]
            cursor = page.get("next")
            left = None if left is None else left - len(items)
            if not cursor:
                return
