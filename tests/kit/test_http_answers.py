"""RELIABILITY D10 and the form of every answer."""

import json
import socket

import pytest
from twisted.internet import threads
from twisted.internet.task import Clock
from twisted.web.resource import Resource
from twisted.web.server import Request

from deployer.kit.http.limits import HttpLimits
from deployer.kit.http.site import HardenedSite
from support.failures import LoggedFailures
from support.http import Recorder, Wire, parts, problem

GET = b"GET / HTTP/1.1\r\nHost: a\r\n"


class Own(Resource):
    isLeaf = True

    def render_GET(self, request: Request) -> bytes:
        request.setHeader(b"cache-control", b"max-age=60")
        request.setHeader(b"content-security-policy", b"default-src 'self'")
        return b"x"


class Wrong(Resource):
    isLeaf = True

    def render_GET(self, request: Request) -> str:
        return "not bytes"


@pytest.mark.parametrize("request_bytes", [GET + b"\r\n", b"HEAD" + GET[3:] + b"\r\n", b"nonsense\r\n"])
def test_every_answer_has_the_headers_of_safety_and_no_name_of_the_server(request_bytes: bytes) -> None:
    _, headers, _ = parts(Wire().send(request_bytes))
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "no-referrer"
    assert headers["Content-Security-Policy"] == "default-src 'none'; frame-ancestors 'none'"
    assert headers["Cache-Control"] == "no-store"
    assert "Server" not in headers
    assert "Strict-Transport-Security" not in headers
    assert headers["X-Request-ID"]


def test_what_a_resource_sets_stays() -> None:
    wire = Wire(site=HardenedSite(Own(), HttpLimits(), Clock()))
    _, headers, _ = parts(wire.send(GET + b"\r\n"))
    assert headers["Cache-Control"] == "max-age=60"
    assert headers["Content-Security-Policy"] == "default-src 'self'"


def test_over_tls_browsers_are_told_to_stay_there() -> None:
    site = HardenedSite(Own(), HttpLimits(), Clock())
    assert site.default_headers(secure=True)[b"Strict-Transport-Security"].endswith(b"max-age=31536000\r\n")


@pytest.mark.parametrize(("given", "kept"), [(b"abc-1.2_3", True), (b"x" * 65, False), (b"a b", False), (b"", False)])
def test_a_request_id_is_taken_over_when_it_is_harmless(given: bytes, kept: bool) -> None:  # noqa: FBT001 (a table)
    for request in (GET + b"X-Request-ID: " + given + b"\r\n\r\n", b"GET x" + GET[5:] + b"X-Request-ID: " + given):
        _, headers, _ = parts(Wire().send(request + b"\r\n\r\n"))
        assert (headers["X-Request-ID"].encode() == given) is kept


def test_made_request_ids_differ() -> None:
    wire = Wire()
    assert parts(wire.send(GET + b"\r\n"))[1]["X-Request-ID"] != parts(wire.send(GET + b"\r\n"))[1]["X-Request-ID"]


def test_a_resource_that_fails_is_a_500_without_a_word_of_the_traceback(logged_failures: LoggedFailures) -> None:
    wire = Wire()
    wire.resource.broken = True
    answer = wire.send(GET + b"\r\n")
    assert problem(answer)["status"] == 500
    assert b"it broke" not in answer
    assert len(logged_failures.flush(ValueError)) == 1


def test_a_resource_that_does_not_answer_bytes_is_a_500(logged_failures: LoggedFailures) -> None:
    wire = Wire(site=HardenedSite(Wrong(), HttpLimits(), Clock()))
    assert problem(wire.send(GET + b"\r\n"))["status"] == 500
    assert len(logged_failures.flush(TypeError)) == 1


def test_a_method_that_a_resource_has_not_is_405() -> None:
    wire = Wire(site=HardenedSite(Own(), HttpLimits(), Clock()))
    answer = wire.send(b"PUT" + GET[3:] + b"\r\n")
    assert problem(answer)["type"] == "/api/docs/errors#method_not_allowed"
    assert parts(answer)[1]["Allow"] == "GET, HEAD"


def test_a_form_is_not_parsed_and_stays_a_body() -> None:
    wire = Wire()
    head = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 3\r\n\r\n"
    wire.send(head + b"a=b")
    assert wire.resource.seen == [(b"POST", b"/", b"a=b")]


def test_a_chunked_body_arrives_whole() -> None:
    wire = Wire()
    wire.send(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n")
    assert wire.resource.seen == [(b"POST", b"/", b"abcde")]


def _exchange(port: int, data: bytes) -> bytes:
    """Send all, then read until the server has closed; a reset is an error."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as client:
        client.sendall(data)
        answer = b""
        while part := client.recv(65536):
            answer += part
    return answer


async def _over_tcp(data: bytes) -> bytes:
    from twisted.internet import reactor  # noqa: PLC0415, TID251 (real sockets need the real one)

    site = HardenedSite(Recorder(), HttpLimits(), reactor)  # type: ignore[arg-type]  # the module stands for the object
    port = reactor.listenTCP(0, site, interface="127.0.0.1")  # type: ignore[attr-defined]  # as above
    try:
        return await threads.deferToThread(_exchange, port.getHost().port, data)
    finally:
        await port.stopListening()


async def test_over_a_real_socket_a_refused_body_still_gets_its_answer() -> None:
    head = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3000000\r\n\r\n"
    answer = await _over_tcp(head + b"x" * 3_000_000)
    assert json.loads(parts(answer)[2])["status"] == 413


async def test_over_a_real_socket_a_request_is_served() -> None:
    answer = await _over_tcp(GET + b"Connection: close\r\n\r\n")
    assert parts(answer)[0] == 200
    assert answer.endswith(b"path /")
