"""What is wrong is answered with what is wrong, on every route (RELIABILITY R4, R14, P6, P7, P10, P11, D9).

No failure may be logged meanwhile: the fixture of all tests sees to that.
"""

import json
import re
from typing import Any

import pytest

from deployer.assembly.site import NOUNS
from deployer.rest import examples
from deployer.rest.endpoint import NoQuery
from deployer.rest.openapi import operations
from support.served import Served

OPERATIONS = operations(NOUNS)
BODIES = [one.declaration for one in OPERATIONS if one.declaration.body is not None]
LISTS = [one.declaration for one in OPERATIONS if "cursor" in one.declaration.query.__struct_encode_fields__]
JSON = {"Content-Type": "application/json"}
DEEP = b"[" * 100_000

NOT_JSON = {
    "nothing": b"",
    "half": b"{",
    "deep": DEEP,
    "deep object": b'{"a":' * 100_000,
    "NaN": b'{"name":NaN}',
    "Infinity": b'{"name":Infinity}',
    "a key twice": b'{"name":"a","name":"b"}',
    "a key twice, once escaped": b'{"name":"a","n\\u0061me":"b"}',
    "trailing garbage": b"{} x",
    "two values": b"{}{}",
    "not UTF-8": b'{"name":"\xff"}',
    "UTF-16": '{"name":"a"}'.encode("utf-16"),
    "a mark of byte order": b'\xef\xbb\xbf{"name":"a"}',
    "NUL": b'{"name":"a"}\x00',
    "a raw control character": b'{"name":"a\x01"}',
    "a comment": b'{"name":"a"} // x',
    "single quotes": b"{'name':'a'}",
}
OTHER_JSON = {
    "null": b"null",
    "a number": b"1",
    "a string": b'"x"',
    "a list": b"[]",
    "unknown fields": b'{"__proto__":{},"constructor":1}',
    "many keys": json.dumps({f"k{n}": n for n in range(50_000)}).encode(),
    "a long key": json.dumps({"k" * 900_000: 1}).encode(),
    "NUL in a string": b'{"name":"a\\u0000b"}',
    "a huge number": b'{"name":' + b"9" * 5000 + b"}",
    "an endless number": b'{"name":1e999}',
    "true for a text": b'{"name":true}',
    "minus zero": b'{"gid":-0.0,"name":-0.0}',
    "2 to the 63": b'{"gid":9223372036854775808}',
}
TYPES: list[dict[str, str]] = [
    {},
    {"Content-Type": "text/html"},
    {"Content-Type": "application/x-www-form-urlencoded"},
    {"Content-Type": "application/json; charset=utf-7"},
    {"Content-Type": "application/json; charset=utf-16"},
    {"Content-Type": "application/json", "Content-Encoding": "gzip"},
    {"Content-Type": "application/json", "Content-Encoding": "br"},
]


def path_of(route: str) -> str:
    return re.sub("<([a-z_]+)>", lambda match: examples.PATHS[match[1]], route)


@pytest.mark.parametrize("raw", NOT_JSON.values(), ids=NOT_JSON)
async def test_what_is_not_json_is_malformed_on_every_route_that_takes_some(served: Served, raw: bytes) -> None:
    assert len(BODIES) > 8
    for its in BODIES:
        reply = await served.ask(its.method, path_of(its.path), data=raw, headers=JSON)
        assert (reply.status, reply.code) == (400, "malformed"), (its.path, reply.body)


@pytest.mark.parametrize("raw", OTHER_JSON.values(), ids=OTHER_JSON)
async def test_json_that_a_route_does_not_take_is_told_where_it_is_wrong(served: Served, raw: bytes) -> None:
    for its in BODIES:
        reply = await served.ask(its.method, path_of(its.path), data=raw, headers=JSON)
        assert (reply.status, reply.code) == (422, "invalid"), (its.path, reply.body)
        assert reply.json["errors"][0]["pointer"] in {"", *_pointers(raw)}, (its.path, reply.body)


async def test_a_lone_surrogate_is_no_text(served: Served) -> None:
    for its in BODIES:
        reply = await served.ask(its.method, path_of(its.path), data=b'{"name":"\\ud800"}', headers=JSON)
        assert reply.status in {400, 422}, (its.path, reply.body)  # unknown fields are not read


def _pointers(raw: bytes) -> set[str]:
    return {f"/{name}" for name in re.findall(r'"(\w+)":', raw.decode())}


