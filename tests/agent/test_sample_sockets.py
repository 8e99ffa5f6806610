"""What TCP connections have carried is asked of the kernel, and no answer of it does harm."""

import os
import socket
import struct
from collections.abc import Iterator
from contextlib import closing, contextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet import reactor  # noqa: TID251 (the real kernel's answer, in slices of the real reactor)

from deployer_agent.stats.pace import Pace
from deployer_agent.stats.sockets_posix import TABLES, Answer, Sockets, carried


@contextmanager
def connected(family: socket.AddressFamily, host: str) -> Iterator[tuple[socket.socket, socket.socket, socket.socket]]:
    with closing(socket.socket(family)) as listening:
        listening.bind((host, 0))
        listening.listen()
        with closing(socket.create_connection(listening.getsockname()[:2])) as ours:
            theirs, _ = listening.accept()
            with closing(theirs):
                yield listening, ours, theirs


def inode(one: socket.socket) -> int:
    return os.fstat(one.fileno()).st_ino


@pytest.mark.parametrize(("table", "host"), [("TCP", "127.0.0.1"), ("TCP6", "::1")])
async def test_the_kernel_tells_what_a_connection_carried(table: str, host: str) -> None:
    family, _ = TABLES[table]
    with connected(socket.AddressFamily(family), host) as (listening, ours, theirs):
        ours.sendall(b"x" * 5000)
        while len(theirs.recv(10_000, socket.MSG_PEEK)) < 5000:
            pass
        theirs.sendall(b"y" * 70)
        ours.recv(100)
        wanted = {inode(one) for one in (listening, ours, theirs)}
        sockets = Sockets()
        found, complete = await sockets.find(wanted, [TABLES[table]], Pace(reactor))  # type: ignore[arg-type]  # zope
        assert complete
        assert {number: one.carried for number, one in found.items()} == {
            inode(listening): (0, 0),
            inode(ours): (5000, 70),
            inode(theirs): (70, 5000),
        }
        assert len({one.cookie for one in found.values()}) == 3


async def test_udp_sockets_are_found_too() -> None:
    with closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as one:
        one.bind(("127.0.0.1", 0))
        found, _ = await Sockets().find({inode(one)}, TABLES.values(), Pace(reactor))  # type: ignore[arg-type]  # zope
        assert list(found) == [inode(one)]


async def test_where_there_is_no_netlink_nothing_is_found_and_it_is_said() -> None:
    def connect() -> socket.socket:
        raise PermissionError("no")

    sockets = Sockets(connect)
    assert await sockets.find({1}, TABLES.values(), Pace(reactor)) == ({}, False)  # type: ignore[arg-type]  # zope
    assert sockets.refused


async def test_more_sockets_than_are_looked_at_are_counted() -> None:
    with connected(socket.AF_INET, "127.0.0.1") as (_, ours, _):
        sockets = Sockets(most=1)
        _, complete = await sockets.find({inode(ours)}, [TABLES["TCP"]], Pace(reactor))  # type: ignore[arg-type]  # zope
        assert not complete
        assert sockets.cut == 1
        assert not sockets.refused


@pytest.mark.parametrize(
    ("length", "expected"), [(0, (0, 0)), (104, (0, 0)), (128, (7, 0)), (136, (7, 8)), (200, (7, 8)), (208, (9, 8))]
)
def test_no_more_of_tcp_info_is_read_than_this_kernel_gave(length: int, expected: tuple[int, int]) -> None:
    info = bytearray(280)
    struct.pack_into("=QQ", info, 120, 7, 8)
    struct.pack_into("=Q", info, 200, 9)
    assert carried(bytes(info[:length])) == expected


@given(st.binary(max_size=300), st.integers(0, 300), st.sampled_from([2, 3, 20]))
def test_no_answer_does_harm(body: bytes, length: int, kind: int) -> None:
    answer = Answer(1, TABLES["TCP"], {0, 1}, {})
    try:
        answer.add(struct.pack("=IHHII", length, kind, 0, 1, 0) + body)
        answer.add(body)
    except OSError:
        pass
    assert answer.seen <= 40
