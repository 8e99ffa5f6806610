"""Browsers: log-in by password, the session's cookie, and what no foreign page can do with it."""

import time
from typing import Any

import pytest
from twisted.internet.endpoints import clientFromString
from twisted.logger import LogEvent, formatEvent, globalLogPublisher

from deployer.kit.clock import sleep
from deployer.kit.passwords import MOST_WAITING
from deployer.model import limits
from deployer.model.access import Role
from deployer.rest.attempts import A_MINUTE
from deployer.rest.session import PASSWORDS_A_MINUTE
from deployer.stores import keys
from deployer.stores.logins import digest_of
from support.seeded import COMPANY, Seeded
from support.served import Reply, Served

PASSWORD = "CANARY correct horse battery"
PATH = "/api/v1/session"


async def with_password(served: Served, name: str = "eve", role: Role = Role.OPERATOR) -> None:
    made = await served.ask("POST", "/api/v1/users", json={"name": name, "role": role.value})
    assert made.status == 201, made.json
    done = await served.ask("PUT", f"/api/v1/users/{name}/password", json={"password": PASSWORD})
    assert (done.status, done.json) == (200, {"user": name})


async def log_in(served: Served, user: str = "eve", password: str = PASSWORD, **headers: str) -> Reply:
    body = {"user": user, "password": password}
    return await served.ask("POST", PATH, json=body, token=None, headers=headers)


class Browser:
    """Keeps the cookie and the CSRF token."""

    def __init__(self, served: Served, login: Reply) -> None:
        assert login.status == 201, login.json
        self.served = served
        self.cookie = (login.header("set-cookie") or "").partition(";")[0]
        self.csrf = login.json["csrf_token"]

    @property
    def secret(self) -> str:
        return self.cookie.partition("=")[2]

    async def ask(
        self, method: str, path: str, csrf: str | None = "", served: Served | None = None, **more: Any
    ) -> Reply:
        headers = {"Cookie": self.cookie, **more.pop("headers", {})}
        if csrf is not None:
            headers["X-CSRF-Token"] = csrf or self.csrf
        return await (served or self.served).ask(method, path, token=None, headers=headers, **more)


async def opened(served: Served, **more: Any) -> Browser:
    await with_password(served, **more)
    return Browser(served, await log_in(served, more.get("name", "eve")))


async def until(served: Served, holds: Any) -> None:
    end = time.monotonic() + 5
    while not await holds():
        assert time.monotonic() < end
        await sleep(served.clock, 0.05)


async def test_a_session_opens_shows_itself_and_ends(served: Served) -> None:
    await with_password(served)
    login = await log_in(served)
    cookie = login.header("set-cookie") or ""
    assert cookie.startswith("deployer=")
    assert cookie.endswith("; Path=/; HttpOnly; SameSite=Strict")
    browser = Browser(served, login)
    assert login.json["role"] == "operator"
    assert login.json["company"] == COMPANY
    assert (await browser.ask("GET", PATH)).json == login.json
    me = (await browser.ask("GET", "/api/v1/user")).json
    assert (me["user"], me["role"], me["token"]) == ("eve", "operator", "")
    closed = await browser.ask("DELETE", PATH)
    assert (closed.status, closed.header("set-cookie")) == (
        200,
        "deployer=; Path=/; HttpOnly; SameSite=Strict; Max-Age=0",
    )
    assert (await browser.ask("GET", PATH)).status == 401
    assert (await served.ask("GET", PATH)).status == 404


