"""Users by the API: who may make and change whom, and that tokens feel it at once on every master."""

import time
from typing import Any

import pytest
from twisted.internet.endpoints import clientFromString

from deployer.kit.clock import sleep
from deployer.model.access import Role
from deployer.stores import keys
from support.seeded import COMPANY, Seeded
from support.served import Reply, Served, WireAgent

ROLES = ["viewer", "operator", "owner", "admin"]


async def made(served: Served, name: str, token: str | None = None, **fields: Any) -> dict[str, Any]:
    more = {} if token is None else {"token": token}
    answer = await served.ask("POST", "/api/v1/users", json={"name": name, **fields}, **more)
    assert answer.status == 201, answer.json
    found: dict[str, Any] = answer.json
    return found


async def changed(served: Served, name: str, token: str | None = None, /, **fields: Any) -> Reply:
    more = {} if token is None else {"token": token}
    return await served.ask("PATCH", f"/api/v1/users/{name}", json=fields, **more)


async def token_for(served: Served, name: str, **body: Any) -> str:
    answer = await served.ask("POST", "/api/v1/tokens", json={"name": "n", "user": name, **body})
    assert answer.status == 201, answer.json
    return str(answer.json["token"])


async def test_a_user_is_made_shown_changed_and_removed(served: Served) -> None:
    user = await made(served, "eve", email="eve@example.com", role="operator", agents=["1:2", "1:1"])
    company = {"id": COMPANY, "href": f"/api/v1/companies/{COMPANY}"}
    assert user == {
        "id": "eve",
        "href": "/api/v1/users/eve",
        "name": "eve",
        "email": "eve@example.com",
        "company": company,
        "agents": ["1:1", "1:2"],
        "role": "operator",
        "disabled": False,
        "has_password": False,
        "created": user["created"],
    }
    shown = await served.ask("GET", user["href"])
    assert shown.json == user
    tag = {"If-Match": shown.header("etag")}
    body: dict[str, Any] = {"email": None, "agents": None, "role": "viewer", "disabled": True}
    answer = await served.ask("PATCH", user["href"], json=body, headers=tag)
    assert answer.json == {**user, **body}
    assert (await served.ask("PATCH", user["href"], json={}, headers=tag)).status == 412
    assert (await served.ask("DELETE", user["href"], headers=tag)).status == 412
    assert (await served.ask("DELETE", user["href"], headers={"If-Match": answer.header("etag")})).status == 200
    assert (await served.ask("GET", user["href"])).status == 404


async def test_the_first_admin_is_a_user(served: Served) -> None:
    listed = (await served.ask("GET", "/api/v1/users")).json["items"]
    assert [(one["name"], one["role"]) for one in listed] == [("admin", "admin")]


async def test_users_are_listed_by_name_in_pages_and_by_agent(served: Served) -> None:
    for name, agents in (("b", ["1:1"]), ("a", None), ("c", [])):
        await made(served, name, agents=agents)
    page = (await served.ask("GET", "/api/v1/users?limit=3")).json
    rest = (await served.ask("GET", f"/api/v1/users?limit=3&cursor={page['next']}")).json
    assert [one["name"] for one in page["items"] + rest["items"]] == ["a", "admin", "b", "c"]
    assert rest["next"] is None
    of_agent = (await served.ask("GET", "/api/v1/users?agent=1:1")).json["items"]
    assert [one["name"] for one in of_agent] == ["a", "admin", "b"]
    assert (await served.ask("POST", "/api/v1/users", json={"name": "a"})).status == 409


@pytest.mark.parametrize("field", ["id", "company", "created", "password", "name", "version", "href", "seal"])
async def test_what_is_not_the_clients_to_set_is_refused(served: Served, field: str) -> None:
    await made(served, "eve")
    refused = await changed(served, "eve", **{field: "x"})
    assert (refused.status, refused.pointers) == (422, [f"/{field}"])
    if field not in {"name", "company"}:
        assert (await served.ask("POST", "/api/v1/users", json={"name": "x", field: "x"})).status == 422


@pytest.mark.parametrize("field", ["company", "state", "user", "epoch", "by"])
async def test_a_job_is_whose_it_is(served: Served, field: str) -> None:
    refused = await served.submit(**{field: "OK"})
    assert (refused.status, refused.pointers) == (422, [f"/{field}"])


