"""The synchronous client against a scripted master over a real socket."""

import re
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from deployer.client.client import Client
from deployer.client.errors import ApiError, ClientError, Unreachable
from deployer.client.records import Dropped, Ended, Message
from deployer.client.requests import new_id
from deployer.protocol.ids import JOB_ID_PATTERN
from support.programs import environment
from support.scripted import Answer, ScriptedMaster, answer, end, message, nobody, refusal, scripted_master, stream

QUEUED: dict[str, Any] = {"id": "j1", "state": "QUEUED", "cmd": "execute", "target": "1:1", "tasks": {"counts": {}}}
OK = {**QUEUED, "state": "OK", "tasks": {"counts": {"OK": 1}}}
LOST = Answer(body=b"", lost=True)


@pytest.fixture
def master() -> Iterator[ScriptedMaster]:
    with scripted_master() as one:
        yield one


@pytest.fixture
def waits() -> list[float]:
    return []


@pytest.fixture
def client(master: ScriptedMaster, waits: list[float]) -> Iterator[Client]:
    one = Client(master.url, "dpl_1_secret", pause=waits.append)
    yield one
    one.close()


def test_a_job_is_submitted_with_an_id_made_here_and_the_token(master: ScriptedMaster, client: Client) -> None:
    master.on("POST /api/v1/jobs", answer(OK, 202))
    job = client.submit("execute", {"cmd": "/bin/true"}, target="1:1", priority=2)
    assert (job.id, job.state, job.final, job.counts) == ("j1", "OK", True, {"OK": 1})
    sent = master.asked[0]
    assert re.match(JOB_ID_PATTERN, sent.body.pop("id"))
    assert sent.body == {"cmd": "execute", "args": {"cmd": "/bin/true"}, "data": "", "target": "1:1", "priority": 2}
    assert sent.headers["Authorization"] == "Bearer dpl_1_secret"


def test_a_submit_whose_answer_is_lost_is_sent_again_with_the_same_id(master: ScriptedMaster, client: Client) -> None:
    master.on("POST /api/v1/jobs", LOST, LOST, answer(QUEUED))
    assert client.submit("ping", {}, target="1:1").state == "QUEUED"
    ids = {asked.body["id"] for asked in master.asked}
    assert len(master.asked) == 3
    assert len(ids) == 1


def test_a_busy_master_is_asked_again_when_it_says(master: ScriptedMaster, client: Client, waits: list[float]) -> None:
    busy = answer({}, 503, Retry_After="7")
    master.on("POST /api/v1/jobs", busy, busy, answer(QUEUED))
    assert client.submit("ping", {}, target="1:1").id == "j1"
    assert waits == [7.0, 7.0]


@pytest.mark.parametrize("after", ["3600", "soon", "-1", ""])
def test_a_busy_master_that_asks_for_too_much_is_an_error(
    master: ScriptedMaster, client: Client, waits: list[float], after: str
) -> None:
    master.on("GET /api/v1/jobs/j1", answer({}, 503, Retry_After=after))
    with pytest.raises(ApiError) as caught:
        client.job("j1")
    assert (caught.value.status, waits) == (503, [])


def test_nobody_at_the_address_is_unreachable() -> None:
    with nobody() as url, pytest.raises(Unreachable, match="no master answers"):
        Client(url, "t", patience_s=0).job("j1")


def test_a_problem_is_an_error_with_status_code_and_pointers(master: ScriptedMaster, client: Client) -> None:
    errors = [{"pointer": "/args/cmd", "message": "is missing"}]
    master.on("POST /api/v1/jobs", refusal(422, "invalid", "The job does not fit.", errors))
    with pytest.raises(ApiError) as caught:
        client.submit("execute", {}, target="1:1")
    error = caught.value
    assert (error.status, error.code, error.detail) == (422, "invalid", "The job does not fit.")
    assert error.errors == [("/args/cmd", "is missing")]


@pytest.mark.parametrize("body", [b"<html>", b"[]", b"null", b"\xff"])
def test_an_error_that_is_no_problem_is_still_an_error(master: ScriptedMaster, client: Client, body: bytes) -> None:
    master.on("GET /api/v1/jobs/j1", Answer(status=502, body=body))
    with pytest.raises(ApiError, match="not from a master"):
        client.job("j1")


