"""`POST /write` and `/api/v2/write`, as Telegraf and other clients of InfluxDB send."""

import base64
import gzip
import time
from typing import Any

import pytest

from deployer.errors import UnavailableError
from deployer.model.access import Role
from support.seeded import COMPANY
from support.served import Reply, Served

PATHS = ("/write", "/api/v2/write")


async def write(served: Served, body: bytes, path: str = "/write", **more: Any) -> Reply:
    return await served.ask("POST", path, data=body, **more)


def stored(served: Served, company: str = COMPANY) -> dict[str, float]:
    return {one.series: one.value for one in served.numbers.get(company, [])}


@pytest.mark.parametrize("path", PATHS)
async def test_numbers_are_stored_in_the_company_of_the_token(served: Served, path: str) -> None:
    now = int(time.time())
    body = f'cpu,host=web1 user=1.5,ok=t,s="x" {now}000000000\nmem free=3i\n'.encode()
    reply = await write(served, body, f"{path}?db=other&bucket=b&org=o&rp=x")
    assert (reply.status, reply.body) == (204, b"")
    assert stored(served) == {"cpu.user;host=web1": 1.5, "cpu.ok;host=web1": 1, "mem.free": 3}
    assert served.numbers[COMPANY][0].at == now
    token = await served.token_of("sam", Role.OPERATOR, "globex")
    assert (await write(served, b"x y=1", f"{path}?db={COMPANY}", token=token)).status == 204
    assert stored(served, "globex") == {"x.y": 1}
    assert "x.y" not in stored(served)


@pytest.mark.parametrize("path", PATHS)
async def test_the_token_comes_as_bearer_token_or_password(served: Served, path: str) -> None:
    token = served.seeded.admin.text
    basic = base64.b64encode(f"anybody:{token}".encode()).decode()
    for header in (f"Bearer {token}", f"Token {token}", f"Basic {basic}"):
        reply = await write(served, b"a b=1", path, token=None, headers={"Authorization": header})
        assert reply.status == 204, header
    for header in ("Basic !", f"Basic {base64.b64encode(token.encode()).decode()}", "Token x", "Token", "Digest x"):
        reply = await write(served, b"a b=1", path, token=None, headers={"Authorization": header})
        assert (reply.status, reply.code) == (401, "unauthorized"), header
    assert (await write(served, b"a b=1", f"{path}?u=x&p={token}", token=None)).status == 401


@pytest.mark.parametrize(("role", "status"), [(Role.VIEWER, 403), (Role.OPERATOR, 204), (Role.OWNER, 204)])
async def test_who_only_reads_may_not_write(served: Served, role: Role, status: int) -> None:
    token = await served.token_of("sam", role)
    assert (await write(served, b"a b=1", token=token)).status == status
    assert bool(stored(served)) is (status == 204)


async def test_no_other_route_takes_these_forms_of_a_token(served: Served) -> None:
    token = served.seeded.admin.text
    basic = base64.b64encode(f"x:{token}".encode()).decode()
    for header in (f"Token {token}", f"Basic {basic}"):
        reply = await served.ask("GET", "/api/v1/jobs", token=None, headers={"Authorization": header})
        assert reply.status == 401


async def test_of_a_body_with_bad_lines_the_good_ones_are_stored(served: Served) -> None:
    body = b"a b=1\nbad\na c=nan\nagents.1.1.host cpu=1\na d=1 5\na e=2"
    reply = await write(served, body)
    assert reply.status == 400
    assert reply.json["error"].startswith("partial write: 2 lines cannot be read, 1 names and 1 times cannot be kept")
    assert "dropped=4" in reply.json["error"]
    assert "line 2: bad" in reply.json["error"]
    assert reply.json["code"] == "invalid"
    assert reply.json["message"] == reply.json["error"]
    assert stored(served) == {"a.b": 1, "a.e": 2}
    text = (await served.ask("GET", "/metrics")).body.decode()
    assert 'deployer_written_total{what="bad_lines"} 2.0' in text
    assert 'deployer_written_total{what="points"} 2.0' in text


async def test_a_body_may_be_packed_and_is_bounded_all_the_same(served: Served) -> None:
    headers = {"Content-Encoding": "gzip"}
    assert (await write(served, gzip.compress(b"a b=1"), headers=headers)).status == 204
    assert stored(served) == {"a.b": 1}
    bomb = gzip.compress(b"a b=1\n" * 10_000_000)
    assert (await write(served, bomb, headers=headers)).code == "body_too_large"
    for broken in (b"a b=1", gzip.compress(b"a b=1")[:-9], b""):
        assert (await write(served, broken, headers=headers)).status == 400
    assert (await write(served, b"a b=1", headers={"Content-Encoding": "br"})).status == 415
    assert (await write(served, b"a b=1\n" * 200_000)).status == 413


async def test_many_lines_are_stored_in_parts(served: Served) -> None:
    body = b"\n".join(b"a,n=%d b=%d" % (number, number) for number in range(5000))
    assert (await write(served, body)).status == 204
    assert len(stored(served)) == 5000


async def test_a_store_that_is_away_is_told_so_that_the_client_tries_again(served: Served) -> None:
    served.store_trouble = UnavailableError("the metric store is away")
    reply = await write(served, b"a b=1")
    assert (reply.status, reply.header("retry-after")) == (503, "1")


@pytest.mark.parametrize("path", PATHS)
async def test_only_post_is_served_and_only_known_precisions(served: Served, path: str) -> None:
    reply = await served.ask("GET", path)
    assert (reply.status, reply.header("allow")) == (405, "POST")
    assert (await write(served, b"a b=1", f"{path}?precision=fortnight")).status == 400
    assert (await write(served, b"a b=1 %d" % time.time(), f"{path}?precision=s")).status == 204


async def test_an_empty_body_is_stored_as_nothing(served: Served) -> None:
    assert (await write(served, b"")).status == 204
    assert stored(served) == {}


async def test_who_is_limited_to_some_agents_writes_no_series_of_the_company(served: Served) -> None:
    made = await served.ask("POST", "/api/v1/users", json={"name": "eve", "role": "operator", "agents": ["1:1"]})
    assert made.status == 201, made.body
    token = (await served.ask("POST", "/api/v1/tokens", json={"name": "her own", "user": "eve"})).json["token"]
    assert (await write(served, b"a b=1", token=token)).status == 403
    assert not stored(served)


async def test_clients_find_out_that_lines_are_taken_here(served: Served) -> None:
    for method in ("GET", "HEAD"):
        reply = await served.ask(method, "/ping", token=None)
        assert (reply.status, reply.body) == (204, b"")
    reply = await served.ask("POST", "/ping", token=None)
    assert (reply.status, reply.code) == (405, "method_not_allowed")
