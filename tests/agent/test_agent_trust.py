"""Agents and masters that are not theirs: nothing is sent to these, and everything is kept (RELIABILITY A4, A3)."""

import datetime as dt
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
import pytest_twisted
from cryptography import x509
from OpenSSL import SSL
from twisted.internet import reactor  # noqa: TID251 (real sockets)
from twisted.logger import capturedLogs
from twisted.web.http import Request

from deployer.kit.clock import sleep
from deployer.kit.tls.authority import Authority
from deployer.kit.tls.context import ServerCreator, server_context
from deployer.protocol.wire import ChallengeAnswer
from deployer_agent.assembly.agent import Agent
from deployer_agent.config import AgentSettings, read
from deployer_agent.errors import LinkError, StartError
from deployer_agent.link.door import Address, Door
from deployer_agent.link.firstcontact import find_ca, read_pin, split_token
from support.certificates import CLIENT, DAY, LOCALHOST, Issuer, kept, self_signed
from support.small_master import SmallMaster

pytestmark = pytest.mark.filterwarnings("ignore:Passing pyOpenSSL:DeprecationWarning")  # Twisted 26.10 does that
TOKEN = "dpj_" + "0" * 16 + "_" + "1" * 64
CLOCK: Any = reactor


class Town:
    """A master with TLS by a CA like ours, whose certificate can be exchanged, and what an agent of it needs."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.authority = Authority(b"s" * 64)
        self.serve(self.right())
        self.master = SmallMaster(reactor, ServerCreator(lambda: self.context))
        self.master.ca = self.authority.pem.decode()
        self.agent: Agent | None = None
        self.failures: list[str] = []

    def right(self) -> bytes:
        return self.authority.issue(["localhost"], dt.datetime.now(dt.UTC))

    def serve(self, pem: bytes) -> None:
        self.context = server_context(pem)

    def door(self, **known: Any) -> Door:
        return Door(Address(**{"url": self.master.url, "version": "1", **known}), reactor)

    async def ask(self, ca: str | None = None, **known: Any) -> Any:
        """One request by an agent that has pinned a CA, ours unless another is given."""
        door = self.door(**known)
        try:
            return await door.http(ca or self.authority.pem.decode()).get("/agent/v1/challenge", ChallengeAnswer)
        finally:
            await door.forget()

    def start(self, token: str = TOKEN, **more: Any) -> None:
        kept(self.path / "token", token.encode())
        files = {"data_dir": str(self.path / "a"), "join_token_file": str(self.path / "token")}
        settings = AgentSettings(**{**files, "url": self.master.url, "allow_root": True, "stop_s": 0.5, **more})
        self.agent = Agent(settings, reactor, time.time, self.failures.append)
        self.agent.startService()

    async def stop(self) -> None:
        agent, self.agent = self.agent, None
        if agent is not None:
            await agent.stopService()

    @property
    def heard(self) -> int:
        """How many requests have reached the master."""
        return sum(self.master.counts.values())


@pytest_twisted.async_yield_fixture
async def town(tmp_path: Path) -> AsyncIterator[Town]:
    made = Town(tmp_path)
    yield made
    await made.stop()
    await made.master.stop()


async def test_an_agent_that_joined_by_a_fingerprint_knows_its_master_from_then_on(town: Town) -> None:
    town.start(f"{TOKEN}_{town.authority.pin}")
    await town.master.until(lambda: town.master.counts.get("cmd"), "the first poll")
    await town.stop()
    identity = msgspec.json.decode((town.path / "a" / "identity.json").read_bytes())
    assert identity["ca"].encode() == town.authority.pem
    town.start("rubbish")
    polls = town.master.counts["cmd"]
    await town.master.until(lambda: town.master.counts["cmd"] > polls, "a poll after the restart")
    assert town.master.counts["join"] == 1


async def test_the_token_is_not_sent_to_who_has_not_the_fingerprint(town: Town) -> None:
    town.serve(Authority(b"x" * 64).issue(["localhost"], dt.datetime.now(dt.UTC)))
    with capturedLogs() as logs:
        town.start(f"{TOKEN}_{town.authority.pin}")
        await sleep(CLOCK, 3)
    assert town.heard == 0
    told = [event for event in logs if "could not join" in str(event.get("what"))]
    assert len(told) == 1
    assert town.authority.pin in told[0]["error"]
    town.serve(town.right())
    await town.master.until(lambda: town.master.counts.get("cmd"), "the first poll", 90)


async def test_a_fingerprint_can_come_with_the_settings(town: Town) -> None:
    town.start(ca_fingerprint=f"sha256:{town.authority.pin.upper()}")
    await town.master.until(lambda: town.master.counts.get("cmd"), "the first poll")


async def test_a_master_is_not_believed_without_a_reason(town: Town) -> None:
    with capturedLogs() as logs:
        town.start()
        await sleep(CLOCK, 2)
    assert town.heard == 0
    assert len([event for event in logs if "could not join" in str(event.get("what"))]) == 1


async def test_a_certificate_that_merely_has_the_key_is_no_ca(town: Town) -> None:
    with pytest.raises(LinkError, match="shows no CA"):
        leaf = x509.load_pem_x509_certificates(town.right())[0]
        await find_ca(reactor, town.master.url, Authority(b"x" * 64).pin)
        assert leaf
    assert (await find_ca(reactor, town.master.url, town.authority.pin)).encode() == town.authority.pem


OTHER = Issuer()


def wrong(**more: Any) -> Callable[[Town], bytes]:
    return lambda town: Issued(town.authority).issue(**more)


class Issued(Issuer):
    """Issues as our CA would if it made mistakes."""

    def __init__(self, authority: Authority) -> None:
        self.key = authority._key
        self.name = authority.name


LONG_AGO = (-3 * DAY, -DAY)
SOON = (DAY, 3 * DAY)


@pytest.mark.parametrize(
    ("pem", "why"),
    [
        (lambda _: OTHER.issue(), "verify failed"),
        (lambda _: self_signed(), "verify failed"),
        (wrong(names=[x509.DNSName("other.example")]), "another name"),
        (wrong(names=[x509.DNSName("localhost.example")]), "another name"),
        (wrong(names=[], subject="localhost"), "another name"),
        (wrong(names=[x509.UniformResourceIdentifier("https://localhost")]), "another name"),
        (wrong(names=[x509.RFC822Name("localhost@localhost")]), "another name"),
        (wrong(names=[x509.DNSName("localhost\x00.example")]), "another name"),
        (wrong(names=[x509.DNSName("*")]), "another name"),
        (wrong(names=[x509.DNSName("local*")]), "another name"),
        (wrong(time=LONG_AGO), "verify failed"),
        (wrong(time=SOON), "verify failed"),
        (wrong(use=CLIENT), "verify failed"),
    ],
)
async def test_a_wrong_certificate_gets_no_request(town: Town, pem: Callable[[Town], bytes], why: str) -> None:
    town.serve(pem(town))
    with pytest.raises(LinkError, match=why):
        await town.ask()
    assert town.heard == 0


async def test_an_address_must_be_in_the_certificate_as_an_address(town: Town) -> None:
    url = town.master.url.replace("localhost", "127.0.0.1")
    town.serve(Issued(town.authority).issue([x509.DNSName("127.0.0.1"), LOCALHOST]))
    with pytest.raises(LinkError):
        await town.ask(url=url)
    assert town.heard == 0
    town.serve(town.authority.issue(["127.0.0.1"], dt.datetime.now(dt.UTC)))
    assert await town.ask(url=url)


@pytest.mark.parametrize("version", [SSL.TLS1_VERSION, SSL.TLS1_1_VERSION])
async def test_old_tls_is_not_spoken(town: Town, version: int) -> None:
    context = SSL.Context(SSL.TLS_SERVER_METHOD)
    context.set_min_proto_version(SSL.TLS1_VERSION)
    context.set_max_proto_version(version)
    context.set_cipher_list(b"ALL:@SECLEVEL=0")
    path = kept(town.path / "server.pem", town.right())
    context.use_certificate_chain_file(str(path))
    context.use_privatekey_file(str(path))
    town.context = context
    with pytest.raises(LinkError):
        await town.ask()
    with pytest.raises(LinkError):
        await find_ca(reactor, town.master.url, town.authority.pin)
    assert town.heard == 0


async def test_plain_http_in_the_place_of_tls_is_not_spoken(town: Town) -> None:
    plain = SmallMaster(reactor)
    try:
        with pytest.raises(LinkError):
            await town.ask(url=f"https://localhost:{plain.port}")
        assert not plain.counts
    finally:
        await plain.stop()


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_not_followed(town: Town, status: int) -> None:
    other = SmallMaster(reactor)

    def redirect(request: Request) -> None:
        request.setResponseCode(status)
        request.setHeader("location", f"{other.url}/agent/v1/challenge")
        request.finish()

    town.master.trouble["challenge"] = [redirect]
    try:
        with pytest.raises(LinkError, match=str(status)):
            await town.ask()
        assert not other.counts
    finally:
        await other.stop()


async def test_results_wait_while_somebody_else_answers_in_the_masters_place(town: Town) -> None:
    town.start(f"{TOKEN}_{town.authority.pin}")
    await town.master.until(lambda: town.master.counts.get("cmd"), "the first poll")
    command = {"cmd": "/bin/sh", "args": ["-c", "sleep 1; echo done"]}
    town.master.send(town.master.command("execute", command, id="long"))
    await town.master.until(lambda: "long" in town.master.accepted, "the acceptance")
    town.serve(OTHER.issue())
    with capturedLogs() as logs:
        town.master.abort_connections()
        before = town.heard
        await sleep(CLOCK, 5)
    assert town.heard == before
    assert not town.master.has("long")
    told = [event for event in logs if str(event["log_namespace"]).endswith("Complaints")]
    assert len(told) == 1, [event.get("error") for event in told]
    town.serve(town.right())
    await town.master.until(lambda: town.master.has("long"), "the result", 120)
    assert town.master.texts("long") == ["done"]


async def test_an_agent_shows_its_certificate_to_a_master_that_asks(town: Town) -> None:
    agents = Issuer("CA of agents")
    town.context = server_context(town.right(), [agents.certificate])
    seen: list[Any] = []

    def look(request: Request) -> None:
        seen.append(request.channel.transport.getPeerCertificate())  # type: ignore[union-attr]  # it is open
        town.master._do_challenge(request)

    town.master.trouble["challenge"] = [look, look]
    path = kept(town.path / "agent.pem", agents.issue((), CLIENT))
    assert await town.ask(certificate=str(path))
    assert await town.ask()
    assert [one is None for one in seen] == [False, True]
    path.chmod(0o644)
    with pytest.raises(StartError, match="chmod"):
        await town.ask(certificate=str(path))
    with pytest.raises(StartError, match="cannot be used"):
        await town.ask(certificate=str(kept(town.path / "x.pem", b"garbage")))


def test_a_fingerprint_is_told_from_what_is_none() -> None:
    assert read_pin("sha256:" + "aB" * 32) == read_pin("AB" * 32) == "ab" * 32
    for text in ("", "sha256:", "ab" * 31, "sha1:" + "ab" * 32, "ab" * 32 + "\n"):
        with pytest.raises(ValueError, match="fingerprint"):
            read_pin(text)
    pin = "ab" * 32
    assert split_token(f"{TOKEN}_{pin}") == (TOKEN, pin)
    for text in (TOKEN, "", f"{TOKEN}_{pin}0", f"{TOKEN}_", "rubbish"):
        assert split_token(text) == (text, "")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"ca_fingerprint": "x", "url": "https://m"}, "fingerprint"),
        ({"ca_fingerprint": "ab" * 32, "url": "http://127.0.0.1:1"}, "https"),
        ({"tls_key": "/k"}, "tls_cert"),
    ],
)
def test_settings_that_protect_nothing_stop_the_start(options: dict[str, object], message: str) -> None:
    with pytest.raises(StartError, match=message):
        read(None, options, {})
