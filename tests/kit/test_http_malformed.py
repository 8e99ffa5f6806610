"""RELIABILITY P3, P5, R12, R13: what is not one clear request is answered with 400, 405, 414 or 431 and closed."""

import pytest

from support.http import Wire, parts, problem

GET = b"GET / HTTP/1.1\r\n"
POST = b"POST / HTTP/1.1\r\nHost: a\r\n"
NEXT = b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"

MALFORMED = {
    "content-length and transfer-encoding": POST + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "transfer-encoding and content-length": POST + b"Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n",
    "two transfer-encodings": POST + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "two equal lengths": POST + b"Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc",
    "two lengths": POST + b"Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
    "a list of lengths": POST + b"Content-Length: 3, 3\r\n\r\nabc",
    "a length with a sign": POST + b"Content-Length: +5\r\n\r\nabcde",
    "a length in hex": POST + b"Content-Length: 0x5\r\n\r\nabcde",
    "a negative length": POST + b"Content-Length: -1\r\n\r\n",
    "an empty length": POST + b"Content-Length:\r\n\r\n",
    "an unknown coding": POST + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "identity": POST + b"Transfer-Encoding: identity\r\n\r\n",
    "a list of codings": POST + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "chunked in HTTP/1.0": b"POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "a chunk extension with LF": POST + b"Transfer-Encoding: chunked\r\n\r\n1;a\nb\r\nx\r\n0\r\n\r\n",
    "a chunk size with a sign": POST + b"Transfer-Encoding: chunked\r\n\r\n+1\r\nx\r\n0\r\n\r\n",
    "a chunk that is longer than it says": POST + b"Transfer-Encoding: chunked\r\n\r\n1\r\nxyz\r\n0\r\n\r\n",
    "a space before the colon": GET + b"Host: a\r\nX-A : b\r\n\r\n",
    "a length with a space before the colon": POST + b"Content-Length : 3\r\n\r\nabc",
    "a folded line": GET + b"Host: a\r\nX-A: b\r\n c\r\n\r\n",
    "a folded first header": GET + b" Host: a\r\n\r\n",
    "a line without colon": GET + b"Host: a\r\nnonsense\r\n\r\n",
    "an empty name": GET + b"Host: a\r\n: b\r\n\r\n",
    "LF in a header": GET + b"Host: a\nX-A: b\r\n\r\n",
    "LF everywhere": b"GET / HTTP/1.1\nHost: a\n\n",
    "LF after good lines": GET + b"Host: a\r\nX-A: b\n\n",
    "CR in a header": GET + b"Host: a\r\nX-A: b\rc\r\n\r\n",
    "NUL in a header": GET + b"Host: a\r\nX-A: b\x00c\r\n\r\n",
    "no Host": GET + b"\r\n",
    "two Hosts": GET + b"Host: a\r\nHost: a\r\n\r\n",
    "two different Hosts": GET + b"Host: a\r\nHost: b\r\n\r\n",
    "an empty Host": GET + b"Host:\r\n\r\n",
    "a Host with a path": GET + b"Host: a/b\r\n\r\n",
    "a list of Hosts": GET + b"Host: a, b\r\n\r\n",
    "a Host with user": GET + b"Host: u@a\r\n\r\n",
    "a URL of another host": b"GET http://evil/ HTTP/1.1\r\nHost: a\r\n\r\n",
    "a target without slash": b"GET x HTTP/1.1\r\nHost: a\r\n\r\n",
    "a star for GET": b"GET * HTTP/1.1\r\nHost: a\r\n\r\n",
    "no version": b"GET /\r\nHost: a\r\n\r\n",
    "another version": b"GET / HTTP/2.0\r\nHost: a\r\n\r\n",
    "two spaces": b"GET  / HTTP/1.1\r\nHost: a\r\n\r\n",
    "a byte over 127 in the target": b"GET /\xe4 HTTP/1.1\r\nHost: a\r\n\r\n",
    "TLS on the plain port": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
}


