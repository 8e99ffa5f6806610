"""The synchronous and the asynchronous client do the same: one suite, against a scripted master over real sockets."""

import re
import ssl
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager, aclosing
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from cryptography import x509

from deployer.client.asynchronous import AsyncClient
from deployer.client.client import Client
from deployer.client.errors import ApiError, ClientError, Gone, Unreachable
from deployer.client.records import Dropped, Ended, Message
from deployer.protocol.ids import JOB_ID_PATTERN
from support.certificates import Issuer, kept
from support.scripted import Answer, ScriptedMaster, answer, end, message, nobody, refusal, scripted_master, stream

QUEUED: dict[str, Any] = {"id": "j1", "state": "QUEUED", "cmd": "execute", "target": "1:1", "tasks": {"counts": {}}}
OK = {**QUEUED, "state": "OK", "tasks": {"counts": {"OK": 1}}}
LOST = Answer(body=b"", lost=True)


def header(master: ScriptedMaster, name: str) -> list[str | None]:
    """What each request had in this header, however it was written."""
    return [{one.lower(): text for one, text in asked.headers.items()}.get(name) for asked in master.asked]


class Synchronous:
    """The one that blocks."""

    def __init__(self, url: str, ca_file: str | None = None, patience_s: float = 5.0) -> None:
        self.waits: list[float] = []
        self._client = Client(url, "dpl_1_secret", ca_file, patience_s=patience_s, pause=self.waits.append)

    async def __call__(self, name: str, *args: Any, **more: Any) -> Any:
        found = getattr(self._client, name)(*args, **more)
        return list(found) if isinstance(found, Iterator) else found

    async def first(self, count: int, name: str, *args: Any, **more: Any) -> list[Any]:
        return list(islice(getattr(self._client, name)(*args, **more), count))

    async def link(self, record: Any, name: str) -> Any:
        return record.link(name)

    async def close(self) -> None:
        self._client.close()


class Asynchronous:
    """The one in the reactor."""

    def __init__(self, url: str, ca_file: str | None = None, patience_s: float = 5.0) -> None:
        self.waits: list[float] = []
        self._client = AsyncClient(url, "dpl_1_secret", ca_file, patience_s=patience_s, pause=self._pause)

    async def _pause(self, seconds: float) -> None:
        self.waits.append(seconds)

    async def __call__(self, name: str, *args: Any, **more: Any) -> Any:
        found = getattr(self._client, name)(*args, **more)
        return [one async for one in found] if isinstance(found, AsyncIterator) else await found

    async def first(self, count: int, name: str, *args: Any, **more: Any) -> list[Any]:
        found: list[Any] = []
        async with aclosing(getattr(self._client, name)(*args, **more)) as every:
            async for one in every:
                found.append(one)
                if len(found) == count:
                    break
        return found

    async def link(self, record: Any, name: str) -> Any:
        return await self._client.link(record, name)

    async def close(self) -> None:
        await self._client.close()


Either = Synchronous | Asynchronous
Make = Callable[..., Either]


@pytest.fixture
def master() -> Iterator[ScriptedMaster]:
    with scripted_master() as one:
        yield one