@pytest.mark.parametrize("what", ["user", "company", "password", "disabled", "none"])
async def test_whatever_is_wrong_the_answer_is_the_same(served: Served, what: str) -> None:
    await with_password(served)
    if what == "disabled":
        await served.ask("PATCH", "/api/v1/users/eve", json={"disabled": True})
    if what == "none":
        await served.ask("POST", "/api/v1/users", json={"name": "bob"})
    wrong = {"user": "nobody", "company": "nowhere", "password": "another horse", "none": "bob"}
    field = {"none": "user", "disabled": "user"}.get(what, what)
    body = {"user": "eve", "company": "default", "password": PASSWORD} | {field: wrong.get(what, "eve")}
    answer = await served.ask("POST", PATH, json=body, token=None)
    assert (answer.status, answer.code) == (401, "unauthorized")
    assert answer.json["detail"] == "the company, the user or the password is wrong"
    assert answer.header("set-cookie") is None


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"X-CSRF-Token": ""},
        {"X-CSRF-Token": "0" * 64},
        {"Origin": "https://evil"},
        {"Origin": "null"},
        {"Origin": "https://evil", "X-CSRF-Token": "right"},
        {"Origin": "null", "X-CSRF-Token": "right"},
    ],
)
async def test_a_foreign_page_changes_nothing_with_the_cookie(served: Served, headers: dict[str, str]) -> None:
    browser = await opened(served, role=Role.OWNER)
    sent = {name: browser.csrf if value == "right" else value for name, value in headers.items()}
    for method, path, body in (
        ("POST", "/api/v1/jobs", {"cmd": "ping", "target": "1:1", "id": "evil"}),
        ("POST", "/api/v1/tokens", {"name": "n"}),
        ("PUT", "/api/v1/users/eve/password", {"password": PASSWORD * 2, "current": PASSWORD}),
        ("DELETE", "/api/v1/jobs/evil", None),
        ("DELETE", PATH, None),
    ):
        more = {} if body is None else {"json": body}
        answer = await browser.ask(method, path, csrf=None, headers=sent, **more)
        assert (answer.status, answer.code) == (403, "forbidden")
        assert not [name for name, _ in answer.headers.getAllRawHeaders() if name.lower().startswith(b"access-control")]
    assert (await served.ask("GET", "/api/v1/jobs/evil")).status == 404
    assert (await log_in(served)).status == 201


async def test_our_own_page_changes_things(served: Served) -> None:
    browser = await opened(served)
    body = {"cmd": "ping", "target": "1:1", "id": "a"}
    answer = await browser.ask("POST", "/api/v1/jobs", json=body, headers={"Origin": served.url})
    assert answer.status == 202
    assert (await browser.ask("DELETE", "/api/v1/jobs/a")).status == 202


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""])
async def test_a_form_is_no_json(served: Served, kind: str) -> None:
    browser = await opened(served)
    data = b'{"cmd":"ping","target":"1:1","id":"evil"}'
    answer = await browser.ask("POST", "/api/v1/jobs", data=data, headers={"Content-Type": kind})
    assert answer.status == 415
    data = b'{"user":"eve","password":"%b"}' % PASSWORD.encode()
    login = await served.ask("POST", PATH, data=data, token=None, headers={"Content-Type": kind})
    assert (login.status, login.header("set-cookie")) == (415, None)


@pytest.mark.parametrize("origin", ["https://evil", "null"])
async def test_no_page_of_another_origin_logs_anybody_in(served: Served, origin: str) -> None:
    await with_password(served)
    answer = await log_in(served, Origin=origin)
    assert (answer.status, answer.header("set-cookie")) == (403, None)
    assert answer.header("access-control-allow-origin") is None


async def test_reading_with_the_cookie_gives_no_other_origin_leave_to_read(served: Served) -> None:
    browser = await opened(served)
    for origin in ("https://evil", "null"):
        for method in ("GET", "OPTIONS"):
            answer = await browser.ask(method, "/api/v1/agents", headers={"Origin": origin})
            assert not [name for name, _ in answer.headers.getAllRawHeaders() if b"access-control" in name.lower()]


async def test_two_cookies_are_malformed_and_one_of_tls_is_none_here(served: Served) -> None:
    browser = await opened(served)
    two = {"Cookie": f"{browser.cookie}; {browser.cookie}"}
    assert (await served.ask("GET", PATH, token=None, headers=two)).status == 400
    of_tls = {"Cookie": f"__Host-{browser.cookie}"}
    assert (await served.ask("GET", PATH, token=None, headers=of_tls)).status == 401
    beside = {"Cookie": f"a=b; {browser.cookie}; c"}
    assert (await served.ask("GET", PATH, token=None, headers=beside)).status == 200