def test_an_answer_that_is_not_json_is_an_error(master: ScriptedMaster, client: Client) -> None:
    master.on("GET /api/v1/jobs/j1", Answer(body=b"<html>"))
    with pytest.raises(ClientError, match="not JSON"):
        client.job("j1")


@pytest.mark.parametrize("url", ["", "127.0.0.1:1", "ftp://a", "http://"])
def test_an_address_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(ClientError, match="not the address"):
        Client(url, "t")


def test_a_missing_ca_file_is_an_error_in_words() -> None:
    with pytest.raises(ClientError, match="cannot read the certificates"):
        Client("https://a", "t", "/nonexistent")


def test_wait_asks_until_the_job_is_final(master: ScriptedMaster, client: Client) -> None:
    master.on("GET /api/v1/jobs/j1", answer(QUEUED), answer(OK))
    assert client.wait("j1").state == "OK"
    assert master.methods() == ["GET /api/v1/jobs/j1?wait=30"] * 2


def test_wait_gives_the_job_as_it_is_after_its_time(master: ScriptedMaster, client: Client) -> None:
    master.on("GET /api/v1/jobs/j1", answer(QUEUED))
    assert client.wait("j1", 0).state == "QUEUED"


def test_wait_outlasts_a_master_that_is_away(master: ScriptedMaster) -> None:
    master.on("GET /api/v1/jobs/j1", answer(QUEUED), LOST, LOST, answer(OK))
    impatient = Client(master.url, "t", patience_s=0)
    assert impatient.wait("j1").state == "OK"
    impatient.close()


def test_wait_does_not_outlast_a_master_that_was_never_there(master: ScriptedMaster) -> None:
    master.on("GET /api/v1/jobs/j1", LOST)
    with pytest.raises(Unreachable):
        Client(master.url, "t", patience_s=0).wait("j1")
    assert len(master.asked) == 1


def test_lists_go_over_all_pages(master: ScriptedMaster, client: Client) -> None:
    pages = [{"items": [{"gid": 1, "nid": n, "state": "online"}], "next": c} for n, c in ((1, "a~"), (2, None))]
    master.on("GET /api/v1/agents", *map(answer, pages))
    assert [agent.nid for agent in client.agents()] == [1, 2]
    assert "cursor=a~" in master.asked[1].path


def test_jobs_are_no_more_than_asked_for(master: ScriptedMaster, client: Client) -> None:
    master.on("GET /api/v1/jobs", answer({"items": [QUEUED] * 5, "next": "x"}))
    assert len(list(client.jobs(state="QUEUED", limit=5))) == 5
    assert master.methods() == ["GET /api/v1/jobs?state=QUEUED&limit=5"]


def test_tasks_have_their_exit_status(master: ScriptedMaster, client: Client) -> None:
    task = {"id": "j1", "agent": {"gid": 1, "nid": 2}, "state": "ERROR", "code": "EXIT_STATUS", "exit_status": 3}
    master.on("GET /api/v1/jobs/j1/tasks", answer({"items": [task], "next": None}))
    (found,) = client.tasks("j1")
    assert (found.agent_id, found.code, found.exit_status, found.data) == ("1:2", "EXIT_STATUS", 3, "")


def test_what_processes_and_hosts_consume_are_numbers_or_missing(master: ScriptedMaster, client: Client) -> None:
    at = {"agent": {"gid": 1, "nid": 2}, "epoch": 5, "step": 30}
    values = {"cpu": 1.5, "rss": None, "fds": "many"}
    master.on("GET /api/v1/processes", answer({"items": [{**at, "domain": "d", "values": values}, {}], "next": None}))
    master.on("GET /api/v1/agents/1:2/stats", answer({**at, "host": values}))
    first, empty = client.processes(domain="d")
    assert (first.agent_id, first.domain, first.name, first.values, first.epoch) == ("1:2", "d", "", {"cpu": 1.5}, 5)
    assert (empty.values, empty.epoch, empty.step) == ({}, None, None)
    told = client.agent_stats("1:2")
    assert (told.agent_id, told.host, told.epoch, told.step) == ("1:2", {"cpu": 1.5}, 5, 30)


