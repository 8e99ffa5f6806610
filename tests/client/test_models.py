"""Models fetch what they refer to when they are asked for it, once."""

import copy
import pickle
from collections.abc import Iterator
from typing import Any

import pytest

from deployer.client import records
from deployer.client.client import Client
from deployer.client.errors import ApiError, ClientError, Gone
from deployer.client.models import Agent, Host, Job, Thing
from support.scripted import ScriptedMaster, answer, refusal, scripted_master

AGENT: dict[str, Any] = {
    "gid": 1,
    "nid": 2,
    "href": "/api/v1/agents/1:2",
    "state": "online",
    "host": {"href": "/api/v1/hosts/1:2"},
    "company": {"id": "c1", "href": "/api/v1/companies/c1"},
}
HOST: dict[str, Any] = {
    "id": "1:2",
    "href": "/api/v1/hosts/1:2",
    "name": "web2",
    "agent": {"gid": 1, "nid": 2, "href": "/api/v1/agents/1:2"},
}
USER: dict[str, Any] = {"name": "ann", "role": "owner", "href": "/api/v1/users/ann?company=c1", "agents": None}
JOB: dict[str, Any] = {
    "id": "j1",
    "href": "/api/v1/jobs/j1",
    "state": "RUNNING",
    "user": {"id": "ann", "href": "/api/v1/users/ann?company=c1"},
    "tasks": {"href": "/api/v1/jobs/j1/tasks", "counts": {"RUNNING": 1}},
}
TASK: dict[str, Any] = {"id": "j1", "agent": HOST["agent"], "runs": {"href": "/api/v1/jobs/j1/tasks/1:2/runs"}}
PROCESS: dict[str, Any] = {
    "id": "p1",
    "href": "/api/v1/processes/p1",
    "agent": HOST["agent"],
    "job": {"id": "j1", "href": "/api/v1/jobs/j1"},
    "user": JOB["user"],
}


@pytest.fixture
def master() -> Iterator[ScriptedMaster]:
    with scripted_master() as one:
        one.on("GET /api/v1/agents/1:2", answer(AGENT))
        one.on("GET /api/v1/hosts/1:2", answer(HOST))
        one.on("GET /api/v1/users/ann", answer(USER))
        one.on("GET /api/v1/companies/c1", answer({"id": "c1", "name": "acme", "href": "/api/v1/companies/c1"}))
        one.on("GET /api/v1/jobs/j1", answer(JOB))
        one.on("GET /api/v1/jobs/j1/tasks", answer({"items": [TASK], "next": None}))
        one.on("GET /api/v1/jobs/j1/tasks/1:2/runs", answer({"items": [{"run": 1, "state": "OK"}], "next": None}))
        one.on("GET /api/v1/processes", answer({"items": [PROCESS], "next": None}))
        one.on("GET /api/v1/processes/p1", answer(PROCESS))
        yield one


@pytest.fixture
def client(master: ScriptedMaster) -> Iterator[Client]:
    one = Client(master.url, "t", patience_s=0)
    yield one
    one.close()


def test_a_reference_gives_the_thing_that_it_refers_to(client: Client) -> None:
    (process,) = client.processes()
    assert process.job is not None
    (task,) = process.job.tasks
    assert isinstance(task.agent, Agent)
    assert (task.agent.state, task.agent.host.name, task.agent.host.agent.nid) == ("online", "web2", 2)
    assert [run.state for run in task.runs] == ["OK"]


def test_what_was_fetched_is_kept(master: ScriptedMaster, client: Client) -> None:
    job = client.job("j1")
    assert job.tasks is job.tasks
    assert job.tasks[0].agent.host is job.tasks[0].agent.host
    assert master.methods() == [
        f"GET /api/v1/{path}" for path in ("jobs/j1", "jobs/j1/tasks", "agents/1:2", "hosts/1:2")
    ]


def test_nothing_is_fetched_by_looking_at_it(master: ScriptedMaster, client: Client) -> None:
    job = client.job("j1")
    assert "RUNNING" in repr(job)
    assert job == client.job("j1")
    assert job != records.Job.read(JOB)
    assert copy.copy(job).state == copy.deepcopy(job).state == pickle.loads(pickle.dumps(job)).state  # noqa: S301 (ours)
    assert len(master.asked) == 2