@pytest.mark.parametrize("end", ["disabled", "removed", "password", "logout", "idle", "absolute"])
async def test_what_ends_a_session_ends_it_on_every_master(
    served: Served, seeded: Seeded, redis_socket: Any, end: str
) -> None:
    other = Served(seeded, served.clock, clientFromString(served.clock, f"unix:{redis_socket}"), key=served.key)
    await other.start()
    try:
        browser = await opened(served)
        for master in (served, other):
            assert (await browser.ask("GET", PATH, served=master)).json["csrf_token"] == browser.csrf
        key = keys.login(digest_of(browser.secret))
        if end == "disabled":
            assert (await served.ask("PATCH", "/api/v1/users/eve", json={"disabled": True})).status == 200
        elif end == "removed":
            assert (await served.ask("DELETE", "/api/v1/users/eve")).status == 200
            assert await seeded.redis.call("EXISTS", key) == 0
        elif end == "password":
            body = {"password": PASSWORD * 2, "current": PASSWORD}
            assert (await browser.ask("PUT", "/api/v1/users/eve/password", json=body)).status == 200
        elif end == "logout":
            assert (await browser.ask("DELETE", PATH)).status == 200
        elif end == "idle":
            assert 0 < await seeded.redis.call("PTTL", key) <= limits.LOGIN_IDLE_MS
            await seeded.redis.call("PEXPIRE", key, 1)
        else:
            await seeded.redis.call("HSET", key, "ends", 1)
        for master in (served, other):
            await until(master, lambda master=master: ended(browser, master))
        if end == "disabled":
            await served.ask("PATCH", "/api/v1/users/eve", json={"disabled": False})
            assert (await log_in(served)).status == 201
            assert await ended(browser, served)
    finally:
        await other.stop()


async def ended(browser: Browser, served: Served) -> bool:
    return (await browser.ask("GET", PATH, served=served)).status == 401


async def test_a_changed_role_is_felt_by_the_session(served: Served) -> None:
    browser = await opened(served, role=Role.VIEWER)
    assert (await browser.ask("POST", "/api/v1/users", json={"name": "x"})).status == 403
    assert (await served.ask("PATCH", "/api/v1/users/eve", json={"role": "owner"})).status == 200

    async def may() -> bool:
        return (await browser.ask("GET", "/api/v1/users")).status == 200

    await until(served, may)


async def test_a_user_has_so_many_sessions_and_the_oldest_goes(served: Served) -> None:
    first = await opened(served)
    user, redis = keys.user(COMPANY, "eve"), served.seeded.redis
    index = keys.logins(COMPANY, "eve")
    for n in range(limits.LOGINS_PER_USER - 1):
        await redis.call("ZADD", index, 2**42 + n, f"made-up-{n}")
    assert await redis.call("EXISTS", user) == 1
    Browser(served, await log_in(served))
    assert await redis.call("ZCARD", index) == limits.LOGINS_PER_USER
    await until(served, lambda: ended(first, served))


async def test_the_own_password_needs_the_current_one_in_a_session_and_not_with_a_token(served: Served) -> None:
    browser = await opened(served)
    path = "/api/v1/users/eve/password"
    for body in ({"password": PASSWORD * 2}, {"password": PASSWORD * 2, "current": "wrong"}):
        assert (await browser.ask("PUT", path, json=body)).status == 403
    token = (await served.ask("POST", "/api/v1/tokens", json={"name": "n", "user": "eve"})).json["token"]
    assert (await served.ask("PUT", path, json={"password": PASSWORD * 2}, token=token)).status == 200
    assert (await log_in(served)).status == 401
    assert (await log_in(served, password=PASSWORD * 2)).status == 201


@pytest.mark.parametrize(
    ("role", "of", "status"),
    [
        (Role.VIEWER, "viewer", 403),
        (Role.OPERATOR, "viewer", 403),
        (Role.OWNER, "viewer", 200),
        (Role.OWNER, "owner", 200),
        (Role.OWNER, "admin", 403),
        (Role.ADMIN, "admin", 200),
    ],
)
async def test_a_password_is_set_by_whoever_is_above(served: Served, role: Role, of: str, status: int) -> None:
    await served.ask("POST", "/api/v1/users", json={"name": "bob", "role": of})
    token = await served.token_of("sam", role)
    path = "/api/v1/users/bob/password"
    assert (await served.ask("PUT", path, json={"password": PASSWORD}, token=token)).status == status


async def test_a_lesser_token_does_not_set_its_users_password(served: Served) -> None:
    await served.ask("POST", "/api/v1/users", json={"name": "bob", "role": "owner"})
    made = await served.ask("POST", "/api/v1/tokens", json={"name": "n", "user": "bob", "role": "viewer"})
    body = {"password": PASSWORD}
    path = "/api/v1/users/bob/password"
    assert (await served.ask("PUT", path, json=body, token=made.json["token"])).status == 403


