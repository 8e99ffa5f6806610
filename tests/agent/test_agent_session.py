"""Sessions, lanes and complaints on a clock that is set by hand; no socket is needed to see when they act."""

from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from msgspec import structs
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.web.http_headers import Headers

from deployer.protocol.ids import AgentId
from deployer.protocol.wire import ChallengeAnswer, PollAnswer, SessionAnswer
from deployer_agent.errors import LinkError, ProblemError, RevokedError, StartError
from deployer_agent.link.complaints import Complaints
from deployer_agent.link.http import MAX_ANSWER_BYTES, Http
from deployer_agent.link.lane import Lane, Traffic
from deployer_agent.link.requests import POLL_GRACE_S
from deployer_agent.link.session import Proof, Session
from deployer_agent.link.trust import Trust


class Master:
    """Answers what Session asks, in the place of Http; `openings` counts."""

    def __init__(self) -> None:
        self.openings = 0
        self.waiting: Deferred[None] | None = None

    async def get(self, path: str, kind: Any) -> Any:
        assert (path, kind) == ("/agent/v1/challenge", ChallengeAnswer)
        if self.waiting is not None:
            await self.waiting
        return ChallengeAnswer("c", 60)

    async def post(self, path: str, body: bytes, kind: Any) -> Any:
        assert (path, kind, bool(body)) == ("/agent/v1/session", SessionAnswer, True)
        self.openings += 1
        return SessionAnswer(session=f"s{self.openings}", epoch=self.openings, lease_s=30, valid_s=3600)


def session(master: Any, clock: Clock) -> Session:
    return Session(master, Proof(Ed25519PrivateKey.generate(), AgentId(1, 1), "0" * 32, "1"), clock)


async def test_a_session_is_renewed_before_it_ends_and_not_earlier() -> None:
    master, clock = Master(), Clock()
    one = session(master, clock)
    assert [(await one.current()).token, (await one.current()).token] == ["s1", "s1"]
    clock.advance(3000)
    assert (await one.current()).token == "s1"
    clock.advance(500)
    assert (await one.current()).token == "s2"


async def test_many_who_need_a_session_open_one() -> None:
    master, clock = Master(), Clock()
    master.waiting = waiting = Deferred()
    one = session(master, clock)
    asked = [Deferred.fromCoroutine(one.current()) for _ in range(5)]
    waiting.callback(None)
    assert {(await each).token for each in asked} == {"s1"}
    assert master.openings == 1


async def test_a_token_that_was_replaced_meanwhile_drops_no_session() -> None:
    master, clock = Master(), Clock()
    one = session(master, clock)
    await one.current()
    one.drop("an older one")
    assert (await one.current()).token == "s1"
    one.drop("s1")
    assert (await one.current()).token == "s2"


class Parcels:
    """Numbers to post, and a master that takes none while it is away."""

    def __init__(self, count: int) -> None:
        self.queue = list(range(count))
        self.posted: list[int] = []
        self.tries = 0
        self.away = True

    def take(self) -> int | None:
        return self.queue.pop(0) if self.queue else None

    async def post(self, parcel: int) -> None:
        self.tries += 1
        if self.away:
            raise LinkError("away")
        self.posted.append(parcel)

    def give_back(self, parcel: int) -> None:
        self.queue.insert(0, parcel)


def test_a_lane_makes_no_storm_while_the_master_is_away_and_loses_nothing() -> None:
    clock, parcels = Clock(), Parcels(20)
    lane = Lane(Traffic("numbers", parcels.take, parcels.post, parcels.give_back, 8), clock, Complaints(clock))
    lane.open()
    for _ in range(6000):
        clock.advance(0.1)
        lane.nudge()
    assert parcels.tries < 100
    parcels.away = False
    clock.advance(60)
    assert parcels.posted == list(range(20))
    assert lane.idle


class Silence:
    """An agent of twisted.web whose requests never end."""

    def __init__(self) -> None:
        self.cancelled = 0

    def request(self, *_: object) -> Deferred[None]:
        return Deferred(self._cancel)

    def _cancel(self, _: Deferred[None]) -> None:
        self.cancelled += 1


def asking(http: Http) -> Deferred[Any]:
    return Deferred.fromCoroutine(http.get("/1/1/cmd?n=1", PollAnswer, deadline_s=15 + POLL_GRACE_S))


async def test_a_black_hole_is_noticed_after_the_deadline() -> None:
    clock, web = Clock(), Silence()
    asked = asking(Http(web, clock, "http://127.0.0.1:1", "1"))
    clock.advance(24)
    assert not asked.called
    clock.advance(1)
    with pytest.raises(LinkError, match="no answer"):
        await asked
    assert web.cancelled == 1
    assert not clock.getDelayedCalls()


