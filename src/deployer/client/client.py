"""The synchronous client: what the REST API offers, as methods.

    client = Client("http://127.0.0.1:8966", token)
    job = client.submit("execute", {"cmd": "/bin/echo", "args": ["hi"]}, target="1:1")
    for message in client.log(job.id, follow=True): ...

`submit` gives the job its id, so that it can be sent again after a lost connection without running twice.
"""

import json
import math
import secrets
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from urllib.parse import quote

from deployer.client.errors import ClientError, Unreachable
from deployer.client.records import Agent, AgentStats, Document, Dropped, Ended, Host, Job, Message, Process, Task
from deployer.client.sse import Event, Parser
from deployer.client.transport import LOST, Transport, pause
from deployer.kit.backoff import Backoff

MAX_WAIT_S = 30
PAGE = 1000
LOST_IN_A_ROW = 20


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
        self._wait_s = min(MAX_WAIT_S, max(int(timeout_s) - 10, 1))

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
        body = {"cmd": cmd, "args": dict(args), "data": data, "target": target, **more, "id": job_id or new_id()}
        return Job.read(self._transport.ask("POST", "/api/v1/jobs", body=body))

    def job(self, job_id: str, wait_s: int | None = None) -> Job:
        """The job now, or when it is final within `wait_s` seconds."""
        return Job.read(self._transport.ask("GET", _path(job_id), {"wait": wait_s}))

    def wait(self, job_id: str, timeout_s: float | None = None) -> Job:
        """The job when it is final, or as it is after `timeout_s` seconds; a master may go away meanwhile."""
        end = math.inf if timeout_s is None else time.monotonic() + timeout_s
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
        return round(max(min(self._wait_s, end - time.monotonic()), 0))

    def cancel(self, job_id: str) -> Job:
        """End the job: what has not started never starts, what runs is killed."""
        return Job.read(self._transport.ask("DELETE", _path(job_id)))

    def jobs(self, *, state: str | None = None, limit: int = 100) -> Iterator[Job]:
        """The newest jobs, at most `limit`."""
        return (Job.read(item) for item in self._items("/api/v1/jobs", limit, state=state))

    def tasks(self, job_id: str) -> Iterator[Task]:
        """All tasks of a job."""
        return (Task.read(item) for item in self._items(_path(job_id) + "/tasks"))

    def agents(self, **asked: str | None) -> Iterator[Agent]:
        """Agents by `state`, `name`, `role`, `labels`, `rack` …, in the order of `sort`; what is left out is any."""
        return (Agent.read(item) for item in self._items("/api/v1/agents", None, **asked))

    def agent_stats(self, agent: str) -> AgentStats:
        """What the host and the processes of one agent (`gid:nid`) consume now."""
        return AgentStats.read(self._transport.ask("GET", f"/api/v1/agents/{quote(agent, safe=':')}/stats"))

    def hosts(self, **asked: str | None) -> Iterator[Host]:
        """Hosts, as agents are asked for."""
        return (Host.read(item) for item in self._items("/api/v1/hosts", None, **asked))

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
        asked: dict[str, Any] = {
            "state": state,
            "gid": gid,
            "nid": nid,
            "domain": domain,
            "name": name,
            "user": user,
            "job": job,
        }
        found = self._items("/api/v1/processes", **asked)
        return (Process.read(item) for item in found)

    def log(self, job_id: str, *, follow: bool = False) -> Iterator[Message | Dropped]:
        """What a job has put out, oldest first; with `follow` until its log is complete."""
        if not follow:
            return (Message.read(item) for item in self._items(_path(job_id) + "/log"))
        return (event for event in self.follow(job_id) if not isinstance(event, Ended))

    def follow(self, job_id: str) -> Iterator[Message | Dropped | Ended]:
        """What a job puts out as it comes, and at last the job; taken up again where a connection was lost."""
        parser, backoff = Parser(), Backoff(0.1, 5.0)
        opened = False
        fruitless = 0
        while fruitless < LOST_IN_A_ROW:
            last_id = parser.last_id
            try:
                for event in self._events(job_id, parser):
                    yield event
                    if isinstance(event, Ended):
                        return
                opened = True
            except Unreachable:
                if not opened:
                    raise
            except LOST:
                opened = True
            fruitless = fruitless + 1 if parser.last_id == last_id else 0
            backoff.failures = fruitless
            self._pause(backoff.next_delay())
            parser = Parser(parser.last_id)
        raise Unreachable(f"the log of {job_id} was lost {LOST_IN_A_ROW} times")

    def _events(self, job_id: str, parser: Parser) -> Iterator[Message | Dropped | Ended]:
        headers = {"Accept": "text/event-stream", "Cache-Control": "no-store"}
        if parser.last_id:
            headers["Last-Event-ID"] = parser.last_id
        for chunk in self._transport.stream(_path(job_id) + "/log", headers):
            yield from filter(None, map(_read_event, parser.feed(chunk)))

    def items(self, path: str, limit: int | None = None, **query: Any) -> Iterator[Document]:
        """What a list has, as the master sends it: `client.items("/api/v1/users")`."""
        return self._items(path, limit, **query)

    def get(self, path: str) -> Document:
        """One thing, as the master sends it."""
        found: Document = self._transport.ask("GET", path)
        return found

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

    def _items(self, path: str, limit: int | None = None, **query: Any) -> Iterator[Document]:
        """Items of all pages, up to `limit`."""
        cursor: str | None = None
        left = limit
        while left is None or left > 0:
            size = PAGE if left is None else min(left, PAGE)
            page = self._transport.ask("GET", path, {**query, "limit": size, "cursor": cursor})
            items = page.get("items", [])
            yield from items[:size]
            cursor = page.get("next")
            left = None if left is None else left - len(items)
            if not cursor:
                return


def new_id() -> str:
    """A UUIDv7 (RFC 9562) as 32 hex digits: ids sort by time."""
    ms = int(time.time() * 1000) & (2**48 - 1)
    return f"{ms:012x}7{secrets.randbits(12):03x}{1 << 63 | secrets.randbits(62):016x}"


def _path(job_id: str) -> str:
    return "/api/v1/jobs/" + quote(job_id, safe="")


def _read_event(event: Event) -> Message | Dropped | Ended | None:
    """What an event says; events of kinds that came later than this client are passed over."""
    kinds: dict[str, Callable[[Document], Message | Dropped | Ended]] = {
        "message": Message.read,
        "dropped": lambda document: Dropped(int(document.get("dropped") or 0)),
        "end": lambda document: Ended(Job.read(document)),
    }
    read = kinds.get(event.type)
    if read is None:
        return None
    try:
        return read(json.loads(event.data))
    except (ValueError, AttributeError) as error:
        raise ClientError(f"the log has an event that is not understood: {event.data[:80]!r}") from error
