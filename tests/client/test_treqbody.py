"""Pieces of an answer: asked for one by one, with a limit, and given up when nothing comes."""

from typing import Any

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.defer import TimeoutError as DeadlineError
from twisted.internet.error import ConnectionLost
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.web.client import ResponseDone

from deployer.client.treqbody import MOST_PIECES, Pieces


class Sender:
    """Notes what it is told."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def pauseProducing(self) -> None:
        self.told.append("pause")

    def resumeProducing(self) -> None:
        self.told.append("resume")

    def loseConnection(self) -> None:  # noqa: N802 (its name there)
        self.told.append("close")


def made(clock: Clock) -> tuple[Pieces, Sender]:
    pieces, sender = Pieces(clock, 45.0), Sender()  # type: ignore[arg-type]  # zope
    transport: Any = sender
    pieces.makeConnection(transport)
    return pieces, sender


def asked(pieces: Pieces) -> Deferred[bytes]:
    return Deferred.fromCoroutine(pieces.next())


async def test_pieces_come_in_order_and_then_the_end() -> None:
    pieces, sender = made(Clock())
    first = asked(pieces)
    pieces.dataReceived(b"a")
    pieces.dataReceived(b"b")
    pieces.connectionLost(Failure(ResponseDone()))
    assert [await first, await pieces.next(), await pieces.next(), await pieces.next()] == [b"a", b"b", b"", b""]
    pieces.close()
    assert sender.told == []


async def test_who_reads_slowly_stops_the_sender() -> None:
    pieces, sender = made(Clock())
    for _ in range(MOST_PIECES):
        pieces.dataReceived(b"x")
    assert sender.told == ["pause"]
    await pieces.next()
    assert sender.told == ["pause", "resume"]


async def test_silence_ends_it() -> None:
    clock = Clock()
    pieces, sender = made(clock)
    waiting = asked(pieces)
    clock.advance(44)
    pieces.dataReceived(b"ping")
    assert await waiting == b"ping"
    waiting = asked(pieces)
    clock.advance(46)
    with pytest.raises(DeadlineError):
        await waiting
    assert sender.told == ["close"]


async def test_a_lost_connection_is_raised_after_what_had_come() -> None:
    pieces, _ = made(Clock())
    pieces.dataReceived(b"a")
    pieces.connectionLost(Failure(ConnectionLost()))
    assert await pieces.next() == b"a"
    with pytest.raises(ConnectionLost):
        await pieces.next()


async def test_who_waits_no_longer_closes_the_connection() -> None:
    clock = Clock()
    pieces, sender = made(clock)
    waiting = Deferred.fromCoroutine(pieces.whole())
    pieces.dataReceived(b"a")
    waiting.addErrback(lambda _: None)
    waiting.cancel()
    assert sender.told == ["close"]
    assert clock.getDelayedCalls() == []
