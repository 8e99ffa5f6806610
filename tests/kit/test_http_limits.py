"""RELIABILITY P1, P2, P4: bodies, deadlines, pipelines and connections have limits."""

from io import BytesIO
from ipaddress import ip_network

import pytest

from deployer.kit.http.limits import MIB, HttpLimits
from support.http import Wire, parts, problem

GET = b"GET /%d HTTP/1.1\r\nHost: a\r\n\r\n"
POST = b"POST /x HTTP/1.1\r\nHost: a\r\n"
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize("length", [b"1048577", b"1" + b"0" * 30, b"1" + b"0" * 5000])
def test_a_body_that_is_too_long_is_refused_before_it_is_read(length: bytes) -> None:
    wire = Wire()
    answer = wire.send(POST + b"Expect: 100-continue\r\nContent-Length: " + length + b"\r\n\r\n")
    assert problem(answer)["type"] == "/api/docs/errors#body_too_large"
    assert parts(answer)[0] == 413
    assert b"100 Continue" not in answer
    assert wire.transport.disconnecting


def test_a_chunked_body_is_refused_when_it_has_grown_too_long() -> None:
    wire = Wire()
    wire.channel.dataReceived(CHUNKED)
    chunk = b"10000\r\n" + b"x" * 65536 + b"\r\n"
    wire.channel.dataReceived(chunk * 16)
    assert wire.read() == b""
    assert problem(wire.send(b"1\r\nx\r\n0\r\n\r\n" + GET % 1))["status"] == 413
    assert wire.send(chunk) == b""
    assert wire.resource.seen == []


def test_a_body_of_exactly_the_limit_is_served_from_memory() -> None:
    wire = Wire()
    wire.resource.hold = True
    wire.channel.dataReceived(POST + b"Content-Length: %d\r\n\r\n" % MIB)
    wire.channel.dataReceived(b"x" * MIB)
    assert [len(body) for _, _, body in wire.resource.seen] == [MIB]
    assert isinstance(wire.resource.held[0].content, BytesIO)


def test_a_route_can_allow_more() -> None:
    limits = HttpLimits(max_body=lambda path: 4 * MIB if path == b"/x" else 10)
    length = b"Content-Length: %d\r\n\r\n" % (2 * MIB)
    assert Wire(limits).send(b"POST /x?y HTTP/1.1\r\nHost: a\r\n" + length) == b""
    assert problem(Wire(limits).send(b"POST /y HTTP/1.1\r\nHost: a\r\n" + length))["status"] == 413


def test_headers_that_take_too_long_are_408_however_many_lines_come() -> None:
    wire = Wire()
    wire.channel.dataReceived(b"GET / HTTP/1.1\r\nHost: a\r\n")
    for number in range(9):
        wire.clock.advance(1)
        assert wire.send(b"X-%d: y\r\n" % number) == b""
    wire.clock.advance(1)
    assert problem(wire.read())["type"] == "/api/docs/errors#header_timeout"
    assert wire.transport.disconnecting


def test_a_connection_that_says_nothing_is_closed_after_the_header_deadline() -> None:
    wire = Wire()
    wire.clock.pump([1] * 10)
    assert wire.read() == b""
    assert wire.transport.disconnecting


def test_a_slow_body_is_408_when_it_falls_below_the_least_rate() -> None:
    wire = Wire()
    wire.channel.dataReceived(POST + b"Content-Length: 1000\r\n\r\n")
    for _ in range(5):
        wire.clock.advance(1)
        wire.channel.dataReceived(b"x")
    wire.clock.advance(1)
    assert problem(wire.read())["type"] == "/api/docs/errors#body_timeout"


def test_a_body_at_a_fair_rate_is_408_after_its_total_time() -> None:
    wire = Wire()
    wire.channel.dataReceived(POST + b"Content-Length: 1000000\r\n\r\n")
    for _ in range(29):
        wire.clock.advance(1)
        assert wire.send(b"x" * 2000) == b""
    wire.clock.advance(1)
    assert problem(wire.read())["type"] == "/api/docs/errors#body_timeout"


def test_a_handler_has_all_the_time_it_needs() -> None:
    wire = Wire()
    wire.resource.hold = True
    wire.channel.dataReceived(GET % 1)
    wire.clock.pump([1] * 600)
    wire.resource.held[0].finish()
    assert wire.read().startswith(b"HTTP/1.1 200 ")