class Canned:
    """An agent of twisted.web that answers with these bytes."""

    def __init__(self, body: bytes, kind: bytes) -> None:
        self.code = 200
        self.headers = Headers({b"content-type": [kind]})
        self._body = body

    async def _answer(self) -> "Canned":
        return self

    def request(self, *_: object) -> Deferred["Canned"]:
        return Deferred.fromCoroutine(self._answer())

    def deliverBody(self, protocol: Any) -> None:  # noqa: N802 (Twisted's name)
        protocol.dataReceived(self._body)
        protocol.connectionLost(_lost())


def _lost() -> Any:
    from twisted.python.failure import Failure  # noqa: PLC0415 (only here)
    from twisted.web.client import ResponseDone  # noqa: PLC0415 (as above)

    return Failure(ResponseDone())


OURS = b"application/vnd.deployer.v1+json"


@pytest.mark.parametrize(
    ("body", "kind", "sentence"),
    [
        (b'{"commands":[]}', b"application/json", "media type|is application/json"),
        (b'{"commands":[]}', b"text/html", "text/html"),
        (b'{"commands":5}', OURS, "not what was asked for"),
        (b"\xff", OURS, "not what was asked for"),
        (b" " * (MAX_ANSWER_BYTES + 1), OURS, "longer than"),
    ],
)
async def test_what_is_not_an_answer_of_ours_is_an_error(body: bytes, kind: bytes, sentence: str) -> None:
    with pytest.raises(LinkError, match=sentence):
        await asking(Http(Canned(body, kind), Clock(), "http://127.0.0.1:1", "1"))


def test_trouble_is_told_once_a_minute() -> None:
    clock = Clock()
    complaints = Complaints(clock)
    told: list[str] = []
    complaints.log = _Log(told)  # type: ignore[misc, assignment]  # the smallest logger
    for _ in range(130):
        complaints.say("x", LinkError("away"))
        clock.advance(1)
    complaints.well()
    complaints.well()
    assert told == ["warn", "warn", "warn", "info"]


class _Log:
    def __init__(self, told: list[str]) -> None:
        self._told = told

    def warn(self, _: str, **__: object) -> None:
        self._told.append("warn")

    def error(self, _: str, **__: object) -> None:
        self._told.append("error")

    def info(self, _: str, **__: object) -> None:
        self._told.append("info")


def test_a_ca_that_cannot_be_read_stops_the_start(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("garbage")
    for name in ("ca.pem", "missing.pem"):
        with pytest.raises(StartError, match=name):
            Trust(str(tmp_path / name), None)


class Refusing(Master):
    """Answers a session with these problems, then well."""

    def __init__(self, *problems: ProblemError) -> None:
        Master.__init__(self)
        self.problems = list(problems)
        self.asked = 0

    async def post(self, path: str, body: bytes, kind: Any) -> Any:
        self.asked += 1
        if self.problems:
            raise self.problems.pop(0)
        return await Master.post(self, path, body, kind)


def rejoining(master: Any, clock: Clock, rejoins: list[float]) -> Session:
    async def rejoin() -> None:
        rejoins.append(clock.seconds())

    return Session(master, Proof(Ed25519PrivateKey.generate(), AgentId(1, 1), "0" * 32, "1"), clock, rejoin)


def unknown() -> ProblemError:
    return ProblemError(401, "unauthorized", "not known here")


async def test_an_agent_that_is_not_known_joins_again_once_a_minute() -> None:
    clock, rejoins = Clock(), list[float]()
    one = rejoining(Refusing(unknown()), clock, rejoins)
    assert (await one.current()).token == "s1"
    one = rejoining(Refusing(*(unknown() for _ in range(9))), clock, rejoins)
    for _ in range(3):
        with pytest.raises(ProblemError):
            await one.current()
    assert rejoins == [0.0, 0.0]
    clock.advance(60)
    with pytest.raises(ProblemError):
        await one.current()
    assert rejoins == [0.0, 0.0, 60.0]


async def test_a_revoked_agent_asks_once_and_says_so_once() -> None:
    clock, rejoins = Clock(), list[float]()
    master = Refusing(ProblemError(403, "revoked", "gone"))
    one = rejoining(master, clock, rejoins)
    complaints, told = Complaints(clock), list[str]()
    complaints.log = _Log(told)  # type: ignore[misc, assignment]  # the smallest logger
    for _ in range(5):
        clock.advance(3600)
        with pytest.raises(RevokedError) as caught:
            await one.current()
        complaints.say("x", caught.value)
    assert (master.asked, rejoins, told) == (1, [], ["error"])


async def test_a_master_that_has_the_agent_in_another_company_is_joined_again() -> None:
    clock, rejoins = Clock(), list[float]()

    class Moved(Master):
        async def post(self, path: str, body: bytes, kind: Any) -> Any:
            return structs.replace(await Master.post(self, path, body, kind), company="new")

    await rejoining(Moved(), clock, rejoins).current()
    assert rejoins == [0.0]