@pytest.mark.parametrize(
    ("fields", "pointer"),
    [
        ({"name": "A"}, "/name"),
        ({"email": "x"}, "/email"),
        ({"role": "god"}, "/role"),
        ({"agents": ["1"]}, "/agents/0"),
        ({"agents": ["1:9999999999"]}, "/agents"),
        ({"agents": ["1:1"] * 1001}, "/agents"),
        ({"disabled": 1}, "/disabled"),
    ],
)
async def test_what_does_not_fit_is_refused(served: Served, fields: dict[str, Any], pointer: str) -> None:
    refused = await served.ask("POST", "/api/v1/users", json={"name": "n", **fields})
    assert (refused.status, refused.pointers) == (422, [pointer])


@pytest.mark.parametrize("own", ROLES)
@pytest.mark.parametrize("given", ROLES)
async def test_nobody_gives_or_changes_a_role_above_the_own(served: Served, own: str, given: str) -> None:
    token = await served.token_of("sam", Role(own))
    may = own == "admin" or (own == "owner" and given != "admin")
    answer = await served.ask("POST", "/api/v1/users", json={"name": "new", "role": given}, token=token)
    assert answer.status == (201 if may else 403)
    await made(served, "old", role=given)
    await made(served, "low", role="viewer")
    manages = own in {"owner", "admin"}
    assert (await changed(served, "low", token, role=given)).status == (200 if may else 403)
    assert (await changed(served, "old", token, email="x@y")).status == (200 if may else 403)
    assert (await changed(served, "old", token, role="viewer")).status == (200 if may else 403)
    body = {"name": "n", "user": "other"}
    await made(served, "other", role=given)
    assert (await served.ask("POST", "/api/v1/tokens", json=body, token=token)).status == (201 if may else 403)
    assert (await served.ask("DELETE", "/api/v1/users/other", token=token)).status == (200 if may else 403)
    assert (await served.ask("GET", "/api/v1/users/low", token=token)).status == (200 if manages else 403)
    assert (await served.ask("GET", "/api/v1/users/none", token=token)).status == (404 if manages else 403)
    assert (await served.ask("GET", "/api/v1/users/sam", token=token)).status == 200


@pytest.mark.parametrize("fields", [{"role": "admin"}, {"role": "viewer"}, {"disabled": True}, {"agents": ["1:1"]}])
async def test_nobody_changes_the_own_rights(served: Served, fields: dict[str, Any]) -> None:
    token = await served.token_of("sam", Role.OWNER)
    assert (await changed(served, "sam", token, **fields)).status == 403
    assert (await changed(served, "sam", token, email="x@y")).status == 200
    assert (await served.ask("DELETE", "/api/v1/users/sam", token=token)).status == 403


@pytest.mark.parametrize("fields", [{"role": "operator"}, {"disabled": True}, None])
async def test_the_last_owner_stays(served: Served, fields: dict[str, Any] | None) -> None:
    company = (await served.ask("POST", "/api/v1/companies", json={"name": "globex"})).json["id"]
    at = f"?company={company}"

    async def tried(name: str) -> int:
        path = f"/api/v1/users/{name}{at}"
        if fields is None:
            return (await served.ask("DELETE", path)).status
        return (await served.ask("PATCH", path, json=fields)).status

    await made(served, "one", company=company, role="owner")
    await made(served, "off", company=company, role="owner", disabled=True)
    assert await tried("one") == 409
    await made(served, "two", company=company, role="owner")
    assert await tried("one") == 200
    assert await tried("two") == 409


async def test_a_token_has_the_lesser_of_its_role_and_its_users(served: Served) -> None:
    await made(served, "eve", role="owner")
    token = await token_for(served, "eve", role="operator")
    assert await role_is(served, token, "operator")
    assert (await changed(served, "eve", role="viewer")).status == 200
    await within_a_second(served, lambda: role_is(served, token, "viewer"))
    assert (await changed(served, "eve", role="admin")).status == 200
    await within_a_second(served, lambda: role_is(served, token, "operator"))


async def role_is(served: Served, token: str, role: str) -> bool:
    return bool((await served.ask("GET", "/api/v1/user", token=token)).json["role"] == role)


async def within_a_second(served: Served, holds: Any) -> None:
    """On the clock of the caches, with as much again for a slow machine."""
    end = time.monotonic() + 5
    while not await holds():
        assert time.monotonic() < end
        await sleep(served.clock, 0.05)