@pytest.mark.parametrize("password", ["", "x" * 11, "x" * 1025, 5, None])
async def test_a_password_that_is_too_short_or_too_long_is_refused(served: Served, password: Any) -> None:
    answer = await served.ask("PUT", "/api/v1/users/admin/password", json={"password": password})
    assert (answer.status, answer.pointers) == (422, ["/password"])
    assert "xxx" not in answer.body.decode()


async def test_a_password_can_be_tried_ten_times_a_minute(served: Served) -> None:
    await with_password(served)
    answers = [await log_in(served, password="wrong") for _ in range(PASSWORDS_A_MINUTE)]
    assert {one.status for one in answers[:-1]} == {401}
    late = await log_in(served)
    assert (late.status, late.code) == (429, "too_many")
    assert 1 <= int(late.header("retry-after") or "") <= 60
    await with_password(served, "bob")
    assert (await log_in(served, "bob")).status == 201


async def test_a_full_queue_of_passwords_is_told(served: Served) -> None:
    await with_password(served)
    many = [log_in(served, f"u{n}") for n in range(3 * MOST_WAITING)]
    from twisted.internet.defer import Deferred, gatherResults  # noqa: PLC0415 (installs the reactor)

    answers = await gatherResults([Deferred.fromCoroutine(one) for one in many])
    statuses = {one.status for one in answers}
    assert statuses == {401, 429}
    assert (await log_in(served)).status == 201


@pytest.mark.parametrize("way", ["token", "cookie", "login"])
async def test_who_guesses_is_slowed_down_and_nobody_else(served: Served, way: str) -> None:
    await with_password(served)
    lines: list[str] = []

    def note(event: LogEvent) -> None:
        if "audit: wrong" in (text := formatEvent(event) or ""):
            lines.append(text)

    async def guess(n: int) -> Reply:
        if way == "token":
            return await served.ask("GET", "/api/v1/user", token=f"dpl_{n:016x}_{'0' * 64}")
        if way == "cookie":
            return await served.ask("GET", "/api/v1/user", token=None, headers={"Cookie": f"deployer={n:064x}"})
        return await log_in(served, f"u{n}")

    globalLogPublisher.addObserver(note)  # type: ignore[arg-type]  # zope's interfaces are unknown to mypy
    start = time.monotonic()
    try:
        answers = [await guess(n) for n in range(A_MINUTE + 50)]
    finally:
        globalLogPublisher.removeObserver(note)  # type: ignore[arg-type]  # as above
    assert [one.status for one in answers] == [401] * A_MINUTE + [429] * 50
    assert 1 <= int(answers[-1].header("retry-after") or "") <= 60
    assert 1 <= len(lines) <= time.monotonic() - start + 1
    assert "0000" not in "".join(lines)
    assert (await served.ask("GET", "/api/v1/user")).status == 200
    if way != "login":
        assert (await log_in(served)).status == 201


async def test_no_secret_lies_in_redis(served: Served) -> None:
    browser = await opened(served)
    token = (await served.ask("POST", "/api/v1/tokens", json={"name": "n", "user": "eve"})).json["token"]
    join = (await served.ask("POST", "/api/v1/join-tokens", json={"name": "n"})).json["token"]
    await browser.ask("GET", PATH)
    redis = served.seeded.redis
    kept = b""
    readers = {b"hash": ("HGETALL",), b"string": ("GET",), b"set": ("SMEMBERS",)}
    for key in await redis.call("KEYS", "*"):
        kind = await redis.call("TYPE", key)
        command = readers.get(kind, ("ZRANGE",) if kind == b"zset" else ("LRANGE",) if kind == b"list" else ("XRANGE",))
        ends = () if kind in readers else ("-", "+") if kind == b"stream" else (0, -1)
        kept += repr([key, await redis.call(*command, key, *ends)]).encode()
    secrets = [PASSWORD, browser.secret, browser.csrf, token.rpartition("_")[2], join.rpartition("_")[2]]
    assert digest_of(browser.secret).encode() in kept
    assert [one for one in [*secrets, served.seeded.admin.secret] if one.encode() in kept] == []
