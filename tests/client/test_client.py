"""The synchronous client against a scripted master over a real socket."""

import re
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from deployer.client.client import Client
from deployer.client.requests import new_id
from support.programs import environment
from support.scripted import Answer, ScriptedMaster, answer, scripted_master

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


def test_importing_the_asynchronous_client_chooses_no_reactor() -> None:
    code = "import sys, deployer.client.asynchronous; print('twisted.internet.reactor' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, env=environment())
    assert done.stdout == "False\n"
