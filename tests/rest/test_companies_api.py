"""Companies by the API: the installation's admin makes and removes them, everybody else sees the own one."""

from typing import Any

import pytest
from twisted.internet.task import Clock

from deployer.dispatch.upkeep import Upkeep
from deployer.kit.clock import Clock as AnyClock
from deployer.model.access import Role
from deployer.stores.companies import Companies
from support.seeded import COMPANY
from support.served import Served


async def made(served: Served, name: str) -> dict[str, Any]:
    answer = await served.ask("POST", "/api/v1/companies", json={"name": name})
    assert answer.status == 201, answer.json
    assert answer.header("location") == answer.json["href"]
    found: dict[str, Any] = answer.json
    return found


async def test_a_company_is_made_with_a_grid_shown_renamed_and_removed(served: Served) -> None:
    company = await made(served, "globex")
    assert company["name"] == "globex"
    (grid,) = company["grids"]
    assert grid["gid"] != 1
    shown = await served.ask("GET", company["href"])
    assert shown.json == company
    tag = {"If-Match": shown.header("etag")}
    changed = await served.ask("PATCH", company["href"], json={"name": "initech"}, headers=tag)
    assert (changed.status, changed.json["name"]) == (200, "initech")
    assert changed.header("etag") != shown.header("etag")
    late = await served.ask("PATCH", company["href"], json={"name": "other"}, headers=tag)
    assert (late.status, late.code) == (412, "changed")
    assert (await served.ask("DELETE", company["href"], headers=tag)).status == 412
    await made(served, "globex")
    assert (await served.ask("DELETE", company["href"])).json == {"id": company["id"]}
    assert (await served.ask("GET", company["href"])).status == 404
    await made(served, "initech")


async def test_a_name_is_one_companys(served: Served) -> None:
    company = await made(served, "globex")
    assert (await served.ask("POST", "/api/v1/companies", json={"name": "globex"})).status == 409
    assert (await served.ask("PATCH", company["href"], json={"name": "default"})).status == 409
    assert (await served.ask("PATCH", company["href"], json={"name": "globex"})).status == 200


async def test_a_grid_is_one_companys(served: Served) -> None:
    one, other = await made(served, "one"), await made(served, "other")
    assert one["grids"] != other["grids"]
    path = f"{one['href']}/grids"
    taken = await served.ask("POST", path, json={"gid": other["grids"][0]["gid"]})
    assert taken.status == 409
    added = await served.ask("POST", path, json={"gid": 77})
    assert (added.status, added.json) == (201, {"gid": 77})
    assert {"gid": 77} in (await served.ask("GET", one["href"])).json["grids"]
    more = await served.ask("POST", path, json={})
    assert more.json["gid"] not in {1, 77, *(grid["gid"] for grid in one["grids"] + other["grids"])}
    await served.ask("DELETE", one["href"])
    assert (await served.ask("POST", f"{other['href']}/grids", json={"gid": 77})).status == 201


async def test_a_company_with_agents_and_the_installations_own_stay(served: Served) -> None:
    own = f"/api/v1/companies/{COMPANY}"
    assert (await served.ask("DELETE", own)).status == 409
    company = await made(served, "globex")
    agents = f"dpl:c:{company['id']}:agents"
    await served.seeded.redis.call("ZADD", agents, 0, "0000000001:0000000001")
    assert (await served.ask("DELETE", company["href"])).status == 409
    await served.seeded.redis.call("DEL", agents)
    await served.seeded.redis.call("SET", f"dpl:c:{company['id']}:open", 1)
    assert (await served.ask("DELETE", company["href"])).status == 409


async def test_nothing_is_left_of_a_removed_company(served: Served) -> None:
    redis = served.seeded.redis
    company = await made(served, "globex")
    token = await served.token_of("boss", Role.OWNER, company["id"])
    put = await served.ask("PUT", "/api/v1/scripts/d/n", data=b"x", token=token, headers={"Content-Type": "text/plain"})
    assert put.status == 201
    assert (await served.ask("DELETE", company["href"])).status == 200
    clock = Clock()
    as_clock: AnyClock = clock
    upkeep = Upkeep(redis, as_clock, lambda: 0.0)
    await upkeep._retention()
    left = {key for key in await redis.call("KEYS", "*") if company["id"].encode() in key}
    assert left == set()
    assert not await Companies(redis).exists(company["id"])


@pytest.mark.parametrize("role", [Role.VIEWER, Role.OPERATOR, Role.OWNER])
async def test_whoever_is_no_admin_sees_the_own_company_only(served: Served, role: Role) -> None:
    mine, other = await made(served, "mine"), await made(served, "other")
    token = await served.token_of("sam", role, mine["id"])
    listed = await served.ask("GET", "/api/v1/companies", token=token)
    assert [one["id"] for one in listed.json["items"]] == [mine["id"]]
    assert (await served.ask("GET", mine["href"], token=token)).json["agents"]["href"] == "/api/v1/agents"
    for method in ("GET", "PATCH"):
        body = {"json": {"name": "taken-over"}} if method == "PATCH" else {}
        answers = [
            await served.ask(method, f"/api/v1/companies/{id_}", token=token, **body)
            for id_ in (other["id"], COMPANY, "none")
        ]
        allowed = method == "GET" or role is Role.OWNER
        assert {(one.status, one.json["detail"]) for one in answers} == {
            (404, "this company does not exist") if allowed else (403, answers[0].json["detail"])
        }
    renamed = await served.ask("PATCH", mine["href"], json={"name": "ours"}, token=token)
    assert renamed.status == (200 if role is Role.OWNER else 403)
    for method, path in (
        ("POST", "/api/v1/companies"),
        ("DELETE", mine["href"]),
        ("DELETE", other["href"]),
        ("POST", f"{mine['href']}/grids"),
    ):
        assert (await served.ask(method, path, json={"name": "n"}, token=token)).status == 403


async def test_the_admin_lists_all_in_pages(served: Served) -> None:
    wanted = {COMPANY} | {(await made(served, f"c{n}"))["id"] for n in range(3)}
    seen: list[str] = []
    path = "/api/v1/companies?limit=2"
    while path:
        page = (await served.ask("GET", path)).json
        seen += [one["id"] for one in page["items"]]
        path = f"/api/v1/companies?limit=2&cursor={page['next']}" if page["next"] else ""
    assert sorted(wanted) == seen


@pytest.mark.parametrize("name", ["", "A", "-a", "a b", "a" * 64, "é", "a\n", "a/b", 5, None])
async def test_a_name_that_is_none_is_refused(served: Served, name: object) -> None:
    refused = await served.ask("POST", "/api/v1/companies", json={"name": name})
    assert (refused.status, refused.pointers) == (422, ["/name"])


@pytest.mark.parametrize("field", ["id", "users", "agents", "grids", "created"])
async def test_what_is_not_the_clients_to_set_is_refused(served: Served, field: str) -> None:
    assert (await served.ask("POST", "/api/v1/companies", json={"name": "n", field: []})).status == 422
    refused = await served.ask("PATCH", f"/api/v1/companies/{COMPANY}", json={"name": "n", field: []})
    assert (refused.status, refused.pointers) == (422, [f"/{field}"])