class ClientContract:
    """What holds for both."""

    async def test_a_job_is_submitted_with_an_id_made_here_and_the_token(
        self, master: ScriptedMaster, client: Either
    ) -> None:
        master.on("POST /api/v1/jobs", answer(OK, 202))
        job = await client("submit", "execute", {"cmd": "/bin/true"}, target="1:1", priority=2)
        assert (job.id, job.state, job.final, job.counts) == ("j1", "OK", True, {"OK": 1})
        sent = master.asked[0]
        assert re.match(JOB_ID_PATTERN, sent.body.pop("id"))
        assert sent.body == {"cmd": "execute", "args": {"cmd": "/bin/true"}, "data": "", "target": "1:1", "priority": 2}
        assert sent.headers["Authorization"] == "Bearer dpl_1_secret"
        assert sent.headers["Content-Type"] == "application/json"

    async def test_a_submit_whose_answer_is_lost_is_sent_again_with_the_same_id(
        self, master: ScriptedMaster, client: Either
    ) -> None:
        master.on("POST /api/v1/jobs", LOST, LOST, answer(QUEUED))
        assert (await client("submit", "ping", {}, target="1:1")).state == "QUEUED"
        assert len(master.asked) == 3
        assert len({asked.body["id"] for asked in master.asked}) == 1

    async def test_events_go_on_where_a_stream_was_lost(self, master: ScriptedMaster, client: Either) -> None:
        told = [f'id: {n}-0\nevent: job.state\ndata: {{"id": "{n}-0", "type": "job.state"}}\n\n' for n in (6, 7, 8)]
        master.on(
            "GET /api/v1/events",
            stream("retry: 1000\nid: 5-0\n\n", lost=True),
            stream(told[0], told[1], "id: 8-0\nda", lost=True),
            stream("event: gap\ndata: {}\n\n", told[2]),
        )
        found = await client.first(4, "events", "job", "agent.state")
        assert [one.get("id", one["type"]) for one in found] == ["6-0", "7-0", "gap", "8-0"]
        last = [{name.lower(): its for name, its in asked.headers.items()} for asked in master.asked]
        assert [its.get("last-event-id") for its in last] == [None, "5-0", "7-0"]
        assert master.asked[0].path.endswith("?type=job%2Cagent.state")

    async def test_all_logs_are_searched_and_followed(self, master: ScriptedMaster, client: Either) -> None:
        told = [f'id: {n}-0.0.00000000\ndata: {{"data": "line {n}"}}\n\n' for n in (6, 7)]
        master.on(
            "GET /api/v1/logs",
            answer({"items": [{"data": "a"}], "next": "5-0.0.00000000", "left_out": 0}),
            answer({"items": [{"data": "b"}], "next": None, "left_out": 0}),
            stream(told[0], lost=True),
            stream('event: dropped\ndata: {"count":3}\n\n', "event: later\ndata: {}\n\n", told[1]),
        )
        assert [one["data"] for one in await client.first(2, "logs", level="7-9", since="-1h")] == ["a", "b"]
        found = await client.first(3, "follow_logs", level="8")
        assert [getattr(one, "count", None) or one["data"] for one in found] == ["line 6", 3, "line 7"]
        paths = [asked.path for asked in master.asked]
        assert paths[0] == "/api/v1/logs?from=-1h&level=7-9&limit=100"
        assert paths[2] == "/api/v1/logs?level=8"

    async def test_a_rerun_is_a_new_job_with_an_id_made_here(self, master: ScriptedMaster, client: Either) -> None:
        master.on("POST /api/v1/jobs/j0/rerun", answer(QUEUED, 202))
        assert (await client("rerun", "j0", new_id="mine")).id == "j1"
        assert (await client("rerun", "j0")).id == "j1"
        assert master.asked[0].body == {"id": "mine"}
        assert re.match(JOB_ID_PATTERN, master.asked[1].body.pop("id"))

    async def test_what_is_made_has_one_idempotency_key_however_often_it_is_sent(
        self, master: ScriptedMaster, client: Either
    ) -> None:
        master.on("POST /api/v1/tokens", LOST, answer({"id": "t1"}, 201))
        assert (await client("make", "/api/v1/tokens", {"name": "ci"}))["id"] == "t1"
        assert len(master.asked) == 2
        assert len({asked.headers["Idempotency-Key"] for asked in master.asked}) == 1

    @pytest.mark.parametrize("status", [429, 503])
    async def test_a_busy_master_is_asked_again_when_it_says(
        self, master: ScriptedMaster, client: Either, status: int
    ) -> None:
        busy = answer({}, status, Retry_After="7")
        master.on("POST /api/v1/jobs", busy, busy, answer(QUEUED))
        assert (await client("submit", "ping", {}, target="1:1")).id == "j1"
        assert client.waits == [7.0, 7.0]

    @pytest.mark.parametrize(("status", "asked"), [(503, 15), (429, 60)])
    async def test_a_master_that_asks_to_wait_for_ever_is_not_waited_for(
        self, master: ScriptedMaster, client: Either, status: int, asked: int
    ) -> None:
        problem = answer({"code": "away", "detail": "the database is not there"}, status, Retry_After="1")
        master.on("GET /api/v1/jobs/j1", *[problem] * 100)
        with pytest.raises(ApiError, match="the database is not there"):
            await client("job", "j1")
        assert len(master.asked) == asked + 1

    @pytest.mark.parametrize("after", ["3600", "soon", "-1", ""])
    async def test_a_busy_master_that_asks_for_too_much_is_an_error(
        self, master: ScriptedMaster, client: Either, after: str
    ) -> None:
        master.on("GET /api/v1/jobs/j1", answer({}, 503, Retry_After=after))
        with pytest.raises(ApiError) as caught:
            await client("job", "j1")
        assert (caught.value.status, client.waits) == (503, [])

    async def test_nobody_at_the_address_is_unreachable(self, make: Make) -> None:
        with nobody() as url:
            client = make(url, patience_s=0)
            with pytest.raises(Unreachable, match="no master answers"):
                await client("job", "j1")
            await client.close()

    async def test_a_problem_is_an_error_with_status_code_and_pointers(
        self, master: ScriptedMaster, client: Either
    ) -> None:
        errors = [{"pointer": "/args/cmd", "message": "is missing"}]
        master.on("POST /api/v1/jobs", refusal(422, "invalid", "The job does not fit.", errors))
        with pytest.raises(ApiError) as caught:
            await client("submit", "execute", {}, target="1:1")
        error = caught.value
        assert (error.status, error.code, error.detail) == (422, "invalid", "The job does not fit.")
        assert error.errors == [("/args/cmd", "is missing")]

    @pytest.mark.parametrize("body", [b"<html>", b"[]", b"null", b"\xff"])
    async def test_an_error_that_is_no_problem_is_still_an_error(
        self, master: ScriptedMaster, client: Either, body: bytes
    ) -> None:
        master.on("GET /api/v1/jobs/j1", Answer(status=502, body=body))
        with pytest.raises(ApiError, match="not from a master"):
            await client("job", "j1")

    @pytest.mark.parametrize("body", [b"<html>", b"[]", b"null", b"3", b"\xff"])
    async def test_an_answer_that_is_no_masters_is_an_error(
        self, master: ScriptedMaster, client: Either, body: bytes
    ) -> None:
        master.otherwise = Answer(body=body)
        for method, *words in (("job", "j1"), ("agents",), ("get", "/api/v1/user"), ("cancel", "j1")):
            with pytest.raises(ClientError, match="the answer is not"):
                await client(method, *words)

    @pytest.mark.parametrize("items", [3, None, [3], [[]], {"a": 1}])
    async def test_a_list_that_is_none_is_an_error(self, master: ScriptedMaster, client: Either, items: object) -> None:
        master.otherwise = answer({"items": items, "next": None})
        for method, *words in (("tasks", "j1"), ("hosts",), ("log", "j1")):
            with pytest.raises(ClientError, match="no list"):
                await client(method, *words)

    async def test_a_redirect_is_not_followed(self, master: ScriptedMaster, client: Either) -> None:
        master.on("GET /api/v1/jobs/j1", answer({}, 307, Location="/api/v1/jobs/j2"))
        master.on("GET /api/v1/jobs/j2", answer(OK))
        await client("job", "j1")
        assert master.methods() == ["GET /api/v1/jobs/j1"]

    @pytest.mark.parametrize("url", ["", "127.0.0.1:1", "ftp://a", "http://"])
    def test_an_address_that_is_none_is_refused(self, make: Make, url: str) -> None:
        with pytest.raises(ClientError, match="not the address"):
            make(url)

    def test_a_missing_ca_file_is_an_error_in_words(self, make: Make) -> None:
        with pytest.raises(ClientError, match="cannot read the certificates"):
            make("https://a", "/nonexistent")

    async def test_wait_asks_until_the_job_is_final(self, master: ScriptedMaster, client: Either) -> None:
        master.on("GET /api/v1/jobs/j1", answer(QUEUED), answer(OK))
        assert (await client("wait", "j1")).state == "OK"
        assert master.methods() == ["GET /api/v1/jobs/j1?wait=30"] * 2

    async def test_wait_gives_the_job_as_it_is_after_its_time(self, master: ScriptedMaster, client: Either) -> None:
        master.on("GET /api/v1/jobs/j1", answer(QUEUED))
        assert (await client("wait", "j1", 0)).state == "QUEUED"

    async def test_wait_outlasts_a_master_that_is_away_but_not_one_that_was_never_there(
        self, master: ScriptedMaster, make: Make
    ) -> None:
        client = make(master.url, patience_s=0)
        master.on("GET /api/v1/jobs/j1", answer(QUEUED), LOST, LOST, answer(OK))
        assert (await client("wait", "j1")).state == "OK"
        master.on("GET /api/v1/jobs/j1", LOST)
        with pytest.raises(Unreachable):
            await client("wait", "j1")
        assert len(master.asked) == 5
        await client.close()

    async def test_lists_go_over_all_pages_and_no_further_than_asked(
        self, master: ScriptedMaster, client: Either
    ) -> None:
        pages = [{"items": [{"gid": 1, "nid": n, "state": "online"}], "next": c} for n, c in ((1, "a~"), (2, None))]
        master.on("GET /api/v1/agents", *map(answer, pages))
        assert [agent.nid for agent in await client("agents", role="web")] == [1, 2]
        assert master.methods()[-1] == "GET /api/v1/agents?role=web&limit=1000&cursor=a~"
        master.on("GET /api/v1/jobs", answer({"items": [QUEUED] * 5, "next": "x"}))
        assert len(await client("jobs", state="QUEUED", limit=5)) == 5
        assert master.methods()[-1] == "GET /api/v1/jobs?state=QUEUED&limit=5"

    async def test_all_nouns_are_records(self, master: ScriptedMaster, client: Either) -> None:
        at = {"agent": {"gid": 1, "nid": 2}, "epoch": 5, "step": 30}
        master.on("GET /api/v1/jobs/j1/tasks", answer({"items": [{"id": "j1", **at, "exit_status": 3}], "next": None}))
        master.on("GET /api/v1/processes", answer({"items": [{**at, "values": {"cpu": 1.5, "x": None}}], "next": None}))
        master.on("GET /api/v1/agents/1:2/stats", answer({**at, "host": {"cpu": 2}}))
        master.on("GET /api/v1/hosts", answer({"items": [{"id": "1:2", "cores": 4}], "next": None}))
        master.on("GET /api/v1/users", answer({"items": [{"name": "ann"}]}))
        (task,), (process,) = await client("tasks", "j1"), await client("processes", domain="d")
        assert (task.agent_id, task.exit_status, process.values, process.epoch) == ("1:2", 3, {"cpu": 1.5}, 5)
        assert (await client("agent_stats", "1:2")).host == {"cpu": 2}
        assert [host.cores for host in await client("hosts")] == [4]
        assert await client("items", "/api/v1/users") == [{"name": "ann"}]

    async def test_things_are_read_changed_put_and_removed(self, master: ScriptedMaster, client: Either) -> None:
        for method in ("GET", "PATCH", "DELETE"):
            master.on(f"{method} /api/v1/users/ann", answer({"name": "ann", "by": method}))
        master.on("PUT /api/v1/users/ann/password", answer({}))
        assert (await client("get", "/api/v1/users/ann"))["by"] == "GET"
        assert (await client("change", "/api/v1/users/ann", {"role": "owner"}))["by"] == "PATCH"
        assert (await client("remove", "/api/v1/users/ann"))["by"] == "DELETE"
        assert await client("put", "/api/v1/users/ann/password", {"password": "x"}) == {}
        assert [asked.body for asked in master.asked] == [None, {"role": "owner"}, None, {"password": "x"}]

    async def test_cancel_deletes(self, master: ScriptedMaster, client: Either) -> None:
        master.on("DELETE /api/v1/jobs/j1", answer(QUEUED, 202))
        assert (await client("cancel", "j1")).state == "QUEUED"

    async def test_a_log_without_follow_is_read_in_pages(self, master: ScriptedMaster, client: Either) -> None:
        pages = [
            {"items": [{"agent": "1:1", "level": 1, "data": d}], "next": c} for d, c in (("a", "1-0.0"), ("b", None))
        ]
        master.on("GET /api/v1/jobs/j1/log", *map(answer, pages))
        assert [item.data for item in await client("log", "j1")] == ["a", "b"]

    async def test_a_followed_log_is_taken_up_where_it_was_lost(self, master: ScriptedMaster, client: Either) -> None:
        master.on(
            "GET /api/v1/jobs/j1/log",
            stream(message("1-0.0", 1, "a"), message("1-0.1", 2, "b"), "id: 9\ndata: {", lost=True),
            refusal(503, "draining", "going down"),
            stream('event: dropped\ndata: {"dropped": 4}\n\n', message("2-0.0", 1, "c"), end(OK)),
        )
        items = await client("follow", "j1")
        assert [item.data for item in items if isinstance(item, Message)] == ["a", "b", "c"]
        assert Dropped(4) in items
        assert isinstance(items[-1], Ended)
        assert items[-1].job.state == "OK"
        assert header(master, "last-event-id") == [None, "1-0.1", "1-0.1"]
        assert master.asked[0].headers["Accept"] == "text/event-stream"

    async def test_a_followed_log_that_ends_without_an_end_is_asked_for_again(
        self, master: ScriptedMaster, client: Either
    ) -> None:
        master.on("GET /api/v1/jobs/j1/log", stream(": ping\n\n"), stream("event: new\ndata: x\n\n", end(OK)))
        assert await client("log", "j1", follow=True) == []
        assert len(master.asked) == 2

    async def test_a_followed_log_that_never_gets_further_is_given_up(
        self, master: ScriptedMaster, client: Either
    ) -> None:
        master.on("GET /api/v1/jobs/j1/log", stream(": ping\n\n", lost=True))
        with pytest.raises(Unreachable, match="was lost 20 times"):
            await client("follow", "j1")

    async def test_an_event_that_is_not_json_is_an_error(self, master: ScriptedMaster, client: Either) -> None:
        master.on("GET /api/v1/jobs/j1/log", stream("data: x\n\n"))
        with pytest.raises(ClientError, match="not understood"):
            await client("follow", "j1")

    async def test_the_log_of_an_unknown_job_is_not_found(self, client: Either) -> None:
        with pytest.raises(ApiError) as caught:
            await client("follow", "../j1")
        assert caught.value.status == 404

    async def test_a_reference_is_followed_and_what_has_gone_is_said(
        self, master: ScriptedMaster, client: Either
    ) -> None:
        tasks, user = {"href": "/api/v1/jobs/j1/tasks"}, {"id": "a", "href": "/api/v1/users/a?company=c"}
        master.on("GET /api/v1/jobs/j1", answer({**OK, "tasks": tasks, "user": user, "parent": None}))
        pages = [{"items": [{"id": i}], "next": n} for i, n in (("a", "c~1"), ("b", None))]
        master.on("GET /api/v1/jobs/j1/tasks", *map(answer, pages))
        job = await client("job", "j1")
        assert [task.id for task in await client.link(job, "tasks")] == ["a", "b"]
        assert await client.link(job, "parent") is None
        with pytest.raises(Gone, match=r"/api/v1/users/a\?company=c, which is not there"):
            await client.link(job, "user")
        with pytest.raises(ClientError, match=r"'state' .*is no reference"):
            await client.link(job, "state")

    async def test_a_master_behind_tls_is_asked_when_its_ca_is_trusted(self, make: Make, tmp_path: Path) -> None:
        issuer = Issuer()
        pem = kept(tmp_path / "server.pem", issuer.issue())
        ca = kept(tmp_path / "ca.pem", issuer.pem)
        with behind_tls(pem) as master:
            master.on("GET /api/v1/jobs/j1", answer(OK))
            client = make(master.url, str(ca))
            assert (await client("job", "j1")).state == "OK"
            await client.close()

    @pytest.mark.parametrize("wrong", ["ca", "name"])
    async def test_a_certificate_that_is_not_trusted_is_said_at_once(
        self, make: Make, tmp_path: Path, wrong: str
    ) -> None:
        issuer = Issuer()
        names = [x509.DNSName("elsewhere.example" if wrong == "name" else "localhost")]
        pem = kept(tmp_path / "server.pem", issuer.issue(names))
        ca = kept(tmp_path / "ca.pem", Issuer().pem if wrong == "ca" else issuer.pem)
        with behind_tls(pem) as master:
            client = make(master.url, str(ca), patience_s=60)
            with pytest.raises(Unreachable, match="its certificate is not trusted"):
                await client("job", "j1")
            assert (master.asked, client.waits) == ([], [])
            await client.close()


def behind_tls(pem: Path) -> AbstractContextManager[ScriptedMaster]:
    """A scripted master that shows this certificate, called by the name localhost."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    return scripted_master(context)


class TestTheSynchronousClient(ClientContract):
    @pytest.fixture
    def make(self) -> Make:
        return Synchronous

    @pytest.fixture
    def client(self, master: ScriptedMaster) -> Iterator[Either]:
        one = Synchronous(master.url)
        yield one
        one._client.close()


class TestTheAsynchronousClient(ClientContract):
    @pytest.fixture
    def make(self) -> Make:
        return Asynchronous

    @pytest_twisted.async_yield_fixture
    async def client(self, master: ScriptedMaster) -> AsyncIterator[Either]:
        one = Asynchronous(master.url)
        yield one
        await one.close()