def test_an_idle_connection_is_closed_and_a_request_in_time_starts_a_new_deadline() -> None:
    wire = Wire()
    wire.channel.dataReceived(GET % 1)
    wire.clock.pump([1] * 59)
    assert not wire.transport.disconnecting
    wire.channel.dataReceived(b"GET / HT")
    wire.clock.pump([1] * 9)
    assert not wire.transport.disconnecting
    wire.channel.dataReceived(b"TP/1.1\r\nHost: a\r\n\r\n")
    assert wire.read().count(b"HTTP/1.1 200") == 2
    wire.clock.pump([1] * 60)
    assert wire.read() == b""
    assert wire.transport.disconnecting


def test_a_client_that_does_not_go_is_aborted() -> None:
    wire = Wire()
    wire.channel.dataReceived(b"nonsense\r\n")
    wire.clock.pump([1, 1])
    assert wire.transport.aborted


def test_the_sweep_ends_with_the_last_connection() -> None:
    wire = Wire()
    assert len(wire.clock.getDelayedCalls()) == 1
    wire.lose()
    assert wire.clock.getDelayedCalls() == []
    assert len(wire.site.connections) == 0


def test_a_thousand_pipelined_requests_are_answered_in_order() -> None:
    wire = Wire()
    answer = wire.send(b"".join(GET % number for number in range(1000)))
    assert [part.split(b"\r\n")[0] for part in answer.split(b"path /")[1:]] == [
        b"%d" % n + (b"HTTP/1.1 200 OK" if n < 999 else b"") for n in range(1000)
    ]


def test_behind_a_slow_request_sixteen_are_held_and_reading_pauses() -> None:
    wire = Wire()
    wire.resource.hold = True
    wire.channel.dataReceived(GET % 0)
    for number in range(1, 16):
        wire.channel.dataReceived(GET % number)
    assert wire.transport.producerState == "producing"
    wire.channel.dataReceived(GET % 16)
    assert wire.transport.producerState == "paused"
    assert len(wire.resource.held) == 1
    wire.resource.hold = False
    wire.resource.held[0].write(b"slow")
    wire.resource.held[0].finish()
    assert [uri for _, uri, _ in wire.resource.seen] == [b"/%d" % number for number in range(17)]
    assert wire.transport.producerState == "producing"


def test_too_many_connections_of_one_address_without_a_token_are_429() -> None:
    limits = HttpLimits(max_connections_per_address=2)
    first = Wire(limits)
    second = Wire(site=first.site)
    assert problem(Wire(site=first.site).read())["status"] == 429
    assert Wire(site=first.site, host="10.0.0.2").read() == b""
    second.channel.authenticated()
    second.channel.authenticated()
    assert first.site.connections.strangers("10.0.0.1") == 1
    third = Wire(site=first.site)
    assert third.read() == b""
    assert problem(Wire(site=first.site).read())["status"] == 429
    first.lose()
    assert Wire(site=first.site).read() == b""


def test_any_number_of_connections_comes_from_a_balancer() -> None:
    limits = HttpLimits(max_connections_per_address=1, proxies=(ip_network("10.0.0.0/30"),))
    first = Wire(limits)
    for _ in range(5):
        assert Wire(site=first.site).read() == b""
    Wire(site=first.site, host="10.0.0.9")
    assert problem(Wire(site=first.site, host="10.0.0.9").read())["status"] == 429
    Wire(site=first.site, host="local")
    assert problem(Wire(site=first.site, host="local").read())["status"] == 429


def test_a_draining_site_answers_what_comes_and_closes() -> None:
    wire = Wire()
    new, idle, busy = Wire(site=wire.site), Wire(site=wire.site), Wire(site=wire.site)
    idle.send(GET % 1)
    wire.resource.hold = True
    busy.channel.dataReceived(GET % 2)
    wire.resource.hold = False
    wire.site.drain()
    assert idle.transport.disconnecting
    answer = new.send(GET % 3)
    assert answer.startswith(b"HTTP/1.1 200")
    assert b"Connection: close\r\n" in answer
    assert new.transport.disconnecting
    assert not busy.transport.disconnecting


def test_a_detached_connection_is_neither_counted_nor_timed() -> None:
    wire = Wire()
    wire.channel.detach()
    assert len(wire.site.connections) == 0
    assert wire.clock.getDelayedCalls() == []


def test_only_named_hosts_are_served_when_there_are_any() -> None:
    limits = HttpLimits(hosts=frozenset({b"deployer.example"}))
    assert Wire(limits).send(b"GET / HTTP/1.1\r\nHost: Deployer.example:443\r\n\r\n").startswith(b"HTTP/1.1 200")
    assert problem(Wire(limits).send(b"GET / HTTP/1.1\r\nHost: evil\r\n\r\n"))["status"] == 400
