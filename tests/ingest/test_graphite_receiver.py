"""Graphite's plain text on real sockets of UDP and TCP: safe names, bounded lines and connections, no answers."""

import socket
import time
from typing import Any

import pytest
from twisted.internet.address import IPv4Address
from twisted.internet.testing import MemoryReactorClock, StringTransport

from deployer.errors import StartError
from deployer.ingest.graphite import GraphiteTaker
from deployer.ingest.listening import Listening
from deployer.ingest.points import PointBuffer
from deployer.ingest.sources import Sources
from deployer.ingest.stream import CONNECTIONS_A_SOURCE, IDLE_S, LOOK_S, TcpPort
from support.receiving import Receiving
from support.seeded import COMPANY


def connect(receiving: Receiving, place: int = 0) -> socket.socket:
    return socket.create_connection(("127.0.0.1", receiving.receivers.places[place][1]))


async def test_lines_come_by_udp_and_tcp(receive: Any) -> None:
    receiving: Receiving = await receive(graphite=("udp:0", "tcp:0"))
    now = int(time.time())
    receiving.sender().send(f"a.b 1.5 {now}\nc;k=v 2\n".encode())
    with connect(receiving, 1) as client:
        client.sendall(f"d.count 3 {now - 60}\ne 4 ".encode())
        client.sendall(b"-1\nhalf 5")
        await receiving.until("graphite", lambda seen: seen["points"] == 4)
        await receiving.until("received_points", lambda seen: seen["stored"] == 4)
        client.settimeout(0)
        with pytest.raises(BlockingIOError):
            client.recv(1)
    found = {one.series: (one.value, one.how, one.at) for one in receiving.numbers[COMPANY]}
    assert found["a.b"] == (1.5, "average", now)
    assert found["c;k=v"][0] == 2
    assert found["d.count"] == (3, "sum", now - 60)
    assert now <= found["e"][2] <= time.time()
    seen = await receiving.counts("graphite")
    assert (seen["received"], seen["bad_lines"]) == (3, 0)


async def test_bad_lines_names_and_times_are_counted_and_the_rest_counts(receive: Any) -> None:
    receiving: Receiving = await receive(graphite=("udp:0",))
    names = (
        b"../../etc/cron.d/x",
        b"/abs",
        b"a..b",
        b".a.",
        b"a/b",
        b"a\\b",
        b"a\x00b",
        b"a" * 1000,
        b"agents.1.1.host.x",
    )
    sender = receiving.sender()
    sender.send(b"\n".join(name + b" 1" for name in names), b"good 1\nbad\n\ngood 2 5\ngood nan", b"a" * 5000 + b" 1")
    await receiving.until("graphite", lambda seen: seen["received"] == 3)
    seen = await receiving.counts("graphite")
    assert (seen["points"], seen["bad_lines"], seen["bad_names"], seen["bad_times"]) == (1, 3, len(names), 1)


async def test_a_line_that_does_not_end_ends_its_connection(receive: Any) -> None:
    receiving: Receiving = await receive(graphite=("tcp:0",))
    with connect(receiving) as client:
        client.sendall(b"a" * 10_000)
        await receiving.until("graphite", lambda seen: seen["bad_lines"] == 1)
        client.setblocking(True)
        with pytest.raises(ConnectionError):
            client.recv(1)


async def test_a_port_in_use_stops_the_start(receive: Any) -> None:
    receiving: Receiving = await receive(graphite=("tcp:0",))
    with pytest.raises(StartError, match="in use"):
        await receive(graphite=(f"tcp:{receiving.receivers.places[0][1]}",))


class Port:
    """A TCP port without a socket."""

    def __init__(self, per_s: int = 100) -> None:
        self.clock = MemoryReactorClock()

        async def store(company: str, data: Any) -> None:
            """Nowhere."""

        self.taker = GraphiteTaker(PointBuffer(store, self.clock))
        sources = Sources(lambda _: "acme", per_s)
        self.port = TcpPort(Listening("graphite", "tcp", 0), self.taker, sources, self.clock, lambda: 1_800_000_000.0)
        self.port.open()

    def connect(self, host: str = "10.0.0.1") -> tuple[Any, StringTransport] | None:
        made = self.port.buildProtocol(IPv4Address("TCP", host, 1))
        if made is None:
            return None
        transport = StringTransport()
        made.makeConnection(transport)
        return made, transport


def test_a_connection_on_which_nothing_comes_is_closed() -> None:
    port = Port()
    connected = port.connect()
    assert connected is not None
    protocol, transport = connected
    port.clock.pump([LOOK_S] * int(IDLE_S / LOOK_S - 1))
    protocol.dataReceived(b"a 1\n")
    port.clock.pump([LOOK_S] * int(IDLE_S / LOOK_S - 1))
    assert not transport.disconnected
    port.clock.advance(LOOK_S)
    assert transport.disconnected
    assert transport.value() == b""


def test_one_address_has_so_many_connections_and_others_their_own() -> None:
    port = Port()
    made = [port.connect() for _ in range(CONNECTIONS_A_SOURCE)]
    assert None not in made
    assert port.connect() is None
    assert port.port.refused == 1
    assert port.connect("10.0.0.2") is not None
    assert made[0] is not None
    made[0][0].connectionLost()
    assert port.connect() is not None


def test_lines_beyond_a_senders_allowance_are_dropped_and_counted() -> None:
    port = Port(per_s=10)
    connected = port.connect()
    assert connected is not None
    connected[0].dataReceived(b"a 1\n" * 8)
    connected[0].dataReceived(b"a 1\n" * 8)
    assert (port.port.received, port.port.over_quota, port.taker.points) == (16, 8, 8)