@pytest.mark.parametrize("request_bytes", MALFORMED.values(), ids=MALFORMED.keys())
@pytest.mark.parametrize("step", [0, 1], ids=["at once", "byte by byte"])
def test_a_malformed_request_is_400_and_nothing_behind_it_runs(request_bytes: bytes, step: int) -> None:
    wire = Wire()
    data = request_bytes + NEXT
    for at in range(0, len(data), step or len(data)):
        wire.channel.dataReceived(data[at : at + (step or len(data))])
    answer = wire.read()
    assert problem(answer)["type"] == "/api/docs/errors#malformed_request"
    assert parts(answer)[:1] == (400,)
    assert answer.count(b"HTTP/1.1 ") == 1
    assert wire.transport.disconnecting
    assert wire.resource.seen == []
    assert wire.site.refusals.counts == {"malformed_request": 1}


@pytest.mark.parametrize("method", [b"TRACE", b"CONNECT", b"FOO", b"get", b"PROPFIND"])
def test_a_method_served_nowhere_is_405_with_allow(method: bytes) -> None:
    wire = Wire()
    answer = wire.send(method + b" / HTTP/1.1\r\nHost: a\r\n\r\n" + NEXT)
    assert problem(answer)["status"] == 405
    assert parts(answer)[1]["Allow"] == "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"
    assert wire.resource.seen == []


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"GET /" + b"x" * 65536 + b" HTTP/1.1\r\nHost: a\r\n\r\n", 414),
        (b"GET /" + b"x" * 9000 + b" HTTP/1.1\r\nHost: a\r\n\r\n", 414),
        (b"GET /" + b"x" * 65536, 414),
        (GET + b"Host: a\r\nX-A: " + b"x" * 20000 + b"\r\n\r\n", 431),
        (GET + b"Host: a\r\nX-A: " + b"x" * 70000, 431),
        (GET + b"Host: a\r\n" + b"X-A: b\r\n" * 600 + b"\r\n", 431),
        (GET + b"Host: a\r\n" + (b"X-A: " + b"b" * 990 + b"\r\n") * 20 + b"\r\n", 431),
    ],
)
def test_too_much_before_the_body_is_414_or_431(request_bytes: bytes, status: int) -> None:
    wire = Wire()
    for at in range(0, len(request_bytes), 1000):
        wire.channel.dataReceived(request_bytes[at : at + 1000])
    assert problem(wire.read())["status"] == status
    assert wire.resource.seen == []


def test_what_is_just_within_the_limits_is_served() -> None:
    wire = Wire()
    url = b"/" + b"x" * 8191
    headers = b"X-A: b\r\n" * 98
    assert wire.send(b"GET " + url + b" HTTP/1.1\r\nHost: a\r\n" + headers + b"\r\n").startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize(
    ("target", "path"),
    [(b"http://a:1", b"/"), (b"HTTP://A:1/x?y=1", b"/x?y=1"), (b"http://a:1?q", b"/?q"), (b"/x", b"/x")],
)
def test_a_url_of_the_same_host_is_its_path(target: bytes, path: bytes) -> None:
    wire = Wire()
    wire.send(b"GET " + target + b" HTTP/1.1\r\nHost: a:1\r\n\r\n")
    assert wire.resource.seen == [(b"GET", path, b"")]


def test_http_1_0_needs_no_host() -> None:
    assert Wire().send(b"GET / HTTP/1.0\r\n\r\n").startswith(b"HTTP/1.0 200 ")


@pytest.mark.parametrize("host", [b"a.example", b"A.Example:80", b"[::1]:8966", b"127.0.0.1"])
def test_usual_hosts_are_taken(host: bytes) -> None:
    assert Wire().send(GET + b"Host: " + host + b"\r\n\r\n").startswith(b"HTTP/1.1 200 ")


def test_an_empty_line_before_a_request_is_skipped() -> None:
    assert Wire().send(b"\r\n" + GET + b"Host: a\r\n\r\n").startswith(b"HTTP/1.1 200 ")