@pytest.mark.parametrize("headers", TYPES, ids=str)
async def test_a_body_of_another_type_is_refused_on_every_route(served: Served, headers: dict[str, str]) -> None:
    for its in BODIES:
        reply = await served.ask(its.method, path_of(its.path), data=b"{}", headers=headers)
        assert (reply.status, reply.code) == (415, "unsupported_type"), (its.path, reply.body)


@pytest.mark.parametrize(
    "query",
    [
        "limit=0",
        "limit=-1",
        "limit=1000000000",
        "limit=",
        "offset=-1",
        "page=2",
        "cursor=",
        "cursor=%00",
        "cursor=..%2F",
        "cursor=" + "x" * 401,
        "gid[]=7&gid[]=8",
        "__proto__=1",
        "sort=%27%3B--",
        "*=*",
    ],
)
async def test_a_query_that_a_list_does_not_have_is_malformed(served: Served, query: str) -> None:
    assert len(LISTS) > 5
    for its in LISTS:
        reply = await served.ask("GET", f"{path_of(its.path)}?{query}")
        assert (reply.status, reply.code) == (400, "malformed"), (its.path, reply.body)


async def test_only_what_says_so_takes_a_company_and_only_from_the_admin(served: Served) -> None:
    for one in OPERATIONS:
        its = one.declaration
        if its.method != "GET" or its.needs.name == "PUBLIC":
            continue
        takes = its.query is not NoQuery and "company" in its.query.__struct_encode_fields__
        reply = await served.ask("GET", f"{path_of(its.path)}?company=*")
        assert reply.status == (404 if takes else 400), (its.path, reply.body)


@pytest.mark.parametrize(
    "path",
    [
        "/api/v1/jobs/",
        "//api/v1/jobs",
        "/api//v1/jobs",
        "/api/v1//jobs",
        "/api/v1/./jobs",
        "/api/v1/x/../jobs",
        "/api/v1/%2e%2e/v1/jobs",
        "/api/v1/..%2fjobs",
        "/api/v1/jobs%00",
        "/api/v1/jobs%ff",
        "/api/v1/jobs;x=1",
        "/api/v1/jobs/..;/users",
        "/api/v1/JOBS",
        "/api/v2/jobs",
        "/api/jobs",
        "/static/../../etc/passwd",
        "/static/%2e%2e%2f%2e%2e%2fetc/passwd",
        "/.git/config",
        "/etc/passwd",
        "/docs/../setup.cfg",
        "/index.php",
    ],
)
async def test_what_is_at_no_route_is_not_found_with_and_without_a_token(served: Served, path: str) -> None:
    for token in (served.seeded.admin.text, None):
        reply = await _raw(served, path, token)
        assert reply.startswith((b"HTTP/1.1 404 ", b"HTTP/1.1 400 ", b"HTTP/1.1 401 ")), (path, reply[:200])
        assert b"root:" not in reply


async def _raw(served: Served, path: str, token: str | None) -> bytes:
    """The answer to a path as it is: clients would make it plain first."""
    asked = served.begin(path, token or "none")
    asked.setblocking(False)
    answer = b""

    def more() -> bool:
        nonlocal answer
        try:
            answer += asked.recv(65536)
        except BlockingIOError:
            return False
        return b"\r\n\r\n" in answer

    await served.until(more)
    asked.close()
    return answer


@pytest.mark.parametrize("header", ["X-HTTP-Method-Override", "X-Method-Override", "X-HTTP-Method"])
async def test_a_method_is_what_the_request_line_says(served: Served, header: str) -> None:
    assert (await served.ask("POST", "/api/v1/users", json={"name": "eve"})).status == 201
    assert (await served.ask("GET", "/api/v1/users/eve", headers={header: "DELETE"})).status == 200
    reply: Any = await served.ask("POST", "/api/v1/users/eve", headers={header: "DELETE"})
    assert reply.status == 405
    assert (await served.ask("GET", "/api/v1/users/eve")).status == 200


@pytest.mark.parametrize(
    "query",
    [
        "from=2026-02-01T00:00:00Z&to=2026-01-01T00:00:00Z",
        "from=10000-01-01T00:00:00Z",
        "from=-1",
        "from=NaN",
        "to=2026-13-01T00:00:00Z",
        "object=(a%2B)%2B%24&user=" + "a" * 300,
    ],
)
async def test_times_that_cannot_be_are_malformed(served: Served, query: str) -> None:
    reply = await served.ask("GET", f"/api/v1/audit?{query}")
    assert (reply.status, reply.code) == (400, "malformed"), reply.body
