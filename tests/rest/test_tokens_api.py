"""Tokens by the API: shown once, listed without their secret, given with no more rights than the giver has, revoked."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from deployer.model.access import Role
from deployer.protocol.ids import AgentId
from deployer.stores.tokens import USER, Token, Tokens
from support.seeded import COMPANY
from support.served import Served, WireAgent


def ahead(**time: float) -> str:
    return (datetime.now(UTC) + timedelta(**time)).isoformat()


async def made(served: Served, path: str = "tokens", **body: Any) -> dict[str, Any]:
    answer = await served.ask("POST", f"/api/v1/{path}", json={"name": "n", **body})
    assert answer.status == 201, answer.json
    assert answer.header("location") == answer.json["href"]
    found: dict[str, Any] = answer.json
    return found


async def test_a_token_opens_until_it_is_revoked(served: Served) -> None:
    token = await made(served, user="eve", role="viewer")
    me = await served.ask("GET", "/api/v1/user", token=token["token"])
    assert me.json == {"user": "eve", "company": COMPANY, "role": "viewer", "token": token["id"]}
    assert (await served.ask("DELETE", token["href"])).json == {"id": token["id"]}
    assert await Tokens(served.seeded.redis).caller(Token.parse(token["token"])) is None  # type: ignore[arg-type]
    assert (await served.ask("DELETE", token["href"])).status == 404


async def test_a_list_tells_all_but_the_secret(served: Served) -> None:
    token = await made(served, name="ci", user="ci", role="operator", expires=ahead(days=1))
    await served.ask("GET", "/api/v1/user", token=token["token"])
    page = (await served.ask("GET", "/api/v1/tokens")).json
    by_name = {item["name"]: item for item in page["items"]}
    assert set(by_name) == {"first start", "ci"}
    item = by_name["ci"]
    assert "token" not in item
    assert token["token"].rpartition("_")[2] not in str(page)
    assert (item["user"], item["role"], item["by"]) == ("ci", "operator", "admin")
    assert item["created"] < item["expires"]
    assert item["used"] is not None


async def test_a_token_that_has_expired_opens_nothing_and_is_gone_from_the_list(served: Served) -> None:
    token = await made(served, user="eve", expires=ahead(seconds=0.5))
    parsed = Token.parse(token["token"])
    assert parsed is not None
    end = datetime.now(UTC) + timedelta(seconds=30)
    while await Tokens(served.seeded.redis).caller(parsed) is not None:
        assert datetime.now(UTC) < end
    assert token["id"] not in str((await served.ask("GET", "/api/v1/tokens")).json)


@pytest.mark.parametrize(
    ("role", "given", "status"),
    [
        (Role.VIEWER, "viewer", 403),
        (Role.OPERATOR, "viewer", 403),
        (Role.OWNER, "admin", 403),
        (Role.OWNER, "owner", 201),
        (Role.OWNER, "viewer", 201),
        (Role.ADMIN, "admin", 201),
    ],
)
async def test_nobody_gives_a_right_that_he_lacks(served: Served, role: Role, given: str, status: int) -> None:
    token = Token.new(USER)
    await Tokens(served.seeded.redis).add_user_token(token, COMPANY, "sam", role)
    answer = await served.ask("POST", "/api/v1/tokens", json={"name": "n", "role": given}, token=token.text)
    assert answer.status == status


async def test_another_companys_tokens_are_not_there(served: Served) -> None:
    stranger = Token.new(USER)
    await Tokens(served.seeded.redis).add_user_token(stranger, "other", "mallory", Role.OWNER)
    ours = await made(served, user="eve")
    joining = await made(served, "join-tokens")
    for path in ("tokens", "join-tokens"):
        listed = await served.ask("GET", f"/api/v1/{path}", token=stranger.text)
        assert ours["id"] not in str(listed.json)
        assert joining["id"] not in str(listed.json)
    for href in (ours["href"], joining["href"]):
        assert (await served.ask("DELETE", href, token=stranger.text)).status == 404
    grid = await served.ask("POST", "/api/v1/join-tokens", json={"name": "n", "gid": 1}, token=stranger.text)
    assert (grid.status, grid.json["errors"][0]["pointer"]) == (422, "/gid")


async def test_a_join_token_is_good_as_often_as_it_says(served: Served) -> None:
    token = await made(served, "join-tokens", uses=1)
    assert (await WireAgent(served, AgentId(1, 20)).join(token["token"])).status == 200
    assert (await WireAgent(served, AgentId(1, 21)).join(token["token"])).status == 401
    many = await made(served, "join-tokens", uses=None)
    for nid in (22, 23):
        assert (await WireAgent(served, AgentId(1, nid)).join(many["token"])).status == 200
    assert (await served.ask("DELETE", many["href"])).status == 200
    assert (await WireAgent(served, AgentId(1, 24)).join(many["token"])).status == 401
    listed = (await served.ask("GET", "/api/v1/join-tokens")).json["items"]
    assert {item["name"]: item["uses"] for item in listed} == {"first start": None, "n": 0}


@pytest.mark.parametrize(
    ("path", "body", "pointer"),
    [
        ("tokens", {}, ""),
        ("tokens", {"name": ""}, "/name"),
        ("tokens", {"name": "n", "role": "god"}, "/role"),
        ("tokens", {"name": "n", "company": "other"}, "/company"),
        ("tokens", {"name": "n", "user": "a b"}, "/user"),
        ("tokens", {"name": "n", "expires": "2001-01-01T00:00:00Z"}, "/expires"),
        ("join-tokens", {"name": "n", "uses": 0}, "/uses"),
        ("join-tokens", {"name": "n", "gid": 99}, "/gid"),
        ("join-tokens", {"name": "n", "expires": "2999-01-01T00:00:00Z"}, "/expires"),
    ],
)
async def test_what_does_not_fit_is_refused(served: Served, path: str, body: dict[str, Any], pointer: str) -> None:
    answer = await served.ask("POST", f"/api/v1/{path}", json=body)
    assert answer.status == 422
    assert answer.json["errors"][0]["pointer"].startswith(pointer)