def test_hosts_are_what_they_have_told(master: ScriptedMaster, client: Client) -> None:
    items = [{"id": "1:1", "name": "a", "cores": 4, "memory": 1.5}, {"id": "1:2", "cores": None}]
    master.on("GET /api/v1/hosts", answer({"items": items, "next": None}))
    known, new = client.hosts()
    assert (known.id, known.name, known.cores, known.memory) == ("1:1", "a", 4, 1.5)
    assert (new.name, new.cores, new.memory, new.os) == ("", None, None, None)


def test_a_log_without_follow_is_read_in_pages(master: ScriptedMaster, client: Client) -> None:
    pages = [{"items": [{"agent": "1:1", "level": 1, "data": d}], "next": c} for d, c in (("a", "1-0.0"), ("b", None))]
    master.on("GET /api/v1/jobs/j1/log", *map(answer, pages))
    assert [item.data for item in client.log("j1") if isinstance(item, Message)] == ["a", "b"]


def test_a_followed_log_is_taken_up_where_it_was_lost(master: ScriptedMaster, client: Client) -> None:
    master.on(
        "GET /api/v1/jobs/j1/log",
        stream(message("1-0.0", 1, "a"), message("1-0.1", 2, "b"), "id: 9\ndata: {", lost=True),
        refusal(503, "draining", "going down"),
        stream('event: dropped\ndata: {"dropped": 4}\n\n', message("2-0.0", 1, "c"), end(OK)),
    )
    items = list(client.follow("j1"))
    assert [item.data for item in items if isinstance(item, Message)] == ["a", "b", "c"]
    assert Dropped(4) in items
    assert isinstance(items[-1], Ended)
    assert items[-1].job.state == "OK"
    assert [asked.headers.get("Last-Event-ID") for asked in master.asked] == [None, "1-0.1", "1-0.1"]
    assert master.asked[0].headers["Accept"] == "text/event-stream"


def test_a_followed_log_that_ends_without_an_end_is_asked_for_again(master: ScriptedMaster, client: Client) -> None:
    master.on("GET /api/v1/jobs/j1/log", stream(": ping\n\n"), stream("event: new\ndata: x\n\n", end(OK)))
    assert [item for item in client.log("j1", follow=True) if isinstance(item, Message)] == []
    assert len(master.asked) == 2


def test_a_followed_log_that_never_gets_further_is_given_up(master: ScriptedMaster, client: Client) -> None:
    master.on("GET /api/v1/jobs/j1/log", stream(": ping\n\n", lost=True))
    with pytest.raises(Unreachable, match="was lost 20 times"):
        list(client.follow("j1"))


def test_an_event_that_is_not_json_is_an_error(master: ScriptedMaster, client: Client) -> None:
    master.on("GET /api/v1/jobs/j1/log", stream("data: x\n\n"))
    with pytest.raises(ClientError, match="not understood"):
        list(client.follow("j1"))


def test_the_log_of_an_unknown_job_is_not_found(client: Client) -> None:
    with pytest.raises(ApiError) as caught:
        list(client.follow("../j1"))
    assert caught.value.status == 404


def test_cancel_deletes(master: ScriptedMaster, client: Client) -> None:
    master.on("DELETE /api/v1/jobs/j1", answer(QUEUED, 202))
    assert client.cancel("j1").state == "QUEUED"


def test_new_ids_are_uuids_of_version_seven_that_sort_by_time() -> None:
    assert re.fullmatch(r"[0-9a-f]{12}7[0-9a-f]{3}[89ab][0-9a-f]{15}", new_id())


def test_the_client_imports_the_standard_library_only() -> None:
    code = "import sys, deployer.client.client as c; print(*{n.partition('.')[0] for n in sys.modules})"
    done = subprocess.run([sys.executable, "-Sc", code], check=True, capture_output=True, text=True, env=environment())
    assert set(done.stdout.split()) - sys.stdlib_module_names <= {"deployer", "__main__"}


def test_the_client_works_where_twisted_treq_and_msgspec_cannot_be_imported(master: ScriptedMaster) -> None:
    master.on("GET /api/v1/jobs/j1", answer(OK))
    code = (
        "import sys\n"
        "sys.modules.update(dict.fromkeys(('twisted', 'treq', 'msgspec', 'hiredis', 'click')))\n"
        "from deployer.client.client import Client\n"
        f"print(Client({master.url!r}, 't').wait('j1').state)"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, env=environment())
    assert done.stdout == "OK\n"