@pytest.mark.parametrize("end", ["disabled", "removed", "expired", "revoked"])
async def test_what_ends_on_one_master_ends_on_the_other(
    served: Served, seeded: Seeded, redis_socket: Any, end: str
) -> None:
    other = Served(seeded, served.clock, clientFromString(served.clock, f"unix:{redis_socket}"))
    await other.start()
    try:
        await made(served, "eve", role="operator")
        token = await token_for(served, "eve")
        masters = (served, other)
        for master in masters:
            assert (await master.ask("GET", "/api/v1/user", token=token)).status == 200
        if end == "disabled":
            assert (await changed(served, "eve", disabled=True)).status == 200
        elif end == "removed":
            assert (await served.ask("DELETE", "/api/v1/users/eve")).status == 200
        elif end == "revoked":
            kid = token.split("_")[1]
            assert (await served.ask("DELETE", f"/api/v1/tokens/{kid}")).status == 200
        else:
            await seeded.redis.call("PEXPIRE", keys.token(token.split("_")[1]), 1)
        for master in masters:
            await within_a_second(master, lambda master=master: refused(master, token))
        if end == "removed":
            await made(served, "eve", role="operator")
            assert (await other.ask("GET", "/api/v1/user", token=token)).status == 401
    finally:
        await other.stop()


async def refused(served: Served, token: str) -> bool:
    return (await served.ask("GET", "/api/v1/user", token=token)).status == 401


async def test_a_log_that_is_followed_ends_with_the_readers_token(served: Served, agent: WireAgent) -> None:
    await made(served, "eve", role="viewer")
    token = await token_for(served, "eve")
    await served.submit(target="1:7", id="long")
    raw = served.begin("/api/v1/jobs/long/log", token)
    await served.until(lambda: len(served.hub) > 0)
    assert (await served.ask("DELETE", "/api/v1/users/eve")).status == 200
    await within_a_second(served, lambda: refused(served, token))
    await agent.poll()
    await agent.run("long")
    await served.until(lambda: len(served.hub) == 0)
    answer = b""
    while part := raw.recv(65536):
        answer += part
        if b"0\r\n\r\n" in answer:
            break
    raw.close()
    assert b"200 OK" in answer
    assert b"event: end" not in answer


async def test_another_companys_users_are_not_there_except_for_the_admin(served: Served) -> None:
    company = (await served.ask("POST", "/api/v1/companies", json={"name": "globex"})).json["id"]
    user = await made(served, "bob", company=company, role="owner")
    assert user["href"] == f"/api/v1/users/bob?company={company}"
    assert (await served.ask("GET", user["href"])).json == user
    listed = (await served.ask("GET", f"/api/v1/users?company={company}")).json["items"]
    assert [one["name"] for one in listed] == ["bob"]
    token = await served.token_of("sam", Role.OWNER)
    for path in (user["href"], f"/api/v1/users?company={company}", "/api/v1/users?company=none"):
        answer = await served.ask("GET", path, token=token)
        assert (answer.status, answer.json["detail"]) == (404, "this company does not exist")
    body = {"name": "x", "company": company}
    assert (await served.ask("POST", "/api/v1/users", json=body, token=token)).status == 404
    assert (await served.ask("POST", "/api/v1/users", json={"name": "x", "company": "none"})).status == 404
    assert (await served.ask("GET", "/api/v1/users/bob", token=token)).status == 404


async def test_an_owner_cannot_end_the_tokens_of_the_admin(served: Served) -> None:
    token = await served.token_of("sam", Role.OWNER)
    assert (await served.ask("DELETE", f"/api/v1/tokens/{served.seeded.admin.kid}", token=token)).status == 403
    assert (await served.ask("GET", "/api/v1/user")).status == 200


async def test_what_a_client_has_already_is_not_sent_again(served: Served) -> None:
    await made(served, "eve")
    tag = (await served.ask("GET", "/api/v1/users/eve")).header("etag")
    for known in (tag, f"W/{tag}", f'"x", {tag}', "*"):
        reply = await served.ask("GET", "/api/v1/users/eve", headers={"If-None-Match": known})
        assert (reply.status, reply.body, reply.header("etag")) == (304, b"", tag), known
    for other in ('"x"', "x", '""'):
        assert (await served.ask("GET", "/api/v1/users/eve", headers={"If-None-Match": other})).status == 200
    await changed(served, "eve", role="operator")
    reply = await served.ask("GET", "/api/v1/users/eve", headers={"If-None-Match": tag})
    assert (reply.status, reply.json["role"]) == (200, "operator")
    assert (await served.ask("GET", "/api/v1/jobs", headers={"If-None-Match": "*"})).status == 200