def test_a_copy_says_that_it_has_no_client(client: Client) -> None:
    with pytest.raises(ClientError, match="job j1 is a copy that knows no client"):
        _ = copy.copy(client.job("j1")).tasks


def test_nouns_without_a_class_have_their_fields_as_attributes(master: ScriptedMaster, client: Client) -> None:
    user = client.job("j1").user
    assert isinstance(user, Thing)
    assert (user.name, user.role, user.agents) == ("ann", "owner", None)
    assert master.asked[-1].path == "/api/v1/users/ann?company=c1"
    assert client.job("j1").tasks[0].agent.company.name == "acme"
    with pytest.raises(AttributeError, match="no 'rank': it has agents, href, name, role"):
        _ = user.rank
    assert copy.deepcopy(user).name == "ann"


def test_a_thing_that_is_read_by_its_path_follows_too(client: Client) -> None:
    monitor = client.thing("/api/v1/processes/p1")
    assert isinstance(monitor.job, Job)
    assert isinstance(monitor.agent.host, Host)


def test_a_reference_to_nothing_is_none(master: ScriptedMaster, client: Client) -> None:
    master.on("GET /api/v1/processes", answer({"items": [{**PROCESS, "job": None, "user": None}], "next": None}))
    (process,) = client.processes()
    assert (process.job, process.user) == (None, None)


def test_lists_are_read_over_all_pages(master: ScriptedMaster, client: Client) -> None:
    pages = [{"items": [{**TASK, "id": i}], "next": n} for i, n in (("a", "c~1"), ("b", "c~2"), ("c", None))]
    master.on("GET /api/v1/jobs/j1/tasks", *map(answer, pages))
    assert [task.id for task in client.job("j1").tasks] == ["a", "b", "c"]
    assert master.asked[-1].path == "/api/v1/jobs/j1/tasks?cursor=c~2"


def test_what_has_gone_is_an_error_that_says_what_and_where(master: ScriptedMaster, client: Client) -> None:
    master.on("GET /api/v1/agents/1:2", refusal(404, "not_found", "no"))
    with pytest.raises(Gone, match="'agent' of task j1 refers to /api/v1/agents/1:2, which is not there") as caught:
        _ = client.job("j1").tasks[0].agent
    assert caught.value.status == 404


def test_other_errors_stay_what_they_are_and_are_not_kept(master: ScriptedMaster, client: Client) -> None:
    master.on("GET /api/v1/agents/1:2", refusal(403, "forbidden", "no"), answer(AGENT))
    (task,) = client.job("j1").tasks
    with pytest.raises(ApiError) as caught:
        _ = task.agent
    assert not isinstance(caught.value, Gone)
    assert task.agent.nid == 2


def test_refresh_reads_it_again_and_forgets_what_was_kept(master: ScriptedMaster, client: Client) -> None:
    job = client.job("j1")
    assert [task.id for task in job.tasks] == ["j1"]
    master.on("GET /api/v1/jobs/j1", answer({**JOB, "state": "OK"}))
    master.on("GET /api/v1/jobs/j1/tasks", answer({"items": [], "next": None}))
    assert job.refresh() is job
    assert (job.state, job.final, job.tasks) == ("OK", True, [])


def test_refresh_of_what_has_gone_or_has_no_address(master: ScriptedMaster, client: Client) -> None:
    job = client.job("j1")
    with pytest.raises(ClientError, match="task j1 has no address of its own"):
        job.tasks[0].refresh()
    master.on("GET /api/v1/jobs/j1", refusal(404, "not_found", "no"))
    with pytest.raises(Gone, match=r"^job j1 is not there any more"):
        job.refresh()


@pytest.mark.parametrize("href", ["https://elsewhere/api/v1/x", "//elsewhere/api/v1/x", "/other", "@host/"])
def test_a_reference_that_leads_elsewhere_is_not_followed(client: Client, href: str) -> None:
    job = Job.of(client._fetch, {**JOB, "user": {"href": href}})
    with pytest.raises(ClientError, match="no path of a master"):
        _ = job.user


def test_a_field_that_is_no_reference_cannot_be_followed(client: Client) -> None:
    with pytest.raises(ClientError, match="'state' of job j1 is no reference"):
        client.job("j1").link("state")
