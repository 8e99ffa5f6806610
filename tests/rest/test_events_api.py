"""The stream of events: what is told of jobs, tasks and agents, to whom, and from which place on."""

import contextlib
import json
from typing import Any

import pytest

from deployer.kit.clock import sleep
from deployer.model.access import Role
from deployer.stores import keys
from support.planned import submit, until
from support.seeded import COMPANY
from support.served import Served, WireAgent


async def told(served: Served, path: str = "/api/v1/events", **more: Any) -> list[tuple[str, str, str]]:
    items = (await served.ask("GET", path, **more)).json["items"]
    return [(one["type"], one["subject"], one["state"]) for one in items]


class Listener:
    """Follows the stream until it has heard so much."""

    def __init__(self, served: Served, last: str | None = None, path: str = "/api/v1/events") -> None:
        self.data = b""
        self._served = served
        self._raw = served.begin(path + (f"{'&' if '?' in path else '?'}cursor={last}" if last else ""))
        self._raw.setblocking(False)

    async def hear(self, count: int) -> list[dict[str, Any]]:
        """The first events."""
        for _ in range(1000):
            with contextlib.suppress(BlockingIOError):
                self.data += self._raw.recv(65536)
            found = [json.loads(line[6:]) for line in self.data.split(b"\n") if line.startswith(b'data: {"')]
            if len(found) >= count:
                return found
            await sleep(self._served.clock, 0.01)
        raise AssertionError(self.data)

    def close(self) -> None:
        self._raw.close()


async def test_what_becomes_of_a_job_is_told(served: Served, agent: WireAgent) -> None:
    before = len(await told(served))
    await submit(served, "a", target="1:7")
    await submit(served, "b", target="1:7", depends_on=["a"])
    await agent.poll(wait_s=0)
    await agent.run("a", state="ERROR")
    await until(served, "b", ERROR=1)
    assert (await told(served))[before:] == [
        ("job.state", "a", "QUEUED"),
        ("job.state", "b", "BLOCKED"),
        ("job.state", "a", "RUNNING"),
        ("task.state", "a@1:7", "RUNNING"),
        ("task.state", "a@1:7", "ERROR"),
        ("job.state", "a", "ERROR"),
        ("job.state", "b", "ERROR"),
    ]
    (one,) = (await served.ask("GET", "/api/v1/events?type=task&limit=1000")).json["items"][:1]
    assert (one["agent"]["nid"], one["job"]["id"], one["task"]) == (7, "a", "a")


async def test_a_follower_hears_what_comes_and_goes_on_where_it_was(served: Served, agent: WireAgent) -> None:
    listener = Listener(served)
    await served.until(lambda: len(served.hub) > 0)
    await submit(served, "a", target="1:7")
    await agent.poll(wait_s=0)
    await agent.run("a")
    heard = await listener.hear(5)
    assert [one["state"] for one in heard] == ["QUEUED", "RUNNING", "RUNNING", "OK", "OK"]
    listener.close()
    await served.until(lambda: len(served.hub) == 0)
    again = Listener(served, heard[1]["id"])
    assert await again.hear(3) == heard[2:]
    again.close()
    await served.until(lambda: len(served.hub) == 0)


async def test_pages_have_every_event_once_and_end(served: Served, agent: WireAgent) -> None:
    for number in range(7):
        await submit(served, f"j{number}", target="1:7")
    every = await told(served, "/api/v1/events?limit=1000")
    found: list[Any] = []
    path = "/api/v1/events?limit=2"
    while True:
        page = (await served.ask("GET", path)).json
        found += [(one["type"], one["subject"], one["state"]) for one in page["items"]]
        if page["next"] is None:
            break
        path = f"/api/v1/events?limit=2&cursor={page['next']}"
    assert found == every


async def test_events_are_found_by_type_and_time(served: Served, agent: WireAgent) -> None:
    await submit(served, "a", target="1:7")
    items = (await served.ask("GET", "/api/v1/events?type=job.state,agent.joined")).json["items"]
    assert {one["type"] for one in items} == {"job.state", "agent.joined"}
    at = items[-1]["at"]
    assert ("job.state", "a", "QUEUED") in await told(served, f"/api/v1/events?from={at}")
    assert ("job.state", "a", "QUEUED") not in await told(served, f"/api/v1/events?to={at}")


async def test_who_may_use_some_agents_hears_of_these_only(served: Served, agent: WireAgent) -> None:
    token = await served.token_of("bob", Role.VIEWER)
    change = {"json": {"agents": ["1:7"]}, "headers": {"If-Match": "*"}}
    assert (await served.ask("PATCH", "/api/v1/users/bob", **change)).status == 200
    await submit(served, "hidden", target="1:1")
    await submit(served, "shown", target="1:7")
    found = await told(served, "/api/v1/events?limit=1000", token=token)
    assert {subject for _, subject, _ in found} == {"1:7", "shown"}


@pytest.mark.parametrize(
    "query", ["cursor=x", "cursor=1", "from=yesterday", "type=A", "type=jobb", "limit=0", "more=1"]
)
async def test_what_cannot_be_asked_is_refused(served: Served, query: str) -> None:
    assert (await served.ask("GET", f"/api/v1/events?{query}")).status == 400


async def test_what_is_no_event_is_left_out_and_what_has_gone_is_told_as_a_gap(
    served: Served, agent: WireAgent, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("deployer.stores.events.MOST", 3)
    await served.seeded.redis.call("XADD", keys.events(COMPANY), "*", "type", "\xff")
    await submit(served, "a", target="1:7")
    listener = Listener(served, "1-1")
    await listener.hear(3)
    assert b"event: gap\n" in listener.data
    assert served.seeded.redis.damage.met
    listener.close()
    await served.until(lambda: len(served.hub) == 0)


async def test_one_user_has_only_so_many_streams(
    served: Served, agent: WireAgent, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("deployer.rest.events.STREAMS", 2)
    listeners = [Listener(served), Listener(served)]
    await submit(served, "a", target="1:7")
    for one in listeners:
        await one.hear(1)
    headers = {"Accept": "text/event-stream"}
    reply = await served.ask("GET", "/api/v1/events", headers=headers)
    assert (reply.status, reply.code) == (429, "too_many")
    for one in listeners:
        one.close()
    await served.until(lambda: len(served.hub) == 0)
    again = Listener(served)
    await submit(served, "b", target="1:7")
    await again.hear(1)
    again.close()
    await served.until(lambda: len(served.hub) == 0)


async def test_the_newest_come_first_where_that_is_asked_for(served: Served, agent: WireAgent) -> None:
    for number in range(7):
        await submit(served, f"j{number}", target="1:7")
    every = await told(served, "/api/v1/events?limit=1000")
    found: list[Any] = []
    path = query = "/api/v1/events?limit=3&sort=-id"
    while True:
        page = (await served.ask("GET", path)).json
        found += [(one["type"], one["subject"], one["state"]) for one in page["items"]]
        if page["next"] is None:
            break
        path = f"{query}&cursor={page['next']}"
    assert found == every[::-1]
    at = (await served.ask("GET", f"{query}&type=job")).json["items"][-1]["at"]
    assert all(one["at"] < at for one in (await served.ask("GET", f"{query}&to={at}")).json["items"])
    assert all(one["at"] >= at for one in (await served.ask("GET", f"{query}&from={at}")).json["items"])
